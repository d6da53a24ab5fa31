// Downloads that are cut off: by a killed process, a restart, a start of the machine, a full disk; and many readers.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  existsSync,
  linkSync,
  readdirSync,
  readFileSync,
  readSync,
  statSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { createLfsDownloads } from '../../../../src/lfs/download/create-lfs-downloads.ts';
import { removeStaleArrivals } from '../../../../src/lfs/download/stale-arrivals.ts';
import type { ArrivingContent } from '../../../../src/util/arriving-content.ts';
import { compileSource, type CompiledSource } from '../../../support/compile-source.ts';
import { createRandom } from '../../../support/random.ts';
import { CAN_MOUNT_DISKS, createSmallDisk } from '../../../support/small-disk.ts';
import { readOpenFile } from '../../../support/store-folder.ts';
import {
  arrivingPath,
  client,
  downloads,
  failures,
  folder,
  isStored,
  MEGABYTE,
  openView,
  proxy,
  readStored,
  restart,
  serve,
  storedPath,
} from './fixture.ts';

const never = new AbortController().signal;
const data = { path: '/data/' };

async function read(view: ArrivingContent, position: number, length: number): Promise<Buffer> {
  await view.ready(position, length, { signal: never });
  const bytes = Buffer.alloc(length);
  return bytes.subarray(0, readSync(view.fd, bytes, 0, length, position));
}

/** Bytes that a `ranges` file says are there. */
function recorded(object: { readonly oid: string; readonly size: number; readonly path: string }): number {
  const text = readFileSync(join(arrivingPath(object), 'ranges'), 'utf8').split('\n')[1] ?? '';
  const { ranges } = JSON.parse(text) as { ranges: [number, number][] };
  return ranges.reduce((sum, [start, end]) => sum + end - start, 0);
}

describe('a killed process', () => {
  let compiled: CompiledSource;
  beforeAll(async () => {
    compiled = await compileSource();
  });
  afterAll(() => compiled.remove());

  const CHILD = (downloadsUrl: string, clientUrl: string): string => `
import { createLfsDownloads } from ${JSON.stringify(downloadsUrl)};
import { createLfsClient } from ${JSON.stringify(clientUrl)};
const [directory, url, object] = process.argv.slice(2);
const client = createLfsClient({ baseUrl: url, lfsUrl: url, path: '/', connectTimeoutMs: 5000, silenceTimeoutMs: 5000, concurrency: 2 });
const downloads = createLfsDownloads({ directory, rangesAbove: 2 ** 30, concurrency: 2 });
await downloads.fetch(client, JSON.parse(object));
`;

  test('leaves what had come, and only the rest is fetched by the next one', async () => {
    const { content, object } = serve(24 * MEGABYTE);
    const script = join(folder.path, 'child.mjs');
    writeFileSync(
      script,
      CHILD(
        compiled.urlOf('lfs/download/create-lfs-downloads.ts'),
        compiled.urlOf('lfs/client/create-lfs-client.ts'),
      ),
    );
    const heal = proxy.inject({ kind: 'drip', bytes: 65_536, everyMs: 4 }, data);
    const child = fork(script, [folder.path, proxy.url, JSON.stringify(object)]);
    const exited = once(child, 'exit');
    try {
      await vi.waitFor(() => expect(recorded(object)).toBeGreaterThan(6 * MEGABYTE), {
        timeout: 30_000,
        interval: 20,
      });
    } finally {
      child.kill('SIGKILL');
      await exited;
    }
    const there = recorded(object);
    heal();
    proxy.reset();
    await downloads.fetch(client, object);
    expect(readStored(object)?.equals(content)).toBe(true);
    expect(proxy.bytes).toBe(
      object.size -
        there +
        proxy.requests.reduce((sum, { url, bytes }) => sum + (url.includes('/data/') ? 0 : bytes), 0),
    );
  }, 90_000);
});

describe('the next start', () => {
  async function cutOff(bytes: number): Promise<ReturnType<typeof serve>> {
    const served = serve(bytes);
    const heal = proxy.inject({ kind: 'stall', afterBytes: bytes / 2 }, data);
    const view = await openView(served.object);
    await read(view, bytes / 2 - 200_000, 4096);
    view.close();
    await downloads.close();
    heal();
    proxy.reset();
    return served;
  }

  test('serves what is there without asking for it, and fetches the rest', async () => {
    const { content, object } = await cutOff(8 * MEGABYTE);
    restart();
    const view = await openView(object);
    expect(view.ready(0, MEGABYTE, { signal: never })).toBeUndefined();
    await vi.waitFor(() => expect(view.isComplete).toBe(true), { timeout: 20_000 });
    expect(readOpenFile(view.fd).equals(content)).toBe(true);
    expect(proxy.bytes).toBeLessThan(5 * MEGABYTE);
  });

  test('believes nothing of an earlier boot that was not synced', async () => {
    const { content, object } = await cutOff(8 * MEGABYTE);
    const path = join(arrivingPath(object), 'ranges');
    const { createHash } = await import('node:crypto');
    const json = JSON.stringify({
      ...(JSON.parse(readFileSync(path, 'utf8').split('\n')[1] ?? '') as object),
      boot: 3,
      synced: [[0, 1000]],
    });
    writeFileSync(path, `${createHash('sha256').update(json).digest('hex').slice(0, 16)}\n${json}\n`);
    restart();
    const view = await openView(object);
    expect(view.ready(0, 1000, { signal: never })).toBeUndefined();
    expect(view.ready(0, 1001, { signal: never })).toBeInstanceOf(Promise);
    await vi.waitFor(() => expect(view.isComplete).toBe(true), { timeout: 20_000 });
    expect(readOpenFile(view.fd).equals(content)).toBe(true);
  });

  test.each(['ranges', 'data'])('begins anew where %s is damaged', async (name) => {
    const { content, object } = await cutOff(4 * MEGABYTE);
    writeFileSync(join(arrivingPath(object), name), 'rubbish');
    restart();
    await downloads.fetch(client, object);
    expect(readStored(object)?.equals(content)).toBe(true);
  });

  test('notices bytes that changed on the disk, and fetches them again', async () => {
    const { content, object } = await cutOff(4 * MEGABYTE);
    const path = join(arrivingPath(object), 'data');
    const bytes = readFileSync(path);
    bytes[1000] = (bytes[1000] ?? 0) ^ 1;
    writeFileSync(path, bytes);
    restart();
    await downloads.fetch(client, object);
    expect(readStored(object)?.equals(content)).toBe(true);
  });

  test('throws away what nobody asked for in a month', async () => {
    const { object } = await cutOff(4 * MEGABYTE);
    const old = new Date(Date.now() - 31 * 24 * 3_600_000);
    await removeStaleArrivals(folder.path, () => false, undefined);
    expect(existsSync(arrivingPath(object))).toBe(true);
    utimesSync(join(arrivingPath(object), 'data'), old, old);
    await removeStaleArrivals(folder.path, () => true, undefined);
    expect(existsSync(arrivingPath(object))).toBe(true);
    await removeStaleArrivals(folder.path, () => false, undefined);
    expect(existsSync(arrivingPath(object))).toBe(false);
    restart();
  });
});

describe('many readers', () => {
  test('get the right bytes wherever they read, whatever the connection does', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.record({
          seed: fc.integer({ min: 1, max: 1_000_000 }),
          bytes: fc.integer({ min: 1, max: 5 * MEGABYTE }),
          readers: fc.integer({ min: 1, max: 6 }),
          whole: fc.boolean(),
          cutAfter: fc.option(fc.integer({ min: 1, max: 2 * MEGABYTE })),
        }),
        async ({ seed, bytes, readers, whole, cutAfter }) => {
          const { content, object } = serve(bytes, seed);
          const local = createLfsDownloads({
            directory: join(folder.path, `${seed}-${bytes}-${readers}`),
            rangesAbove: whole ? bytes : 0,
            concurrency: 2,
          });
          const heal =
            cutAfter === null
              ? undefined
              : proxy.inject({ kind: 'die', afterBytes: cutAfter }, { ...data, times: 3 });
          const random = createRandom(seed);
          await Promise.all(
            Array.from({ length: readers }, async () => {
              const view = await local.open(client, object);
              if (typeof view === 'number') return closeSync(view);
              for (let turn = 0; turn < 12; turn++) {
                const at = Math.floor(random() * bytes);
                const length = Math.min(bytes - at, Math.ceil(random() * 300_000));
                const got = await read(view, at, length);
                if (!got.equals(content.subarray(at, at + length))) throw new Error(`wrong bytes at ${at}`);
              }
              view.close();
            }),
          );
          heal?.();
          await local.fetch(client, object);
          const fd = local.openStored(object) ?? -1;
          const isRight = readOpenFile(fd).equals(content);
          closeSync(fd);
          await local.close();
          expect(isRight).toBe(true);
        },
      ),
      { numRuns: 25 },
    );
  }, 120_000);
});

describe.runIf(CAN_MOUNT_DISKS)('a full disk', () => {
  test('is an error of those who want it all, and nothing is left', async () => {
    const { object } = serve(6 * MEGABYTE);
    using disk = createSmallDisk(4 * MEGABYTE);
    const small = restart({ directory: disk.path });
    await expect(small.fetch(client, object)).rejects.toMatchObject({ code: 'ENOSPC' });
    expect(failures.map(({ path }) => path)).toEqual([object.path]);
    await small.close();
    expect(readdirSync(join(disk.path, 'lfs', 'incomplete'))).toEqual([]);
    restart();
  });

  test('does not keep what fits from being read', async () => {
    const { content, object } = serve(32 * MEGABYTE);
    using disk = createSmallDisk(16 * MEGABYTE);
    const small = restart({ directory: disk.path });
    const view = (await small.open(client, object)) as ArrivingContent;
    expect(
      (await read(view, 30 * MEGABYTE, 4096)).equals(content.subarray(30 * MEGABYTE, 30 * MEGABYTE + 4096)),
    ).toBe(true);
    view.close();
    await small.close();
    restart();
  });

  test('that others fill meanwhile is an error of the reader, and is cleaned up', async () => {
    const { object } = serve(8 * MEGABYTE);
    using disk = createSmallDisk(12 * MEGABYTE);
    const small = restart({ directory: disk.path });
    const heal = proxy.inject({ kind: 'drip', bytes: 65_536, everyMs: 20 }, data);
    const view = (await small.open(client, object)) as ArrivingContent;
    await read(view, 0, 4096);
    disk.fill();
    heal();
    await expect(
      (async () => {
        for (let at = 0; at < object.size; at += 131_072) await read(view, at, 131_072);
      })(),
    ).rejects.toMatchObject({ code: 'ENOSPC' });
    view.close();
    await vi.waitFor(() => expect(readdirSync(join(disk.path, 'lfs', 'incomplete'))).toEqual([]));
    await small.close();
    restart();
  });

  test.each([
    ['at once', 0],
    ['as soon as what was read last is closed', 2],
  ])('is made room on by the store, %s', async (_when, refusals) => {
    const { content, object } = serve(6 * MEGABYTE);
    using disk = createSmallDisk(8 * MEGABYTE);
    disk.fill();
    let asked = 0;
    const room = {
      stored: vi.fn(),
      used: vi.fn(),
      arrived: vi.fn(),
      removed: vi.fn(),
      makeRoom: () => {
        if (asked++ < refusals) return false;
        disk.empty();
        return true;
      },
    };
    const small = restart({ directory: disk.path, room });
    await small.fetch(client, object);
    const fd = small.openStored(object) ?? -1;
    expect(readOpenFile(fd).equals(content)).toBe(true);
    closeSync(fd);
    expect(room.stored).toHaveBeenCalledWith(object.oid, object.size);
    await small.close();
    restart();
  });
});

describe('adopting', () => {
  test('copies a file that may still be written to, and links one that may not', async () => {
    const { content, object } = serve(2 * MEGABYTE);
    const path = join(folder.path, 'local.bin');
    writeFileSync(path, content);
    expect(await downloads.adopt(object, path)).toBe(true);
    expect(statSync(storedPath(object)).ino).not.toBe(statSync(path).ino);
    expect(readStored(object)?.equals(content)).toBe(true);
    expect(await downloads.adopt(object, path, { mayLink: true })).toBe(true);
    expect(statSync(storedPath(object)).ino).toBe(statSync(path).ino);
    expect(statSync(path).mode & 0o222).toBe(0);
    expect(downloads.remove([object.oid])).toEqual([]);
    unlinkSync(path);
    await vi.waitFor(() => expect(downloads.remove([object.oid])).toHaveLength(1));
  });

  test('refuses what is not that object', async () => {
    const { content, object } = serve(10_000);
    const path = join(folder.path, 'local.bin');
    expect(await downloads.adopt(object, path)).toBe(false);
    writeFileSync(path, Buffer.alloc(10_000));
    expect(await downloads.adopt(object, path, { mayLink: true })).toBe(false);
    writeFileSync(path, content.subarray(1));
    expect(await downloads.adopt(object, path)).toBe(false);
    expect(await downloads.adopt(object, folder.path)).toBe(false);
    expect(isStored(object)).toBe(false);
    expect(readdirSync(join(folder.path, 'tmp'))).toEqual([]);
    linkSync(path, `${path}.2`);
    expect(statSync(path).mode & 0o200).toBe(0o200);
  });
});
