// Files without handles, files that the kernel reads by itself, and the way from one to the other.
import { pbkdf2 } from 'node:crypto';
import { closeSync, constants, openSync, readFileSync } from 'node:fs';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type KernelNotifier, WRITE_CLEAR_SET_ID, WRITE_SYNC } from '../../../src/fuse/filesystem.ts';
import { ErrnoError } from '../../../src/util/errno.ts';
import { expectBytes, outcome } from '../../support/filesystem-assertions.ts';
import { openDescriptorsBelow } from '../../support/memory-layer.ts';
import { randomBytes } from '../../support/random.ts';
import { seedFile } from '../../support/seed-tree.ts';
import { UpperOverlay } from '../../support/upper-overlay.ts';

const LARGE = randomBytes(1024 * 1024 + 1, 4);
/** More than are kept open. */
const MANY = 1200;
const pbkdf2Async = promisify(pbkdf2);
const { O_RDONLY, O_RDWR, O_WRONLY } = constants;

let overlay: UpperOverlay;
let invalidated: [number, number][];
let registered: Map<number, number>;
let lastId: number;
let mayOmitOpen: boolean;
let mayPass: boolean;

beforeEach(() => {
  invalidated = [];
  registered = new Map();
  lastId = 0;
  mayOmitOpen = true;
  mayPass = false;
});
afterEach(() => overlay.dispose());

/** A kernel that says what it can, and remembers what it was given. */
const kernel: KernelNotifier = {
  invalidateInode: (ino, offset) => void invalidated.push([ino, offset]),
  invalidateEntry: () => undefined,
  get mayOmitOpen() {
    return mayOmitOpen;
  },
  get passthrough() {
    if (!mayPass) return undefined;
    return {
      register: (fd: number) => {
        registered.set(++lastId, fd);
        return lastId;
      },
      unregister: (backingId: number) => void registered.delete(backingId),
    };
  },
};

const seed = { file: seedFile('lower'), 'dir/large': seedFile(LARGE) };

/** Reads without a handle. */
async function readBare(ino: number, length = 100): Promise<string> {
  const target = Buffer.alloc(length);
  const { filesystem, ctx } = overlay.fs;
  return target.subarray(0, await filesystem.read(ino, 0, target, 0, ctx)).toString('latin1');
}

describe('without handles', () => {
  test('open is refused for good, and everything works by inode', async () => {
    overlay = new UpperOverlay(seed, { notifier: kernel });
    const { filesystem, ctx } = overlay.fs;
    const { ino } = await overlay.fs.stat('file');
    expect(await outcome(async () => filesystem.open(ino, O_RDONLY, ctx))).toBe('ENOSYS');
    expect(await readBare(ino)).toBe('lower');
    expect(await filesystem.lseek(ino, 0, 0, 4, ctx)).toBe(5);
    expect(await filesystem.write(ino, 0, Buffer.from('UP'), 0, WRITE_SYNC, ctx)).toBe(2);
    expect(readFileSync(overlay.upper('file'), 'latin1')).toBe('UPwer');
    await filesystem.fallocate(ino, 0, 0, 0, 10, ctx);
    await filesystem.fsync(ino, 0, false, ctx);
    const made = await filesystem.create(1, 'new', 0o444, O_WRONLY, ctx);
    overlay.fs.count(made.entry);
    expect(made.file.fh).toBe(0);
    const source = { ino, fh: 0, offset: 0 };
    const target = { ino: made.entry.attributes.ino, fh: 0, offset: 0 };
    expect(await filesystem.copyFileRange(source, target, 5, ctx)).toBe(5);
    expect(readFileSync(overlay.upper('new'), 'latin1')).toBe('UPwer');
    await filesystem.setattr(target.ino, { size: 2 }, ctx);
    expect(await readBare(target.ino)).toBe('UP');
  });

  test('a create that meets a file is no open that could be refused', async () => {
    overlay = new UpperOverlay(seed, { notifier: kernel });
    const { filesystem, ctx } = overlay.fs;
    for (const text of ['first', 'again']) {
      const { entry, file } = await filesystem.create(1, 'file', 0o644, O_RDWR, ctx);
      const { ino } = overlay.fs.count(entry);
      await filesystem.write(ino, file.fh, Buffer.from(text), 0, 0, ctx);
      expect(await readBare(ino)).toBe(text);
      filesystem.release(file.fh);
    }
    const { ino } = await overlay.fs.stat('file');
    expect(await outcome(async () => filesystem.open(ino, O_RDONLY, ctx))).toBe('ENOSYS');
  });

  test('a write that the disk is slow with does not reach whoever gets the descriptor after the end', async () => {
    overlay = new UpperOverlay({}, { notifier: kernel });
    const { filesystem, ctx } = overlay.fs;
    const { entry, file } = await filesystem.create(1, 'file', 0o644, O_RDWR, ctx);
    const { ino } = entry.attributes;
    // All threads are busy, so the write waits for one.
    const busy = Array.from({ length: 4 }, () => pbkdf2Async('', '', 100_000, 64, 'sha512'));
    const writing = filesystem.write(ino, file.fh, Buffer.from('text'), 0, WRITE_SYNC, ctx);
    const others: number[] = [];
    await overlay.reopen(() => {
      for (let index = 0; index < 40; index++) others.push(openSync(overlay.path(`other-${index}`), 'w'));
    });
    await Promise.all(busy);
    expect(await writing).toBe(4);
    for (const fd of others) closeSync(fd);
    expect(readFileSync(overlay.upper('file'), 'latin1')).toBe('text');
  });

  test('an unlinked file works until it is forgotten, and is closed then', async () => {
    overlay = new UpperOverlay({}, { notifier: kernel });
    const { filesystem, ctx } = overlay.fs;
    const before = openDescriptorsBelow(overlay.path()).length;
    const { entry } = await filesystem.create(1, 'file', 0o644, O_RDWR, ctx);
    const { ino } = overlay.fs.count(entry);
    await filesystem.unlink(1, 'file', ctx);
    await filesystem.write(ino, 0, Buffer.from('unlinked'), 0, 0, ctx);
    expect(await readBare(ino)).toBe('unlinked');
    expect(openDescriptorsBelow(overlay.path()).length).toBeGreaterThan(before);
    overlay.fs.forget(ino);
    expect(openDescriptorsBelow(overlay.path()).length).toBe(before);
  });

  test('a bounded number of files stays open, and each can be read and written again', async () => {
    overlay = new UpperOverlay({}, { notifier: kernel });
    const { filesystem, ctx } = overlay.fs;
    const inos: number[] = [];
    for (let index = 0; index < MANY; index++) {
      // A mode that lets nobody open it again.
      const { entry } = await filesystem.create(1, `file-${index}`, 0, O_WRONLY, ctx);
      inos.push(overlay.fs.count(entry).ino);
    }
    expect(openDescriptorsBelow(overlay.path()).length).toBeLessThan(MANY);
    for (const [index, ino] of inos.entries()) {
      await filesystem.write(ino, 0, Buffer.from(`${index}`), 0, 0, ctx);
      expect(await readBare(ino)).toBe(`${index}`);
      expect((await filesystem.getattr(ino, undefined, ctx)).mode & 0o7777).toBe(0);
    }
    expect(openDescriptorsBelow(overlay.path()).length).toBeLessThan(MANY);
  });

  test('what cannot be fetched fails the read or the write that needs it, and later ones work', async () => {
    let away = true;
    overlay = new UpperOverlay(seed, {
      notifier: kernel,
      wrap: (layer) => ({
        ...layer,
        open: async (entry, request) => {
          if (away) throw new ErrnoError('ETIMEDOUT');
          return layer.open(entry, request);
        },
      }),
    });
    const { filesystem, ctx } = overlay.fs;
    const { ino } = await overlay.fs.stat('file');
    expect(await outcome(() => readBare(ino))).toBe('ETIMEDOUT');
    expect(await outcome(async () => filesystem.write(ino, 0, Buffer.from('x'), 0, 0, ctx))).toBe(
      'ETIMEDOUT',
    );
    // Emptying needs nothing.
    await filesystem.setattr(ino, { size: 0 }, ctx);
    away = false;
    expect(await readBare((await overlay.fs.stat('dir/large')).ino, 4)).toBe(LARGE.toString('latin1', 0, 4));
    expect(await readBare(ino)).toBe('');
  });

  test('a file that is fetched for a read stays known, also where the kernel gives references back', async () => {
    let arrived!: () => void;
    const arrival = new Promise<void>((resolve) => {
      arrived = resolve;
    });
    overlay = new UpperOverlay(seed, {
      notifier: kernel,
      wrap: (layer) => ({
        ...layer,
        open: async (entry, request) => {
          await arrival;
          return layer.open(entry, request);
        },
      }),
    });
    const { ino } = await overlay.fs.stat('file');
    await overlay.fs.stat('file');
    const reading = readBare(ino);
    // One of several references: what nothing else needs of the file is let go of then.
    overlay.fs.filesystem.forget(ino, 1);
    arrived();
    expect(await reading).toBe('lower');
  });

  test('a write by somebody without privileges takes set-id bits away', async () => {
    overlay = new UpperOverlay(seed, { notifier: kernel });
    const { filesystem, ctx } = overlay.fs;
    const { ino } = await overlay.fs.stat('file');
    for (const [mode, left] of [
      [0o6755, 0o755],
      [0o6745, 0o2745],
    ] as const) {
      await filesystem.setattr(ino, { mode }, ctx);
      await filesystem.write(ino, 0, Buffer.from('x'), 0, 0, ctx);
      expect((await overlay.fs.stat('file')).mode & 0o7777).toBe(mode);
      invalidated = [];
      await filesystem.write(ino, 0, Buffer.from('x'), 0, WRITE_CLEAR_SET_ID, ctx);
      expect((await overlay.fs.stat('file')).mode & 0o7777).toBe(left);
      expect(invalidated).toEqual([[ino, -1]]);
    }
  });
});

describe('with passthrough', () => {
  beforeEach(() => {
    mayPass = true;
  });

  test('readers share one registration, which ends with the last of them', async () => {
    overlay = new UpperOverlay(seed, { notifier: kernel });
    const { filesystem, ctx } = overlay.fs;
    const { ino } = await overlay.fs.stat('dir/large');
    const first = await filesystem.open(ino, O_RDONLY, ctx);
    const second = await filesystem.open(ino, O_RDONLY, ctx);
    expect([first.backingId, second.backingId]).toEqual([1, 1]);
    filesystem.release(first.fh);
    expect([...registered.keys()]).toEqual([1]);
    filesystem.release(second.fh);
    expect(registered.size).toBe(0);
    const small = await filesystem.open((await overlay.fs.stat('file')).ino, O_RDONLY, ctx);
    expect(small.backingId).toBeUndefined();
    filesystem.release(small.fh);
  });

  test('a file whose content is about to move is parted from its readers', async () => {
    overlay = new UpperOverlay(seed, { notifier: kernel });
    const { filesystem, ctx } = overlay.fs;
    const before = await overlay.fs.stat('dir/large');
    const reader = await filesystem.open(before.ino, O_RDONLY, ctx);
    expect(await outcome(async () => filesystem.open(before.ino, O_RDWR, ctx))).toBe('ESTALE');
    const parent = (await overlay.fs.stat('dir')).ino;
    const entry = await filesystem.lookup(parent, 'large', ctx);
    const node = entry.node ?? 0;
    expect(entry.attributes.ino).toBe(before.ino);
    expect(node).not.toBe(before.ino);
    filesystem.release((await filesystem.open(before.ino, O_RDONLY, ctx)).fh);
    const writer = await filesystem.open(node, O_RDWR, ctx);
    expect(writer.backingId).toBeUndefined();
    await filesystem.write(node, writer.fh, Buffer.from('new'), 0, 0, ctx);
    const bytes = Buffer.alloc(3);
    expect(await filesystem.read(node, writer.fh, bytes, 0, ctx)).toBe(3);
    expect(bytes.toString()).toBe('new');
    // The readers' file is still the one in the store.
    expectBytes(readFileSync(`/proc/self/fd/${registered.get(1)}`), LARGE);
    // Without a name there is nothing to find again.
    expect(await outcome(async () => filesystem.open(before.ino, O_RDWR, ctx))).toBe('ESTALE');
    for (const { fh } of [reader, writer]) filesystem.release(fh);
    filesystem.forget(node, 1);
  });

  test('a file that is open through the page cache is opened so, also for reading', async () => {
    overlay = new UpperOverlay(seed, { notifier: kernel });
    const { filesystem, ctx } = overlay.fs;
    const { ino } = await overlay.fs.stat('dir/large');
    const writer = await filesystem.open(ino, O_RDWR, ctx);
    const reader = await filesystem.open(ino, O_RDONLY, ctx);
    expect([writer.backingId, reader.backingId]).toEqual([undefined, undefined]);
    for (const { fh } of [reader, writer]) filesystem.release(fh);
    expect((await filesystem.open(ino, O_RDONLY, ctx)).backingId).toBe(1);
  });

  test('many small files end the asking, but not while the kernel has a file in its hands', async () => {
    overlay = new UpperOverlay(seed, { notifier: kernel });
    const { filesystem, ctx } = overlay.fs;
    const small = (await overlay.fs.stat('file')).ino;
    const large = await filesystem.open((await overlay.fs.stat('dir/large')).ino, O_RDONLY, ctx);
    for (let index = 0; index < MANY; index++)
      filesystem.release((await filesystem.open(small, O_RDONLY, ctx)).fh);
    const kept = await filesystem.open(small, O_RDWR, ctx);
    filesystem.release(large.fh);
    expect(await outcome(async () => filesystem.open(small, O_RDONLY, ctx))).toBe('ENOSYS');
    // An open file from before works on, and is not released any more.
    expect(await filesystem.write(small, kept.fh, Buffer.from('kept'), 0, 0, ctx)).toBe(4);
    overlay.fs.forget(small);
    expect(openDescriptorsBelow(overlay.upper())).toEqual([]);
  });

  test('a mount that may not omit open asks for ever', async () => {
    mayOmitOpen = false;
    overlay = new UpperOverlay(seed, { notifier: kernel });
    const { filesystem, ctx } = overlay.fs;
    const { ino } = await overlay.fs.stat('file');
    for (let index = 0; index < MANY; index++)
      filesystem.release((await filesystem.open(ino, O_RDONLY, ctx)).fh);
  });
});
