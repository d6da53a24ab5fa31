// The embedded server as a whole: what it refuses to start on, a moving head, many requests at once, and its end.
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test, vi } from 'vitest';
import { ask, dataOf, isAlive, until } from './support.ts';
import { MegaServerError } from '../../../src/mega-server/mega-server-error.ts';
import { createMegaServer } from '../../../src/mega-server/mega-server.ts';
import type { MegaServerOptions } from '../../../src/mega-server/mega-server.ts';
import { createLogger } from '../../../src/util/logger.ts';
import { createGitRepository } from '../../support/git-repository.ts';

const folders: string[] = [];

async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'scorpio-mega-'));
  folders.push(folder);
  return folder;
}

afterEach(async () => {
  vi.unstubAllEnvs();
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true, force: true });
});

async function failure(options: MegaServerOptions): Promise<MegaServerError> {
  try {
    const server = await createMegaServer(options);
    await server.close();
  } catch (error) {
    if (error instanceof MegaServerError) return error;
    throw error;
  }
  throw new Error('the server started');
}

test('what is no repository is refused with its path and the reason', async () => {
  const folder = await temporaryFolder();
  const plain = await failure({ repo: folder, port: 0 });
  expect(plain.kind).toBe('repository');
  expect(plain.message).toContain(`${folder} is not a Git repository`);
  const missing = await failure({ repo: join(folder, 'nowhere'), port: 0 });
  expect(missing.message).toContain('nowhere: it does not exist');
  await writeFile(join(folder, 'file'), '');
  const file = await failure({ repo: join(folder, 'file'), port: 0 });
  expect(file.message).toContain('it is not a folder');
});

test('a repository without commits, and a branch that does not exist, are refused', async () => {
  await using repository = await createGitRepository();
  const empty = await failure({ repo: repository.path, port: 0 });
  expect([empty.kind, empty.message]).toEqual(['repository', expect.stringContaining('has no commits')]);
  await repository.commit({ a: '1' });
  const branch = await failure({ repo: repository.path, port: 0, branch: 'other' });
  expect(branch.message).toContain('no branch other');
  expect((await failure({ repo: repository.path, port: 0, branch: 'main~0' })).message).toContain(
    'not a branch name',
  );
});

test('a missing git is named', async () => {
  await using repository = await createGitRepository({ files: { a: '1' } });
  vi.stubEnv('PATH', await temporaryFolder());
  const error = await failure({ repo: repository.path, port: 0 });
  vi.unstubAllEnvs();
  expect([error.kind, error.message]).toEqual(['git-missing', expect.stringContaining('install Git')]);
});

test('a port in use, and an address of another machine, are named', async () => {
  await using repository = await createGitRepository({ files: { a: '1' } });
  const other = createServer();
  await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
  try {
    const { port } = other.address() as AddressInfo;
    const error = await failure({ repo: repository.path, port });
    expect([error.kind, error.message]).toEqual([
      'address-in-use',
      expect.stringContaining(`127.0.0.1:${port}`),
    ]);
  } finally {
    await new Promise((resolve) => other.close(resolve));
  }
  expect((await failure({ repo: repository.path, host: '192.0.2.1', port: 0 })).kind).toBe('address');
});

test('a new commit is seen by the next request, and a pinned commit stays', async () => {
  await using repository = await createGitRepository({ files: { a: '0' } });
  await using server = await createMegaServer({ repo: repository.path, port: 0 });
  const first = repository.head;
  const pids = [...server.gitPids];
  for (let number = 1; number <= 10; number++) {
    const head = await repository.commit({ a: String(number) });
    expect(await dataOf(server.url, '/api/v1/blob?path=/a')).toBe(String(number));
    expect((await ask(server.url, '/api/v1/latest-commit')).json<{ oid: string }>().oid).toBe(head);
    expect(await dataOf(server.url, `/api/v1/blob?path=/a&refs=${first}`)).toBe('0');
  }
  await repository.git(['gc', '--quiet', '--prune=now']);
  await repository.git(['pack-refs', '--all']);
  expect(await dataOf(server.url, '/api/v1/blob?path=/a')).toBe('10');
  await repository.commit({ a: 'after gc' });
  expect(await dataOf(server.url, '/api/v1/blob?path=/a')).toBe('after gc');
  // It was the same processes all the time.
  expect(server.gitPids).toEqual(expect.arrayContaining(pids));
});

test('the branch that HEAD names is served, or the one that was asked for', async () => {
  await using repository = await createGitRepository({ files: { a: 'main' } });
  await repository.commit({ a: 'dev' }, { branch: 'dev' });
  await using head = await createMegaServer({ repo: repository.path, port: 0 });
  await using dev = await createMegaServer({ repo: repository.path, port: 0, branch: 'dev' });
  expect(await dataOf(head.url, '/api/v1/blob?path=/a')).toBe('main');
  expect(await dataOf(dev.url, '/api/v1/blob?path=/a')).toBe('dev');
  await repository.git(['symbolic-ref', 'HEAD', 'refs/heads/dev']);
  expect(await dataOf(head.url, '/api/v1/blob?path=/a')).toBe('dev');
  await repository.git(['update-ref', '-d', 'refs/heads/dev']);
  expect((await ask(head.url, '/api/v1/blob?path=/a')).status).toBe(503);
});

test('a linked worktree and a folder inside a working tree are served', async () => {
  await using repository = await createGitRepository({ files: { 'sub/a': 'main' }, bare: false });
  await repository.checkout();
  await repository.commit({ 'sub/a': 'linked' }, { branch: 'linked' });
  const linked = join(await temporaryFolder(), 'linked');
  await repository.git(['worktree', 'add', '--quiet', linked, 'linked']);
  await using worktree = await createMegaServer({ repo: linked, port: 0 });
  await using inside = await createMegaServer({ repo: join(repository.path, 'sub'), port: 0 });
  expect(await dataOf(worktree.url, '/api/v1/blob?path=/sub/a')).toBe('linked');
  expect(await dataOf(inside.url, '/api/v1/blob?path=/sub/a')).toBe('main');
});

test('200 requests at once are all answered right, by few processes', async () => {
  const files = Object.fromEntries(
    Array.from({ length: 200 }, (_, index) => [`d${index % 7}/f${index}`, `content ${index}`]),
  );
  await using repository = await createGitRepository({ files });
  await using server = await createMegaServer({ repo: repository.path, port: 0 });
  const answers = await Promise.all(
    Array.from({ length: 200 }, (_, index) =>
      dataOf(server.url, `/api/v1/blob?path=/d${index % 7}/f${index}`),
    ),
  );
  expect(answers).toEqual(Array.from({ length: 200 }, (_, index) => `content ${index}`));
  expect(server.gitPids.length).toBeLessThanOrEqual(3);
});

test('killed git processes are replaced, and what they were asked is asked again', async () => {
  await using repository = await createGitRepository({ files: { a: 'one', 'b/c': 'two' } });
  const lines: string[] = [];
  await using server = await createMegaServer({
    repo: repository.path,
    port: 0,
    log: createLogger('warn', (line) => lines.push(line)),
  });
  expect(await dataOf(server.url, '/api/v1/blob?path=/a')).toBe('one');
  const before = server.gitPids;
  for (const pid of before) process.kill(pid, 'SIGKILL');
  const answers = await Promise.all(
    Array.from({ length: 20 }, () => dataOf(server.url, '/api/v1/blob?path=/b/c')),
  );
  expect(new Set(answers)).toEqual(new Set(['two']));
  expect(server.gitPids.some((pid) => before.includes(pid))).toBe(false);
  expect(lines.join('')).toContain('git cat-file ended (SIGKILL)');
});

test('close ends within its second, idle and stalled connections and all git processes with it', async () => {
  await using repository = await createGitRepository({ files: { a: '1' } });
  const server = await createMegaServer({ repo: repository.path, port: 0 });
  const large = await repository.writeObject('blob', randomBytes(24 * 1024 * 1024));
  const open = (text: string) =>
    new Promise<ReturnType<typeof connect>>((resolve) => {
      const socket = connect(server.port, '127.0.0.1', () => socket.write(text, () => resolve(socket)));
      socket.on('error', () => {});
    });
  const sockets = [
    await open(''),
    await open('GET /api/v1/sta'),
    await open(`GET /api/v1/file/blob/${large} HTTP/1.1\r\nHost: x\r\n\r\n`),
  ];
  await until(() => server.streamCount === 1, 'the blob is on its way');
  const pids = server.gitPids;
  expect(pids.length).toBeGreaterThan(0);
  const start = Date.now();
  await Promise.all([server.close(), server.close()]);
  expect(Date.now() - start).toBeLessThan(3000);
  await until(() => !pids.some(isAlive) && server.streamCount === 0, 'git ended');
  await expect(ask(server.url, '/api/v1/status')).rejects.toThrow('ECONNREFUSED');
  for (const socket of sockets) socket.destroy();
});

test('paths of many levels and long names arrive whole', async () => {
  const long = Array.from({ length: 40 }, (_, level) => `${level}-`.padEnd(255, '\xe9')).join('/');
  await using repository = await createGitRepository({ files: { [`${long}/f`]: 'deep' } });
  await using server = await createMegaServer({ repo: repository.path, port: 0 });
  const escaped = long.replaceAll('\xe9', '%E9');
  expect(await dataOf(server.url, `/api/v1/blob?path=/${escaped}/f`)).toBe('deep');
});

test('the URL is one that clients of this machine can use', async () => {
  await using repository = await createGitRepository({ files: { a: '1' } });
  await using any = await createMegaServer({ repo: repository.path, host: '0.0.0.0', port: 0 });
  expect(any.url).toBe(`http://127.0.0.1:${any.port}`);
  expect((await ask(any.url, '/api/v1/status')).status).toBe(200);
  await using local = await createMegaServer({ repo: repository.path, host: 'localhost', port: 0 });
  expect(local.url).toBe(`http://127.0.0.1:${local.port}`);
});
