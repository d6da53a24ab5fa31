// A file that was parted from those who read it by passthrough: two inodes show one file of the upper layer.
import { constants, readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Entry, type KernelNotifier, WRITE_CLEAR_SET_ID } from '../../../src/fuse/filesystem.ts';
import { createCallContext } from '../../support/call-context.ts';
import { outcome } from '../../support/filesystem-assertions.ts';
import { randomBytes } from '../../support/random.ts';
import { seedFile } from '../../support/seed-tree.ts';
import { UpperOverlay } from '../../support/upper-overlay.ts';

const LARGE = randomBytes(1024 * 1024 + 1, 4);
const { O_RDONLY, O_RDWR } = constants;

let overlay: UpperOverlay;
/** The inode that its readers have, and how one of them is open. */
let old: number;
let reader: number;
/** Lets copies of content begin. */
let arrive: () => void;

const kernel: KernelNotifier = {
  invalidateInode: (ino, offset) => void invalidated.push([ino, offset]),
  invalidateEntry: () => undefined,
  mayOmitOpen: true,
  passthrough: { register: () => 1, unregister: () => undefined },
};

beforeEach(async () => {
  const arrival = new Promise<void>((resolve) => {
    arrive = resolve;
  });
  overlay = new UpperOverlay(
    { large: seedFile(LARGE) },
    {
      notifier: kernel,
      wrap: (layer) => ({
        ...layer,
        open: (entry, request) =>
          request?.signal === undefined || isReading
            ? layer.open(entry, request)
            : arrival.then(() => layer.open(entry, request)),
      }),
    },
  );
  const { filesystem, ctx } = overlay.fs;
  old = (await overlay.fs.stat('large')).ino;
  isReading = true;
  const opened = await filesystem.open(old, O_RDONLY, ctx);
  isReading = false;
  expect(opened.backingId).toBe(1);
  reader = opened.fh;
  expect(await outcome(async () => filesystem.open(old, O_RDWR, ctx))).toBe('ESTALE');
});
let isReading = false;
let invalidated: [number, number][] = [];
afterEach(() => overlay.dispose());

const lookup = async (): Promise<{ node: number; entry: Entry }> => {
  const entry = await overlay.fs.filesystem.lookup(1, 'large', overlay.fs.ctx);
  return { entry, node: entry.node ?? 0 };
};

async function writeAt(node: number, text: string, position: number, options = 0): Promise<void> {
  const { filesystem, ctx } = overlay.fs;
  const { fh } = await filesystem.open(node, O_RDWR, ctx);
  const writing = filesystem.write(node, fh, Buffer.from(text), position, options, ctx);
  arrive();
  await writing;
  filesystem.release(fh);
}

test('once it was written, no other open of the old inode brings the old content back', async () => {
  const { filesystem, ctx } = overlay.fs;
  const { node } = await lookup();
  await writeAt(node, 'new', 0);
  // Its readers go on with what they have; who opens it now is to find the file by its name.
  expect(await outcome(async () => filesystem.open(old, O_RDONLY, ctx))).toBe('ESTALE');
  filesystem.release(reader);
  for (const flags of [O_RDONLY, O_RDWR])
    expect(await outcome(async () => filesystem.open(old, flags, ctx))).toBe('ESTALE');
  expect(await outcome(async () => filesystem.setattr(old, { size: 0 }, ctx))).toBe('ESTALE');
  expect(await outcome(async () => filesystem.setattr(old, { size: 5 }, ctx))).toBe('ESTALE');
  expect(readFileSync(overlay.upper('large'), 'latin1')).toBe(`new${LARGE.toString('latin1', 3)}`);
});

test('it is not written by its old inode either, after its readers left, whose content the new one would lack', async () => {
  const { filesystem, ctx } = overlay.fs;
  filesystem.release(reader);
  expect(await outcome(async () => filesystem.open(old, O_RDWR, ctx))).toBe('ESTALE');
  const { node } = await lookup();
  await writeAt(node, 'new', 0);
  expect(readFileSync(overlay.upper('large'), 'latin1')).toBe(`new${LARGE.toString('latin1', 3)}`);
});

test('the old inode gets no second name, which would stand for other content than the first', async () => {
  const { filesystem, ctx } = overlay.fs;
  expect(await outcome(async () => filesystem.link(old, 1, 'second', ctx))).toBe('ESTALE');
  expect(await overlay.fs.exists('second')).toBe(false);
  const { node } = await lookup();
  const linked = await filesystem.link(node, 1, 'second', ctx);
  expect(linked.node).toBe(node);
});

test('an entry that a listing could not take is given back to the inode that was counted', async () => {
  const { filesystem, ctx } = overlay.fs;
  const offered: Entry[] = [];
  const sink = {
    add: () => true,
    addEntry: (_name: string, entry: Entry) => {
      offered.push(entry);
      return false;
    },
  };
  for (let times = 0; times < 3; times++) await filesystem.readdirplus(1, 0, sink, ctx);
  expect(offered).toHaveLength(3);
  filesystem.release(reader);
  // Both were counted once for each time that the kernel was told of them.
  expect(await filesystem.getattr(old, undefined, ctx)).toMatchObject({ size: LARGE.length });
  const { node } = await lookup();
  filesystem.forget(node, 1);
  expect(await outcome(async () => filesystem.getattr(node, undefined, ctx))).toBe('ESTALE');
});

test('what a reader changes of mode and times holds, also while the content is copied', async () => {
  const { filesystem, ctx } = overlay.fs;
  const { node } = await lookup();
  const { fh } = await filesystem.open(node, O_RDWR, ctx);
  await filesystem.setattr(node, { mode: 0o4755 }, ctx);
  let isChanged = false;
  const writing = Promise.resolve(filesystem.write(node, fh, Buffer.from('new'), 0, 0, ctx));
  const changing = Promise.resolve(
    filesystem.setattr(old, { mode: 0o700, atime: { seconds: 5, nanoseconds: 0 } }, ctx),
  ).then(() => {
    isChanged = true;
  });
  await delay(10);
  // The copy would set both back at its end.
  expect(isChanged).toBe(false);
  arrive();
  await Promise.all([writing, changing]);
  expect(await filesystem.getattr(node, undefined, ctx)).toMatchObject({ mode: 0o100700, atime: 5 });
  filesystem.release(fh);
});

test('set-id bits that a reader sets go with the next write of somebody without privileges', async () => {
  const { filesystem, ctx } = overlay.fs;
  const { node } = await lookup();
  await writeAt(node, 'new', 0, WRITE_CLEAR_SET_ID);
  await filesystem.setattr(old, { mode: 0o4755 }, ctx);
  await writeAt(node, 'new', 0, WRITE_CLEAR_SET_ID);
  expect(await filesystem.getattr(node, undefined, ctx)).toMatchObject({ mode: 0o100755 });
});

test('the size that was written is shown, and stays when a reader changes the mode', async () => {
  const { filesystem, ctx } = overlay.fs;
  const { node } = await lookup();
  await writeAt(node, 'end', LARGE.length);
  await filesystem.setattr(node, { size: LARGE.length + 1 }, ctx);
  for (const ino of [old, node])
    expect(await filesystem.getattr(ino, undefined, ctx)).toMatchObject({ size: LARGE.length + 1 });
  await filesystem.setattr(old, { mode: 0o600 }, ctx);
  expect(readFileSync(overlay.upper('large'), 'latin1')).toBe(`${LARGE.toString('latin1')}e`);
});

test.each(['cut', 'written by a call that was interrupted'])(
  'who opens a file while its content is copied does not hand the file of the store to later writers (%s)',
  async (how) => {
    const { filesystem, ctx } = overlay.fs;
    filesystem.release(reader);
    const { node } = await lookup();
    let changing: Promise<unknown>;
    if (how === 'cut') {
      changing = Promise.resolve(filesystem.setattr(node, { size: LARGE.length - 1 }, ctx));
    } else {
      const { fh } = await filesystem.open(node, O_RDWR, ctx);
      const interrupt = new AbortController();
      const caller = createCallContext({ signal: interrupt.signal });
      changing = outcome(async () => filesystem.write(node, fh, Buffer.from('x'), 0, 0, caller));
      interrupt.abort();
      await changing;
      filesystem.release(fh);
    }
    isReading = true;
    const early = await filesystem.open(node, O_RDONLY, ctx);
    isReading = false;
    arrive();
    await changing;
    // The copy of an interrupted call goes on.
    await filesystem.setattr(node, { mode: 0o600 }, ctx);
    const writer = await filesystem.open(node, O_RDWR, ctx);
    expect([early.backingId, writer.backingId]).toEqual([undefined, undefined]);
    for (const { fh } of [early, writer]) filesystem.release(fh);
  },
);

test('its readers see how many names it has', async () => {
  const { filesystem, ctx } = overlay.fs;
  const { node } = await lookup();
  const changes = [
    () => filesystem.link(node, 1, 'second', ctx),
    () => filesystem.unlink(1, 'second', ctx),
    () => filesystem.rename(1, 'other', 1, 'large', 0, ctx),
  ];
  await overlay.fs.writeFile('other', 'other');
  for (const [index, nlink] of [2, 1, 0].entries()) {
    invalidated = [];
    await changes[index]?.();
    expect(invalidated).toContainEqual([old, -1]);
    expect(await filesystem.getattr(old, undefined, ctx)).toMatchObject({ nlink });
  }
});

test('a listing shows the number that the file has, also when the new inode was forgotten', async () => {
  const { filesystem, ctx } = overlay.fs;
  const { node, entry } = await lookup();
  filesystem.forget(node, 1);
  expect(await overlay.fs.list('')).toContainEqual(
    expect.objectContaining({ name: 'large', ino: entry.attributes.ino }),
  );
  expect(entry.attributes.ino).toBe(old);
  expect((await lookup()).entry.attributes.ino).toBe(old);
  filesystem.release(reader);
  expect(await outcome(async () => filesystem.open(old, O_RDWR, ctx))).toBe('ESTALE');
});
