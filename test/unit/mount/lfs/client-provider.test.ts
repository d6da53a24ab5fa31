// The LFS server of a mount: nothing is asked before it is needed, and what it failed with is told.
import { afterEach, beforeEach, expect, test } from 'vitest';
import {
  createClientProvider,
  type ClosableClientProvider,
} from '../../../../src/mount/lfs/client-provider.ts';
import { LfsFixture } from '../../layers/lfs-fixture.ts';

let fixture: LfsFixture;
let provider: ClosableClientProvider;
beforeEach(async () => {
  fixture = await LfsFixture.create();
});
afterEach(async () => {
  await provider.close();
  await fixture[Symbol.asyncDispose]();
});

const object = { oid: 'a'.repeat(64), size: 1, path: 'project/x.bin' };

function create(baseUrl: string, lfsUrl?: string): void {
  fixture.layer({ '.lfsconfig': '[lfs]\n\turl = http://127.0.0.1:1/from-lfsconfig\n' });
  const limits = { connectTimeoutMs: 2000, silenceTimeoutMs: 2000, maxAttempts: 1, concurrency: 1 };
  provider = createClientProvider({ baseUrl, lfsUrl, path: '/project', ...limits }, fixture.plain);
}

test('nothing is known of the server, and nothing asked of the repository, before it is needed', async () => {
  create('http://127.0.0.1:1');
  await provider.client();
  expect([provider.url, provider.problem]).toEqual([undefined, undefined]);
  expect(fixture.upstream.calls).toEqual([]);
});

test('a server that is away is the problem that the mount shows, with the URL of .lfsconfig', async () => {
  create('http://127.0.0.1:1');
  const client = await provider.client();
  expect(await provider.client()).toBe(client);
  await expect(client.locate([object])).rejects.toMatchObject({ kind: 'unreachable' });
  expect(provider.url).toContain('http://127.0.0.1:1');
  expect(provider.problem).toContain('from-lfsconfig');
  expect(fixture.upstream.count('fetchBlob')).toBe(1);
});

test('of a .lfsconfig without end no more is read than of one that counts', async () => {
  fixture.layer({ '.lfsconfig': `[lfs]\n\turl = http://127.0.0.1:1/x\n${'#'.repeat(3_000_000)}` });
  const limits = { connectTimeoutMs: 2000, silenceTimeoutMs: 2000, maxAttempts: 1, concurrency: 1 };
  const warnings: string[] = [];
  provider = createClientProvider(
    { baseUrl: 'http://127.0.0.1:1', path: '/project', ...limits, warn: (text) => warnings.push(text) },
    fixture.plain,
  );
  const client = await provider.client();
  await expect(client.locate([object])).rejects.toMatchObject({ kind: 'unreachable' });
  expect(warnings).toEqual(['.lfsconfig is too large to be a configuration']);
});

test('who gave up has found no problem', async () => {
  create('http://127.0.0.1:1', 'http://127.0.0.1:1/lfs');
  const client = await provider.client();
  await expect(client.locate([object], { signal: AbortSignal.abort() })).rejects.toMatchObject({
    kind: 'aborted',
  });
  expect(provider.problem).toBeUndefined();
});

test('a URL that is none is an error without its text', async () => {
  create('http://127.0.0.1:1', 'nonsense-with-a-password');
  await expect(provider.client()).rejects.toMatchObject({
    kind: 'invalid',
    message: expect.not.stringContaining('password'),
  });
});
