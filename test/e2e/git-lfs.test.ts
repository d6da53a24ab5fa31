// The real git-lfs as the other side of the embedded server: push, clone, resumed uploads, and locks.
import { randomBytes } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createMegaServer, type MegaServer } from '../../src/mega-server/mega-server.ts';
import { createFaultProxy, type FaultProxy } from '../support/fault-proxy.ts';
import { createGitRepository, type GitRepository } from '../support/git-repository.ts';
import {
  createLfsWorkTree,
  lfsObjectPath,
  lfsOid,
  type LfsWorkTree,
  noise,
} from '../support/lfs-repository.ts';
import { createStage } from '../support/stage.ts';

/** The repository that all push to. */
let origin: GitRepository;
let server: MegaServer;
let proxy: FaultProxy;
const trees: LfsWorkTree[] = [];

beforeEach(async () => {
  origin = await createGitRepository({ files: { 'README.md': 'here\n' } });
  server = await createMegaServer({ repo: origin.path, port: 0 });
  proxy = await createFaultProxy(server.url);
});

afterEach(async () => {
  for (const tree of trees.splice(0)) await tree.remove();
  await proxy.close();
  await server.close();
  await origin.remove();
});

async function clone(user?: string): Promise<LfsWorkTree> {
  const lfsUrl = new URL(`${proxy.url}/some/path.git/info/lfs`);
  if (user !== undefined) [lfsUrl.username, lfsUrl.password] = [user, 'x'];
  const tree = await createLfsWorkTree({ clone: origin.path, lfsUrl: lfsUrl.href });
  trees.push(tree);
  if (user !== undefined) await tree.git('config', `lfs.${proxy.url}/some/path.git/info/lfs.access`, 'basic');
  return tree;
}

const has = (content: string | Buffer): boolean =>
  existsSync(lfsObjectPath(join(origin.path, 'lfs'), lfsOid(content)));

test('what git-lfs pushes another git-lfs clones, and only once', async () => {
  const files = {
    'big.bin': noise(6_000_000, 'big'),
    'bin/tool.bin': { content: noise(100_000, 'tool'), executable: true as const },
    'empty.bin': '',
    'deep/ein Bild mit ä.bin': randomBytes(1000),
  };
  const author = await clone();
  await author.git('lfs', 'track', '*.bin');
  await author.commit(files);
  await author.git('push', '--quiet', 'origin', 'main');
  expect(has(files['big.bin'])).toBe(true);
  const reader = await clone();
  for (const [name, spec] of Object.entries(files)) {
    const content = typeof spec === 'object' && 'executable' in spec ? spec.content : Buffer.from(spec);
    expect(readFileSync(join(reader.path, name)).equals(content)).toBe(true);
  }
  expect(statSync(join(reader.path, 'bin/tool.bin')).mode & 0o111).not.toBe(0);
  proxy.reset();
  await author.git('lfs', 'push', '--all', 'origin');
  expect(proxy.count('/objects/', 'PUT')).toBe(0);
  await author.git('lfs', 'fsck');
});

test('a store in which git-lfs worked is served as it is', async () => {
  const author = await createLfsWorkTree();
  trees.push(author);
  await author.git('lfs', 'track', '*.bin');
  const content = noise(300_000, 'local');
  await author.commit({ 'a.bin': content });
  await using served = await createMegaServer({ repo: author.path, port: 0 });
  const reader = await createLfsWorkTree({ clone: author.path, lfsUrl: `${served.url}/info/lfs` });
  trees.push(reader);
  expect(readFileSync(join(reader.path, 'a.bin')).equals(content)).toBe(true);
});

test('an upload of git-lfs that broke off goes on where it was', async () => {
  const author = await clone();
  await author.git('config', 'lfs.tustransfers', 'true');
  await author.git('lfs', 'track', '*.bin');
  const content = noise(20_000_000, 'resumed');
  await author.commit({ 'a.bin': content });
  // The part that an earlier attempt left.
  const part = content.subarray(0, 8_000_000);
  const oid = lfsOid(content);
  const answer = await fetch(`${server.url}/objects/${oid}?size=${content.length}`, {
    method: 'PATCH',
    headers: {
      'tus-resumable': '1.0.0',
      'upload-offset': '0',
      'content-type': 'application/offset+octet-stream',
    },
    body: new Uint8Array(part),
  });
  expect(answer.status).toBe(204);
  await author.git('push', '--quiet', 'origin', 'main');
  const sent = proxy.requests.find(({ method }) => method === 'PATCH');
  expect([sent?.status, sent?.headers['upload-offset'], sent?.headers['content-length']]).toEqual([
    204,
    String(part.length),
    String(content.length - part.length),
  ]);
  expect(has(content)).toBe(true);
});

test('a download of git-lfs that broke off goes on by range', async () => {
  const author = await clone();
  await author.git('lfs', 'track', '*.bin');
  const content = noise(9_000_000, 'broken');
  await author.commit({ 'a.bin': content });
  await author.git('push', '--quiet', 'origin', 'main');
  proxy.reset();
  proxy.inject({ kind: 'die', afterBytes: 5_000_000 }, { path: '/objects/', method: 'GET', times: 1 });
  const reader = await clone();
  expect(readFileSync(join(reader.path, 'a.bin')).equals(content)).toBe(true);
  expect(proxy.requests.filter(({ method }) => method === 'GET').at(-1)).toMatchObject({ status: 206 });
});

test('locks of git-lfs: one wins, lists name the owner, another’s needs force, and a push is stopped', async () => {
  const ada = await clone('ada');
  await ada.git('lfs', 'track', '--lockable', '*.bin');
  await ada.commit({ 'a.bin': 'one' });
  await ada.git('push', '--quiet', 'origin', 'main');
  await ada.git('config', 'lfs.locksverify', 'true');
  const bob = await clone('bob');
  await bob.git('config', 'lfs.locksverify', 'true');
  await ada.git('lfs', 'lock', 'a.bin');
  const refused = await bob.tryGit('lfs', 'lock', 'a.bin');
  expect([refused.code, refused.stderr + refused.stdout]).toEqual([
    2,
    expect.stringContaining('the path is locked already'),
  ]);
  const listed = JSON.parse(await bob.git('lfs', 'locks', '--json')) as unknown[];
  expect(listed).toMatchObject([{ path: 'a.bin', owner: { name: 'ada' } }]);
  const verified = JSON.parse(await bob.git('lfs', 'locks', '--verify', '--json')) as unknown;
  expect(verified).toMatchObject({ ours: [], theirs: [{ path: 'a.bin' }] });
  // Lockable files are read-only in the working tree of whoever has not locked them.
  await bob.git('lfs', 'checkout');
  await bob.commit({ 'a.bin': 'two' });
  const push = await bob.tryGit('push', 'origin', 'main');
  expect([push.code === 0, push.stderr]).toEqual([
    false,
    expect.stringContaining('Cannot update locked files'),
  ]);
  const unlock = await bob.tryGit('lfs', 'unlock', 'a.bin');
  expect([unlock.code === 0, unlock.stderr + unlock.stdout]).toEqual([
    false,
    expect.stringContaining('force'),
  ]);
  await bob.git('lfs', 'unlock', '--force', 'a.bin');
  await bob.git('push', '--quiet', 'origin', 'main');
  expect(await ada.git('lfs', 'locks')).toBe('');
});

test('a server that is killed in the middle of an upload has no half object, and takes the next attempt', async () => {
  const author = await clone();
  await author.git('lfs', 'track', '*.bin');
  const content = noise(3_000_000, 'killed');
  const oid = lfsOid(content);
  await author.commit({ 'a.bin': content });
  const stage = createStage();
  try {
    const url = await stage.serveRepository(origin.path);
    const [pid = 0] = stage.serverPids();
    const upload = request(`${url}/objects/${oid}`, {
      method: 'PUT',
      headers: { 'content-length': content.length },
    });
    upload.on('error', () => undefined);
    upload.write(content.subarray(0, 2_000_000));
    const incoming = join(origin.path, 'lfs/incoming');
    const size = () =>
      readdirSync(incoming).reduce((sum, name) => sum + statSync(join(incoming, name)).size, 0);
    await expect.poll(size, { timeout: 10_000 }).toBe(2_000_000);
    await stage.end(pid, 'SIGKILL');
    upload.destroy();
    expect(has(content)).toBe(false);

    const next = await stage.serveRepository(origin.path);
    expect(readdirSync(incoming)).toEqual([]);
    await author.git('config', 'lfs.url', `${next}/info/lfs`);
    await author.git('lfs', 'push', 'origin', 'main');
    expect(lfsOid(readFileSync(lfsObjectPath(join(origin.path, 'lfs'), oid)))).toBe(oid);
  } finally {
    await stage.dispose();
  }
});

test('git-lfs comes in with a name and password, and is refused without', async () => {
  await using guarded = await createMegaServer({
    repo: origin.path,
    port: 0,
    lfs: { users: { ada: 'secret' }, asksToVerify: true },
  });
  const author = await clone();
  await author.git('lfs', 'track', '*.bin');
  const content = randomBytes(5000);
  await author.commit({ 'a.bin': content });
  await author.git('config', 'lfs.url', `${guarded.url}/info/lfs`);
  expect((await author.tryGit('lfs', 'push', 'origin', 'main')).code).not.toBe(0);
  expect(has(content)).toBe(false);
  const url = new URL(`${guarded.url}/info/lfs`);
  [url.username, url.password] = ['ada', 'secret'];
  await author.git('config', 'lfs.url', url.href);
  await author.git('lfs', 'push', 'origin', 'main');
  expect(has(content)).toBe(true);
});
