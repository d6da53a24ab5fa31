// Downloads over a network and from servers that do what they should not.
import { closeSync, existsSync, readSync, rmSync } from 'node:fs';
import { describe, expect, test, vi } from 'vitest';
import { toLfsErrno } from '../../../../src/lfs/lfs-errno.ts';
import type { ArrivingContent } from '../../../../src/util/arriving-content.ts';
import {
  arrivingPath,
  client,
  downloads,
  failures,
  isStored,
  MEGABYTE,
  openClient,
  openView,
  proxy,
  readStored,
  restart,
  serve,
  server,
  warnings,
} from './fixture.ts';

const never = new AbortController().signal;
const data = { path: '/data/' };
/** For what happens soon, on a busy machine too. */
const WAIT = { timeout: 20_000 };

async function read(view: ArrivingContent, position: number, length: number): Promise<Buffer> {
  await view.ready(position, length, { signal: never });
  const bytes = Buffer.alloc(length);
  return bytes.subarray(0, readSync(view.fd, bytes, 0, length, position));
}

describe('a transfer that breaks', () => {
  test('goes on where it stood, and fetches nothing twice', async () => {
    const { content, object } = serve(6 * MEGABYTE);
    proxy.inject({ kind: 'die', afterBytes: 2 * MEGABYTE }, { ...data, times: 2 });
    await downloads.fetch(client, object);
    expect(readStored(object)?.equals(content)).toBe(true);
    expect(server.downloads).toHaveLength(3);
    // What was under way when the connection broke may be lost.
    expect(proxy.bytes).toBeLessThan(object.size + 2 * MEGABYTE);
    expect(failures).toEqual([]);
  });

  test('counts tries anew whenever something came', async () => {
    const { content, object } = serve(3 * MEGABYTE);
    proxy.inject({ kind: 'die', afterBytes: 200_000 }, { ...data, times: 14 });
    await downloads.fetch(client, object);
    expect(readStored(object)?.equals(content)).toBe(true);
  });

  test('that stalls is begun again', async () => {
    const { content, object } = serve(2 * MEGABYTE);
    proxy.inject({ kind: 'stall', afterBytes: 500_000 }, { ...data, times: 1 });
    await downloads.fetch(client, object);
    expect(readStored(object)?.equals(content)).toBe(true);
  });

  test.each([
    ['a server that is overloaded', { kind: 'status', status: 503 } as const],
    ['a server that asks for patience', { kind: 'status', status: 429, retryAfter: '1' } as const],
    ['a connection that is reset', { kind: 'close', reset: true } as const],
  ])('by %s is tried again', async (_, fault) => {
    const { content, object } = serve(MEGABYTE + 1);
    proxy.inject(fault, { ...data, times: 2 });
    const startedAt = performance.now();
    await downloads.fetch(client, object);
    expect(readStored(object)?.equals(content)).toBe(true);
    if ('retryAfter' in fault) expect(performance.now() - startedAt).toBeGreaterThan(1900);
  });

  test('because its action expired asks for another one', async () => {
    const { content, object } = serve(2 * MEGABYTE);
    await client.locate([object]);
    server.expireActions();
    await downloads.fetch(client, object);
    expect(readStored(object)?.equals(content)).toBe(true);
    expect(server.batches).toBe(2);
  });

  test('for good is reported once, and tried again by the next one', async () => {
    const { content, object } = serve(2 * MEGABYTE);
    const heal = proxy.inject({ kind: 'status', status: 403 }, data);
    const tries = Array.from({ length: 5 }, () => downloads.fetch(client, object));
    for (const outcome of await Promise.allSettled(tries)) {
      expect(outcome).toMatchObject({ status: 'rejected', reason: { kind: 'refused' } });
    }
    expect(failures).toHaveLength(1);
    expect(failures[0]).toMatchObject({ oid: object.oid, path: object.path });
    expect(downloads.status().failures).toEqual(failures);
    // A storm of attempts does not reach the server.
    const asked = proxy.requests.length;
    await expect(downloads.fetch(client, object)).rejects.toMatchObject({ kind: 'refused' });
    expect(proxy.requests).toHaveLength(asked);
    heal();
    await vi.waitFor(() => downloads.fetch(client, object), { timeout: 10_000, interval: 200 });
    expect(readStored(object)?.equals(content)).toBe(true);
  });
});

describe('an object that cannot be had', () => {
  test('is missing', async () => {
    const { object } = serve(100);
    server.objects.clear();
    await expect(downloads.open(client, object)).rejects.toMatchObject({ kind: 'missing' });
    await expect(downloads.fetch(client, object)).rejects.toMatchObject({ kind: 'missing' });
    expect(failures.map(({ path }) => path)).toEqual([object.path]);
  });

  test('whose reader waits is an error of that reader, with its errno', async () => {
    const { object } = serve(4 * MEGABYTE);
    const view = await openView(object);
    server.objects.clear();
    server.expireActions();
    await expect(view.ready(0, 4096, { signal: never })).rejects.toMatchObject({ code: 'ENODATA' });
    expect(failures).toHaveLength(1);
  });

  test('of another size than the pointer says is an error, and nothing is kept', async () => {
    const { object } = serve(2 * MEGABYTE);
    await expect(downloads.fetch(client, { ...object, size: MEGABYTE })).rejects.toMatchObject({
      name: 'LfsError',
    });
    expect(isStored(object)).toBe(false);
  }, 60_000);

  test('because of a server that sends other ranges than it says it does is an error', async () => {
    const { object } = serve(4 * MEGABYTE);
    server.rangeShift = 1;
    proxy.inject({ kind: 'die', afterBytes: MEGABYTE }, { ...data, times: 1 });
    await expect(downloads.fetch(client, object)).rejects.toMatchObject({ kind: 'server' });
    expect(isStored(object)).toBe(false);
    expect(existsSync(arrivingPath(object))).toBe(true);
  }, 60_000);
});

test('an object whose folder somebody removes while it arrives is an error, never a missing file, and comes anew', async () => {
  const { content, object } = serve(4 * MEGABYTE);
  const heal = proxy.inject({ kind: 'stall', afterBytes: 2 * MEGABYTE }, data);
  const view = await openView(object);
  await read(view, 0, 4096);
  rmSync(arrivingPath(object), { recursive: true });
  heal();
  const rest = Promise.resolve(view.ready(3 * MEGABYTE, 4096, { signal: never })).then(() => view.isComplete);
  const outcome = await downloads.fetch(client, object).catch((error: unknown) => toLfsErrno(error).code);
  expect(outcome).toBe('EIO');
  await rest.catch(() => undefined);
  view.close();
  await vi.waitFor(() => downloads.fetch(client, object), { timeout: 15_000, interval: 200 });
  expect(readStored(object)?.equals(content)).toBe(true);
}, 40_000);

describe('wrong bytes', () => {
  test('that nobody has seen are fetched again', async () => {
    const { content, object } = serve(2 * MEGABYTE);
    proxy.inject({ kind: 'corrupt', at: 1_000_000 }, { ...data, times: 1 });
    await downloads.fetch(client, object);
    expect(readStored(object)?.equals(content)).toBe(true);
    expect(server.downloads).toHaveLength(2);
    expect(warnings).toEqual([expect.stringContaining(object.path)]);
    expect(failures).toEqual([]);
  });

  test('are never kept, and are an error when they come again', async () => {
    const { content, object } = serve(2 * MEGABYTE);
    const heal = proxy.inject({ kind: 'corrupt', at: 1_000_000 }, data);
    await expect(downloads.fetch(client, object)).rejects.toMatchObject({
      kind: 'corrupt',
      message: expect.stringContaining(object.oid) as string,
    });
    expect([isStored(object), existsSync(arrivingPath(object))]).toEqual([false, false]);
    expect(server.downloads).toHaveLength(2);
    expect(failures).toHaveLength(1);
    heal();
    await vi.waitFor(() => downloads.fetch(client, object), { timeout: 10_000, interval: 200 });
    expect(readStored(object)?.equals(content)).toBe(true);
  });

  test('that somebody has read end that view, and tell it; the next one gets the right ones', async () => {
    const { content, object } = serve(4 * MEGABYTE);
    // So that the end comes after the reader had a look.
    proxy.inject({ kind: 'corrupt', at: 10 }, { ...data, times: 1 });
    const view = await openView(object);
    const discarded = vi.fn();
    view.onDiscarded(discarded);
    await read(view, 0, 4096);
    await vi.waitFor(() => expect(discarded).toHaveBeenCalledTimes(1), { timeout: 10_000 });
    await expect(view.ready(0, 4096, { signal: never })).rejects.toMatchObject({ code: 'EIO' });
    expect(view.isComplete).toBe(false);
    view.close();
    await vi.waitFor(() => expect(isStored(object)).toBe(true), { timeout: 10_000 });
    expect(readStored(object)?.equals(content)).toBe(true);
    expect(failures).toHaveLength(1);
    expect(discarded).toHaveBeenCalledTimes(1);
  });

  test.each([10, 2 * MEGABYTE, 4 * MEGABYTE - 1])(
    'are never all that a reader gets: the last of them wait for the hash (byte %i)',
    async (at) => {
      for (let round = 0; round < 5; round++) {
        const { object } = serve(4 * MEGABYTE, 100 * at + round);
        proxy.inject({ kind: 'corrupt', at }, { ...data, times: 1 });
        const view = await openView(object);
        const parts = Array.from({ length: 32 }, (_, nth) => read(view, nth * 131_072, 131_072));
        const outcomes = await Promise.allSettled(parts);
        expect(outcomes.filter(({ status }) => status === 'rejected')).not.toEqual([]);
        view.close();
        await vi.waitFor(() => expect(isStored(object)).toBe(true), { timeout: 10_000 });
      }
    },
  );

  test('are not in the way of whoever opens the object while they are thrown away', async () => {
    const { content, object } = serve(4 * MEGABYTE);
    proxy.inject({ kind: 'corrupt', at: 3_000_000 }, { ...data, times: 1 });
    const view = await openView(object);
    await read(view, 0, 4096);
    while (!isStored(object)) {
      const opened = await downloads.open(client, object);
      if (typeof opened === 'number') closeSync(opened);
      else opened.close();
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(readStored(object)?.equals(content)).toBe(true);
    expect(server.downloads).toHaveLength(2);
  });

  test('are not shown any more as soon as they are known to be wrong', async () => {
    const { content, object } = serve(2 * MEGABYTE);
    proxy.inject({ kind: 'corrupt', at: 10 }, { ...data, times: 1 });
    let view: ArrivingContent | undefined;
    let shown = 0;
    const asking: Promise<void>[] = [];
    const ask = (): void => {
      const ready = view?.ready(0, 4096, { signal: never });
      if (ready === undefined) shown++;
      else asking.push(Promise.resolve(ready));
    };
    restart({
      onWarning: () => {
        ask();
        for (let turn = Promise.resolve(), nth = 0; nth < 20; nth++) asking.push((turn = turn.then(ask)));
      },
    });
    view = await openView(object);
    await downloads.fetch(client, object);
    await Promise.all(asking);
    expect(shown).toBe(0);
    expect((await read(view, 0, 4096)).equals(content.subarray(0, 4096))).toBe(true);
  });

  test('of a small object nobody gets to see', async () => {
    const { content, object } = serve(300_000);
    proxy.inject({ kind: 'corrupt' }, { ...data, times: 1 });
    const view = await openView(object);
    expect((await read(view, 0, 4096)).equals(content.subarray(0, 4096))).toBe(true);
    expect(view.isComplete).toBe(true);
  });
});

describe('a server that ignores ranges', () => {
  test('is not asked for a second time: who reads in the middle waits', async () => {
    server.ignoresRange = true;
    const { content, object } = serve(24 * MEGABYTE);
    proxy.inject({ kind: 'drip', bytes: 65_536, everyMs: 1 }, data);
    const view = await openView(object);
    const middle = 20 * MEGABYTE;
    expect((await read(view, middle, 4096)).equals(content.subarray(middle, middle + 4096))).toBe(true);
    await vi.waitFor(() => expect(view.isComplete).toBe(true), { timeout: 20_000 });
    expect(proxy.bytes).toBeLessThan(object.size + 8 * MEGABYTE);
  }, 40_000);

  test('starts again after a break, and gets to the end', async () => {
    server.ignoresRange = true;
    const { content, object } = serve(3 * MEGABYTE);
    proxy.inject({ kind: 'die', afterBytes: MEGABYTE }, { ...data, times: 1 });
    await downloads.fetch(client, object);
    expect(readStored(object)?.equals(content)).toBe(true);
    expect(server.downloads).toHaveLength(2);
  });

  test('serves objects of which only ranges were wanted', async () => {
    server.ignoresRange = true;
    const { content, object } = serve(12 * MEGABYTE);
    const { createLfsDownloads } = await import('../../../../src/lfs/download/create-lfs-downloads.ts');
    const small = createLfsDownloads({
      directory: `${arrivingPath(object)}.store`,
      rangesAbove: MEGABYTE,
      concurrency: 2,
    });
    const view = (await small.open(client, object)) as ArrivingContent;
    const at = 8 * MEGABYTE;
    expect((await read(view, at, 4096)).equals(content.subarray(at, at + 4096))).toBe(true);
    view.close();
    await small.close();
  });
});

describe('a mount that ends, and its client with it', () => {
  test('leaves the transfer to whoever else wants it', async () => {
    const { content, object } = serve(3 * MEGABYTE);
    const other = openClient();
    proxy.inject({ kind: 'stall', afterBytes: MEGABYTE }, { ...data, times: 1 });
    const view = await openView(object);
    const fetching = downloads.fetch(client, object);
    await vi.waitFor(() => expect(downloads.status().transfers[0]?.bytes).toBeGreaterThan(0), WAIT);
    // The last who came is the first who goes.
    const gone = AbortSignal.abort();
    await expect(downloads.fetch(other, object, { signal: gone })).rejects.toMatchObject({ kind: 'aborted' });
    await other.close();
    await fetching;
    expect(
      (await read(view, 2 * MEGABYTE, 1000)).equals(content.subarray(2 * MEGABYTE).subarray(0, 1000)),
    ).toBe(true);
    expect(readStored(object)?.equals(content)).toBe(true);
    expect(failures).toEqual([]);
  });

  test('is no failure of the file, which the next one gets at once', async () => {
    const { content, object } = serve(3 * MEGABYTE);
    const other = openClient();
    const heal = proxy.inject({ kind: 'hang' }, data);
    const leaving = new AbortController();
    const fetching = downloads.fetch(other, object, { signal: leaving.signal });
    await vi.waitFor(() => expect(proxy.count('/data/')).toBe(1), WAIT);
    leaving.abort();
    await expect(fetching).rejects.toMatchObject({ kind: 'aborted' });
    heal();
    await other.close();
    await downloads.fetch(client, object);
    expect(readStored(object)?.equals(content)).toBe(true);
    expect(failures).toEqual([]);
    await vi.waitFor(() => expect(downloads.status().transfers).toEqual([]), WAIT);
  });

  test('leaves nothing that counts as a transfer', async () => {
    const { object } = serve(3 * MEGABYTE);
    const other = openClient();
    proxy.inject({ kind: 'hang' }, data);
    const leaving = new AbortController();
    const fetching = downloads.fetch(other, object, { signal: leaving.signal });
    await vi.waitFor(() => expect(proxy.count('/data/')).toBe(1), WAIT);
    leaving.abort();
    await expect(fetching).rejects.toMatchObject({ kind: 'aborted' });
    await other.close();
    await vi.waitFor(() => expect(downloads.status().transfers).toEqual([]), WAIT);
    expect(failures).toEqual([]);
  });
});
