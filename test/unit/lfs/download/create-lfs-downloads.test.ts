// Downloads that nothing goes wrong with.
import {
  closeSync,
  existsSync,
  fstatSync,
  readSync,
  statSync,
  utimesSync,
  writeFileSync,
  chmodSync,
} from 'node:fs';
import { describe, expect, test, vi } from 'vitest';
import type { ArrivingContent } from '../../../../src/util/arriving-content.ts';
import type { LfsObject } from '../../../../src/lfs/lfs-object.ts';
import { oidOf } from '../../../support/lfs-range-server.ts';
import { readOpenFile } from '../../../support/store-folder.ts';
import {
  arrivingPath,
  client,
  downloads,
  failures,
  isStored,
  MEGABYTE,
  openView,
  proxy,
  readStored,
  restart,
  serve,
  server,
  storedPath,
  warnings,
} from './fixture.ts';

const never = new AbortController().signal;

async function read(view: ArrivingContent, position: number, length: number): Promise<Buffer> {
  await view.ready(position, length, { signal: never });
  const bytes = Buffer.alloc(length);
  return bytes.subarray(0, readSync(view.fd, bytes, 0, length, position));
}

describe('fetch', () => {
  test('stores an object in the layout of git-lfs, read-only, and leaves nothing else', async () => {
    const { content, object } = serve(3 * MEGABYTE + 17);
    const seen: number[] = [];
    await downloads.fetch(client, object, { onBytes: (bytes) => seen.push(bytes) });
    expect(readStored(object)?.equals(content)).toBe(true);
    expect(statSync(storedPath(object)).mode & 0o777).toBe(0o444);
    expect(seen.reduce((a, b) => a + b, 0)).toBe(object.size);
    await downloads.close();
    expect(existsSync(arrivingPath(object))).toBe(false);
    expect([failures, warnings]).toEqual([[], []]);
  });

  test('refuses a pointer that tells a wrong size of a stored object, and says so', async () => {
    const { object } = serve(MEGABYTE);
    await downloads.fetch(client, object);
    const wrong = { ...object, size: 3, path: 'assets/liar.bin' };
    const refused = expect.objectContaining({
      kind: 'invalid',
      message: expect.stringMatching(/liar.*3 bytes/u),
    });
    expect(downloads.openStored(wrong)).toBeUndefined();
    expect(() => downloads.open(client, wrong)).toThrow(refused);
    await expect(downloads.fetch(client, wrong)).rejects.toEqual(refused);
    expect(failures).toEqual([expect.objectContaining({ path: 'assets/liar.bin', oid: object.oid })]);
    closeSync(downloads.openStored(object) as number);
  });

  test('does not let a pointer that tells a wrong size spoil one of the same object', async () => {
    const { object } = serve(2 * MEGABYTE);
    const wrong = { ...object, size: 3, path: 'assets/liar.bin' };
    const outcomes = await Promise.allSettled([
      downloads.fetch(client, wrong),
      downloads.fetch(client, object),
      downloads.fetch(client, wrong),
    ]);
    expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'fulfilled', 'rejected']);
    await downloads.fetch(client, object);
    expect(failures.map(({ path }) => path)).not.toContain(object.path);
  });

  test('transfers an object once, whoever wants it at the same time', async () => {
    const { object } = serve(2 * MEGABYTE);
    await Promise.all(Array.from({ length: 10 }, () => downloads.fetch(client, object)));
    await downloads.fetch(client, object);
    expect(server.downloads).toHaveLength(1);
    expect(server.batches).toBe(1);
  });

  test('asks for many objects at once, and has a few of them on their way', async () => {
    const objects = Array.from({ length: 30 }, (_, seed) => serve(10_000, seed).object);
    await client.locate(objects);
    await Promise.all(objects.map((object) => downloads.fetch(client, object, { priority: 'prefetch' })));
    expect(server.batches).toBe(1);
    expect(proxy.maxInFlight).toBeLessThanOrEqual(4);
    expect(objects.every(isStored)).toBe(true);
  });

  test('an object without bytes needs no server', async () => {
    const object = { oid: oidOf(Buffer.alloc(0)), size: 0, path: 'empty' };
    await downloads.fetch(client, object);
    const fd = await downloads.open(client, object);
    expect(fstatSync(fd as number).size).toBe(0);
    closeSync(fd as number);
    expect(proxy.requests).toHaveLength(0);
    await expect(downloads.fetch(client, { ...object, oid: oidOf(Buffer.from('x')) })).rejects.toMatchObject({
      kind: 'corrupt',
    });
  });

  test('is given up by who asked for it', async () => {
    const { object } = serve(2 * MEGABYTE);
    proxy.inject({ kind: 'stall', afterBytes: 100_000 }, { path: '/data/' });
    const giveUp = new AbortController();
    const fetching = downloads.fetch(client, object, { signal: giveUp.signal });
    await vi.waitFor(() => expect(downloads.status().transfers[0]?.bytes).toBeGreaterThan(0));
    giveUp.abort();
    await expect(fetching).rejects.toMatchObject({ kind: 'aborted' });
    expect(failures).toEqual([]);
  });
});

describe('open', () => {
  test('serves bytes before the rest has come, and the same file is the complete one', async () => {
    const { content, object } = serve(8 * MEGABYTE);
    proxy.inject({ kind: 'stall', afterBytes: 4 * MEGABYTE }, { path: '/data/', times: 1 });
    const view = await openView(object);
    expect(await read(view, 0, 100_000)).toEqual(content.subarray(0, 100_000));
    expect(view.isComplete).toBe(false);
    expect(isStored(object)).toBe(false);
    // The server fell silent; the rest is fetched by another request.
    await vi.waitFor(() => expect(view.isComplete).toBe(true), { timeout: 20_000 });
    expect(readOpenFile(view.fd).equals(content)).toBe(true);
    expect(fstatSync(view.fd).ino).toBe(statSync(storedPath(object)).ino);
    expect(view.ready(0, object.size, { signal: never })).toBeUndefined();
    const again = await downloads.open(client, object);
    expect(readOpenFile(again as number).equals(content)).toBe(true);
    closeSync(again as number);
  }, 30_000);

  test('a read in the middle does not wait for what comes before it', async () => {
    const { content, object } = serve(64 * MEGABYTE);
    proxy.inject({ kind: 'drip', bytes: 16_384, everyMs: 20 }, { path: '/data/', times: 1 });
    const view = await openView(object);
    const middle = 40 * MEGABYTE;
    expect(await read(view, middle, 4096)).toEqual(content.subarray(middle, middle + 4096));
    expect(downloads.status().transfers[0]?.bytes).toBeLessThan(8 * MEGABYTE);
    expect(server.downloads.map(({ range }) => range)).toEqual([
      undefined,
      expect.stringMatching(/^bytes=41943040-/),
    ]);
  });

  test('a small object is served when it is verified', async () => {
    const { content, object } = serve(500_000);
    const view = await openView(object);
    expect(await read(view, 1000, 1000)).toEqual(content.subarray(1000, 2000));
    expect(view.isComplete).toBe(true);
  });

  test('of a very large object only what is read is fetched', async () => {
    const size = 10 * 1024 * MEGABYTE;
    const made = (start: number, end: number): Buffer => Buffer.alloc(end - start, start % 251);
    const object = { oid: 'a'.repeat(64), size, path: 'huge.iso' };
    server.objects.set(object.oid, { size, read: made });
    const view = await openView(object);
    const middle = size / 2;
    for (let at = middle; at < middle + MEGABYTE; at += 131_072) await read(view, at, 131_072);
    expect(server.batches).toBe(1);
    expect(server.downloads).toHaveLength(1);
    expect(proxy.bytes).toBeLessThanOrEqual(8 * MEGABYTE);
    expect(statSync(`${arrivingPath(object)}/data`).blocks * 512).toBeLessThan(9 * MEGABYTE);
    // What was fetched is there for the next one.
    view.close();
    const before = server.downloads.length;
    const again = await openView(object);
    await read(again, middle + 65_536, 65_536);
    expect(server.downloads).toHaveLength(before);
  });

  test('who reads a very large object in order is gone ahead of, in growing steps', async () => {
    restart({ rangesAbove: MEGABYTE });
    const { content, object } = serve(96 * MEGABYTE);
    const view = await openView(object);
    for (let at = 0; at < 64 * MEGABYTE; at += 131_072) {
      expect((await read(view, at, 131_072)).equals(content.subarray(at, at + 131_072))).toBe(true);
    }
    expect(server.downloads.length).toBeLessThan(9);
  });

  test('a reader that gives up does not disturb another', async () => {
    const { content, object } = serve(4 * MEGABYTE);
    proxy.latencyMs = 100;
    const view = await openView(object);
    const giveUp = new AbortController();
    const first = view.ready(0, 4096, { signal: giveUp.signal });
    const second = read(view, 0, 4096);
    giveUp.abort();
    await expect(first).rejects.toMatchObject({ code: 'EINTR' });
    expect(await second).toEqual(content.subarray(0, 4096));
  });

  test('goes on for a while without readers, and then stops and keeps what has come', async () => {
    const { object } = serve(16 * MEGABYTE);
    proxy.inject({ kind: 'drip', bytes: 16_384, everyMs: 20 }, { path: '/data/' });
    const view = await openView(object);
    await read(view, 0, 4096).catch(() => undefined);
    view.close();
    expect(downloads.status().transfers).toHaveLength(1);
    await vi.waitFor(() => expect(downloads.status().transfers).toHaveLength(0), { timeout: 15_000 });
    expect(existsSync(`${arrivingPath(object)}/ranges`)).toBe(true);
  }, 30_000);
});

describe('what is stored', () => {
  test('is verified when somebody else wrote it, and fetched again when it is wrong', async () => {
    const { content, object } = serve(2 * MEGABYTE);
    await downloads.fetch(client, object);
    utimesSync(storedPath(object), new Date(), new Date());
    expect(downloads.has(object.oid)).toBe(false);
    closeSync((await downloads.open(client, object)) as number);
    expect(downloads.has(object.oid)).toBe(true);
    chmodSync(storedPath(object), 0o644);
    writeFileSync(storedPath(object), 'rubbish');
    expect(downloads.has(object.oid)).toBe(false);
    await downloads.fetch(client, object);
    expect(readStored(object)?.equals(content)).toBe(true);
    expect(warnings).toEqual([expect.stringContaining('was damaged')]);
    expect(server.downloads).toHaveLength(2);
  });

  test('is not lost, and is waited for no longer, when whoever opens it gives up while it is verified', async () => {
    const { object } = serve(2 * MEGABYTE);
    await downloads.fetch(client, object);
    utimesSync(storedPath(object), new Date(), new Date());
    const reader = new AbortController();
    const opening = downloads.open(client, object, { signal: reader.signal });
    reader.abort();
    await expect(opening).rejects.toMatchObject({ kind: 'aborted' });
    const late = downloads.open(client, object);
    const closing = downloads.close();
    await expect(late).rejects.toMatchObject({ kind: 'aborted' });
    await closing;
    expect([isStored(object), warnings, failures]).toEqual([true, [], []]);
    restart();
    const opened = await Promise.all([downloads.open(client, object), downloads.open(client, object)]);
    for (const fd of opened) closeSync(fd as number);
    expect(server.downloads).toHaveLength(1);
  });

  test('is listed, and removed unless it is open', async () => {
    const served = [1, 2, 3].map((seed) => serve(10_000, seed).object);
    for (const object of served) await downloads.fetch(client, object);
    const listed: unknown[] = [];
    for await (const found of downloads.stored()) listed.push(found);
    expect(listed).toEqual(
      served.map(({ oid, size }) => ({ oid, size })).sort((a, b) => (a.oid < b.oid ? -1 : 1)),
    );
    const [first, second] = served;
    const fd = downloads.openStored(first as LfsObject) as number;
    await vi.waitFor(() =>
      expect(downloads.remove([second?.oid ?? ''])).toEqual([{ oid: second?.oid, size: 10_000 }]),
    );
    expect(downloads.remove([first?.oid ?? '', second?.oid ?? ''])).toEqual([]);
    closeSync(fd);
    expect(served.map(isStored)).toEqual([true, false, true]);
  });
});
