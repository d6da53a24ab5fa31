// Reading content that is still arriving: what waits, what does not, and what becomes of it.
import { constants, readFileSync, rmSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { KernelNotifier } from '../../../src/fuse/filesystem.ts';
import { ErrnoError, type ErrnoName } from '../../../src/util/errno.ts';
import { createCallContext } from '../../support/call-context.ts';
import { expectBytes, outcome } from '../../support/filesystem-assertions.ts';
import { randomBytes } from '../../support/random.ts';
import { ScriptedArrival } from '../../support/scripted-arrival.mjs';
import { seedFile } from '../../support/seed-tree.ts';
import { makeTestFolder } from '../../support/test-folder.ts';
import { UpperOverlay } from '../../support/upper-overlay.ts';

const SIZE = 2 * 1024 * 1024 + 100;
const KIB = 1024;
const { O_RDONLY, O_RDWR } = constants;
const SEEK_DATA = 3;
const SEEK_HOLE = 4;
const content = randomBytes(SIZE, 21);

let folder: string;
let arrival: ScriptedArrival;
let overlay: UpperOverlay;
let invalidated: [number, number][];
let registered: number;
let refusal: ErrnoName | undefined;

const kernel: KernelNotifier = {
  invalidateInode: (ino, offset) => void invalidated.push([ino, offset]),
  invalidateEntry: () => undefined,
  passthrough: { register: () => ++registered, unregister: () => undefined },
};

beforeEach(() => {
  invalidated = [];
  registered = 0;
  refusal = undefined;
  folder = makeTestFolder();
  arrival = new ScriptedArrival(
    `${folder}/arriving`,
    content,
    (errno, message) => new ErrnoError(errno as ErrnoName, message),
  );
  overlay = new UpperOverlay(
    { 'large.bin': seedFile(content), other: seedFile('other') },
    {
      notifier: kernel,
      wrap: (layer) => ({
        ...layer,
        openToRead: (entry, request) => {
          if (entry.name !== 'large.bin') return layer.open(entry, request);
          if (refusal !== undefined) throw new ErrnoError(refusal);
          return arrival.open();
        },
      }),
    },
  );
});
afterEach(async () => {
  vi.useRealTimers();
  await overlay.dispose();
  expect(arrival.views).toBe(0);
  rmSync(folder, { recursive: true });
});

async function inoOf(): Promise<number> {
  return (await overlay.fs.stat('large.bin')).ino;
}

/** Starts to read; without a handle unless one is given. */
async function read(position: number, length: number, fh = 0, signal?: AbortSignal): Promise<Buffer> {
  const target = Buffer.alloc(length);
  const ctx = createCallContext(signal === undefined ? {} : { signal });
  const count = await overlay.fs.filesystem.read(await inoOf(), fh, target, position, ctx);
  return target.subarray(0, count);
}

/** Whether something is still not there after everything that could run has run. */
async function isWaiting(promise: Promise<unknown>): Promise<boolean> {
  const waits = new Promise<true>((done) => {
    setImmediate(() => setImmediate(() => done(true)));
  });
  return Promise.race([promise.then(() => false), waits]);
}

describe('reading', () => {
  test('what has arrived is read at once, and the rest when it comes, in any order', async () => {
    const ino = await inoOf();
    const target = Buffer.alloc(10);
    arrival.arrive(100, 200);
    expect(overlay.fs.filesystem.read(ino, 0, target, 110, overlay.fs.ctx)).toBe(10);
    expectBytes(target, content.subarray(110, 120));
    const late = read(0, 50);
    const middle = read(KIB * KIB, 4 * KIB);
    expect(await isWaiting(late)).toBe(true);
    arrival.arrive(KIB * KIB, KIB * KIB + 4 * KIB);
    expectBytes(await middle, content.subarray(KIB * KIB, KIB * KIB + 4 * KIB));
    expect(await isWaiting(late)).toBe(true);
    arrival.arrive(0, 50);
    expectBytes(await late, content.subarray(0, 50));
    expect(arrival.asked).toEqual([
      [0, 50],
      [KIB * KIB, 4 * KIB],
    ]);
    expect(arrival.opens).toBe(1);
  });

  test('a read at the end asks for no more than there is', async () => {
    const end = read(SIZE - 10, 4 * KIB);
    await isWaiting(end);
    expect(arrival.asked).toEqual([[SIZE - 10, 10]]);
    arrival.arrive(SIZE - 10, SIZE);
    expectBytes(await end, content.subarray(SIZE - 10));
    expect((await read(SIZE + 5, 10)).length).toBe(0);
  });

  test('an interrupted reader gives up, and others go on', async () => {
    const abort = new AbortController();
    const interrupted = outcome(() => read(0, 10, 0, abort.signal));
    const other = read(0, 10);
    await isWaiting(other);
    abort.abort();
    expect(await interrupted).toBe('EINTR');
    arrival.arrive(0, 10);
    expectBytes(await other, content.subarray(0, 10));
    expect(arrival.opens).toBe(1);
  });

  test('what fails is told to whoever waits, and the next read begins anew', async () => {
    const ino = await inoOf();
    arrival.arrive(0, 10);
    await read(0, 10);
    const first = outcome(() => read(50, 10));
    const second = outcome(() => read(90, 10));
    await isWaiting(first);
    invalidated = [];
    arrival.fail('EHOSTUNREACH', 'the server is away');
    expect([await first, await second]).toEqual(['EHOSTUNREACH', 'EHOSTUNREACH']);
    expect(arrival.views).toBe(0);
    expect(invalidated).toEqual([[ino, 0]]);
    arrival.mend();
    arrival.arrive(50, 60);
    expectBytes(await read(50, 10), content.subarray(50, 60));
    expect(arrival.opens).toBe(2);
  });

  test('wrong bytes are forgotten by the kernel too, also where nobody waits', async () => {
    const ino = await inoOf();
    const { filesystem, ctx } = overlay.fs;
    const { fh } = await filesystem.open(ino, O_RDONLY, ctx);
    arrival.arrive();
    await read(0, 10, fh);
    arrival.discard();
    expect(arrival.views).toBe(0);
    expect(invalidated).toEqual([[ino, 0]]);
    expect(await outcome(() => read(0, 10, fh))).toBe('EIO');
    arrival.mend();
    arrival.complete();
    // Whoever has wrong bytes must not go on with right ones, and end well.
    expect(await outcome(() => read(20, 10, fh))).toBe('EIO');
    const { fh: again } = await filesystem.open(ino, O_RDONLY, ctx);
    expectBytes(await read(0, 10, again), content.subarray(0, 10));
    filesystem.release(again);
    filesystem.release(fh);
  });

  test('where nobody knows who has read wrong bytes, reads fail for a while', async () => {
    await inoOf();
    arrival.arrive();
    await read(0, 10);
    arrival.discard();
    arrival.mend();
    arrival.complete();
    expect(await outcome(() => read(20, 10))).toBe('EIO');
    const later = Date.now() + 3000;
    vi.spyOn(Date, 'now').mockReturnValue(later);
    expectBytes(await read(20, 10), content.subarray(20, 30));
    vi.restoreAllMocks();
  });

  test('an open that is refused fails as the layer says', async () => {
    const ino = await inoOf();
    for (const errno of ['ENODATA', 'EACCES', 'EHOSTUNREACH', 'ETIMEDOUT'] as const) {
      refusal = errno;
      const { filesystem, ctx } = overlay.fs;
      expect(await outcome(async () => filesystem.open(ino, O_RDONLY, ctx))).toBe(errno);
      expect(await outcome(() => read(0, 1))).toBe(errno);
    }
  });

  test('it is not closed while a reader waits; idle it is, and the kernel forgets what was never checked', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    const ino = await inoOf();
    const waiting = read(0, 10);
    await isWaiting(waiting);
    vi.advanceTimersByTime(10_000);
    expect(arrival.views).toBe(1);
    arrival.arrive(0, 10);
    await waiting;
    expect(invalidated).toEqual([]);
    vi.advanceTimersByTime(10_000);
    expect(arrival.views).toBe(0);
    expect(invalidated).toEqual([[ino, 0]]);
  });

  test('an overlay that ends while a reader waits closes it after that reader', async () => {
    const abort = new AbortController();
    const waiting = outcome(() => read(0, 10, 0, abort.signal));
    await isWaiting(waiting);
    await overlay.reopen();
    expect(arrival.views).toBe(1);
    abort.abort();
    expect(await waiting).toBe('EINTR');
    expect(arrival.views).toBe(0);
  });

  test('complete content stays in the kernel when it is closed', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    arrival.arrive(0, 10);
    await read(0, 10);
    arrival.complete();
    expectBytes(await read(SIZE - 5, 5), content.subarray(SIZE - 5));
    vi.advanceTimersByTime(10_000);
    expect(arrival.views).toBe(0);
    expect(invalidated).toEqual([]);
  });

  test('a size that the layer told wrong fails the open', async () => {
    await overlay.dispose();
    arrival = new ScriptedArrival(`${folder}/short`, content.subarray(0, 10), () => new Error('not asked'));
    overlay = new UpperOverlay(
      { 'large.bin': seedFile(content) },
      { wrap: (layer) => ({ ...layer, openToRead: () => arrival.open() }) },
    );
    expect(await outcome(() => read(0, 1))).toBe('EIO');
  });
});

describe('beside reading', () => {
  test('what has not arrived is no hole', async () => {
    const ino = await inoOf();
    const { filesystem, ctx } = overlay.fs;
    expect(await filesystem.lseek(ino, 0, 5000, SEEK_DATA, ctx)).toBe(5000);
    expect(await filesystem.lseek(ino, 0, 5000, SEEK_HOLE, ctx)).toBe(SIZE);
    expect(await outcome(async () => filesystem.lseek(ino, 0, SIZE, SEEK_DATA, ctx))).toBe('ENXIO');
  });

  test('a copy of a range waits for it', async () => {
    const ino = await inoOf();
    const { filesystem, ctx } = overlay.fs;
    const target = await filesystem.open((await overlay.fs.stat('other')).ino, O_RDWR, ctx);
    const to = { ino: (await overlay.fs.stat('other')).ino, fh: target.fh, offset: 0 };
    const from = { ino, fh: 0, offset: 1000 };
    const copy = Promise.resolve(filesystem.copyFileRange(from, to, 300, ctx));
    await expect.poll(() => arrival.asked).toEqual([[1000, 300]]);
    expect(await isWaiting(copy)).toBe(true);
    arrival.arrive(1000, 1300);
    expect(await copy).toBe(300);
    expectBytes(readFileSync(overlay.upper('other')), content.subarray(1000, 1300));
    filesystem.release(target.fh);
  });

  test('the kernel reads it by itself once it is complete, and nobody has it open otherwise', async () => {
    const ino = await inoOf();
    const { filesystem, ctx } = overlay.fs;
    const open = async (): Promise<{ fh: number; backingId?: number }> => filesystem.open(ino, O_RDONLY, ctx);
    const early = await open();
    expect(early.backingId).toBeUndefined();
    arrival.complete();
    const second = await open();
    expect(second.backingId).toBeUndefined();
    for (const { fh } of [early, second]) filesystem.release(fh);
    const late = await open();
    expect(late.backingId).toBe(1);
    filesystem.release(late.fh);
  });

  test('a write waits for the whole of it and leaves readers what they read', async () => {
    const ino = await inoOf();
    const waiting = read(0, 10);
    await isWaiting(waiting);
    const { filesystem, ctx } = overlay.fs;
    await filesystem.write(ino, 0, Buffer.from('new'), 0, 0, ctx);
    expect(arrival.views).toBe(1);
    arrival.arrive(0, 10);
    expectBytes(await waiting, content.subarray(0, 10));
    expect((await read(0, 5)).toString('latin1', 0, 3)).toBe('new');
    expect(arrival.views).toBe(0);
  });
});
