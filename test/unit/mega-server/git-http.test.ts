// Clones of folders over Git's smart HTTP, by the git program.
import { execFileSync } from 'node:child_process';
import { constants, existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { UploadPack } from '../../../src/mega-server/git-http/upload-pack.ts';
import { createMegaServer, type MegaServer } from '../../../src/mega-server/mega-server.ts';
import { closeFd, mknodAt, openPath } from '../../../src/util/syscall.ts';
import { temporaryName } from '../../../src/util/temporary-files.ts';
import { createGitRepository, utf8Name, type GitRepository } from '../../support/git-repository.ts';
import { runProgram } from '../../support/run-program.ts';
import { makeTestFolder } from '../../support/test-folder.ts';
import { ask, isAlive, until } from './support.ts';

const BIG = Buffer.alloc(3_000_000, 'scorpio ');

let repository: GitRepository;
let server: MegaServer;
let folder: string;

beforeAll(async () => {
  repository = await createGitRepository({ files: { 'README.md': 'first\n' } });
  await repository.commit(
    {
      'README.md': 'hello\n',
      'project/app/src/main.ts': 'export {};\n',
      'project/app/run.sh': { content: '#!/bin/sh\n', mode: 0o100755 },
      'project/app/link': { symlink: 'run.sh' },
      'project/app/big.bin': BIG,
      'project/lib.git/inside.txt': 'a folder with that name\n',
      [`project/${utf8Name('größe & co')}/x.txt`]: 'x\n',
    },
    { message: 'second\n\nwith a body\n' },
  );
  server = await createMegaServer({ repo: repository.path, port: 0 });
});

afterAll(async () => {
  await server?.close();
  await repository?.remove();
});

afterEach(() => {
  if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
});

/** Runs git in a new folder. */
async function git(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  folder ??= makeTestFolder();
  return runProgram('git', args, { cwd: folder });
}

async function clone(path: string, ...options: string[]): Promise<string> {
  folder = makeTestFolder();
  const target = join(folder, 'clone');
  const { code, stderr } = await git('clone', '--quiet', ...options, `${server.url}/${path}`, target);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return target;
}

/** Runs git in a clone; it may ask the server, which is in this process. */
async function inClone(target: string, ...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await git('-C', target, ...args);
  if (code !== 0) throw new Error(stderr);
  return stdout.trim();
}

const scratchFolders = (): string[] =>
  readdirSync(tmpdir()).filter((name) => name.startsWith('scorpio-mega-server-'));

describe('a clone', () => {
  test.each([0, 1, 2])(
    'of a folder has the folder as its root, in version %i of the protocol',
    async (version) => {
      const target = await clone('project/app.git', '-c', `protocol.version=${version}`);
      expect(readdirSync(target).sort()).toEqual(['.git', 'big.bin', 'link', 'run.sh', 'src']);
      expect(BIG.equals(readFileSync(join(target, 'big.bin')))).toBe(true);
      expect(readFileSync(join(target, 'src/main.ts'), 'utf8')).toBe('export {};\n');
      expect(await inClone(target, 'log', '--format=%an %ae %s|%b|%P')).toBe(
        'Ada Author ada@example.com second|with a body\n|',
      );
      expect(await inClone(target, 'rev-parse', 'HEAD^{tree}')).toBe(
        await repository.git(['rev-parse', 'HEAD:project/app']),
      );
      expect(await inClone(target, 'symbolic-ref', 'HEAD')).toBe('refs/heads/main');
      await inClone(target, 'fsck', '--strict');
    },
  );

  test('of the root is the repository with its history', async () => {
    const target = await clone('.git');
    expect(await inClone(target, 'rev-parse', 'HEAD')).toBe(repository.head);
    expect(await inClone(target, 'rev-list', '--count', 'HEAD')).toBe('2');
  });

  test('may leave out ".git", and have a name with spaces and letters of all kinds', async () => {
    expect(readdirSync(await clone('project/app/src'))).toContain('main.ts');
    const name = encodeURIComponent('größe & co');
    expect(readdirSync(await clone(`project/${name}.git`))).toContain('x.txt');
  });

  test('finds a folder whose own name ends in ".git"', async () => {
    expect(readdirSync(await clone('project/lib.git'))).toContain('inside.txt');
    expect(readdirSync(await clone('project/lib.git.git'))).toContain('inside.txt');
  });

  test('may be shallow, or without contents', async () => {
    const shallow = await clone('.git', '--depth', '1');
    expect(await inClone(shallow, 'rev-list', '--count', 'HEAD')).toBe('1');
    const partial = await clone('project/app.git', '--filter=blob:none', '--no-checkout');
    expect(await inClone(partial, 'rev-list', '--objects', '--missing=print', 'HEAD')).toContain('?');
  });

  test('takes what came since with the next fetch', async () => {
    const target = await clone('project/app.git');
    const before = repository.head;
    await repository.commit({ 'project/app/src/main.ts': 'export const more = 1;\n' });
    await inClone(target, 'fetch', '--quiet');
    expect(await inClone(target, 'show', 'origin/main:src/main.ts')).toBe('export const more = 1;');
    await repository.setHead(before);
  });

  test('writes nothing to the served repository', async () => {
    const files = (): string[] => readdirSync(repository.path, { recursive: true }).map(String).sort();
    const before = files();
    await clone('project/app/src.git');
    expect(files()).toEqual(before);
  });

  test.each(['nothing/here.git', 'README.md.git'])('of %s fails: there is no such folder', async (path) => {
    folder = makeTestFolder();
    const { code, stderr } = await git('clone', `${server.url}/${path}`, join(folder, 'clone'));
    expect(code).toBe(128);
    expect(stderr).toContain('not found');
  });
});

describe('requests', () => {
  test('choose the version of the protocol, not the environment of the server', async () => {
    vi.stubEnv('GIT_PROTOCOL', 'version=2');
    try {
      const refs = await ask(server.url, '/project/app.git/info/refs?service=git-upload-pack');
      expect(refs.body.toString('latin1')).toMatch(/^001e# service=git-upload-pack\n0000[0-9a-f]{44} HEAD/);
    } finally {
      vi.unstubAllEnvs();
    }
  });

  test('take compressed bodies', async () => {
    const refs = await ask(server.url, '/project/app.git/info/refs?service=git-upload-pack');
    const [, id = ''] = /([0-9a-f]{40}) HEAD/.exec(refs.body.toString('latin1')) ?? [];
    const body = gzipSync(`0032want ${id}\n00000009done\n`);
    const answer = await ask(server.url, '/project/app.git/git-upload-pack', {
      method: 'POST',
      body,
      headers: { 'content-type': 'application/x-git-upload-pack-request', 'content-encoding': 'gzip' },
    });
    expect(answer.status).toBe(200);
    expect(answer.headers['content-type']).toBe('application/x-git-upload-pack-result');
    expect(answer.body.toString('latin1', 0, 12)).toBe('0008NAK\nPACK');
  });

  test('to push are refused, and others are what they were', async () => {
    const push = await ask(server.url, '/project/app.git/info/refs?service=git-receive-pack');
    expect(push.status).toBe(403);
    expect((await ask(server.url, '/project/app.git/info/refs')).status).toBe(403);
    const unknown = await ask(server.url, '/project/app.git/objects/info/packs');
    expect([unknown.status, unknown.body.toString()]).toEqual([404, 'Operation not supported']);
    const post = await ask(server.url, '/project/app.git/git-upload-pack', { method: 'POST', body: 'x' });
    expect(post.status).toBe(415);
  });

  test('do not wait for ever for a git that hangs', async () => {
    folder = makeTestFolder();
    mkdirSync(join(folder, 'objects'));
    mkdirSync(join(folder, 'refs'));
    // Opening it waits for somebody who writes.
    const fd = openPath(folder, constants.O_RDONLY);
    mknodAt(fd, 'HEAD', constants.S_IFIFO | 0o600, 0);
    closeFd(fd);
    using uploadPack = new UploadPack(300);
    const advertised = uploadPack.advertise({ directory: folder, environment: {} }, undefined);
    await expect(advertised).rejects.toThrow('does not answer');
  });

  test('remove what a server left that was killed, and nothing of one that lives', async () => {
    // The name of a process that started at another time than the one with its number.
    const left = temporaryName().replace(/^(\d+\.\d+\.\d+)\.\d+/, '$1.1');
    const kept = temporaryName();
    for (const name of [left, kept])
      mkdirSync(join(tmpdir(), `scorpio-mega-server-${name}`, 'objects'), { recursive: true });
    try {
      await using own = await createMegaServer({ repo: repository.path, port: 0 });
      await ask(own.url, '/project/app.git/info/refs?service=git-upload-pack');
      await until(() => !scratchFolders().some((name) => name.endsWith(left)), 'the leftover is gone');
      expect(scratchFolders().some((name) => name.endsWith(kept))).toBe(true);
    } finally {
      for (const name of [left, kept])
        rmSync(join(tmpdir(), `scorpio-mega-server-${name}`), { recursive: true, force: true });
    }
  });

  test('leave no git behind when the client goes away, and no folder when the server closes', async () => {
    const own = await createMegaServer({ repo: repository.path, port: 0 });
    const before = scratchFolders();
    const client = request(`${own.url}/project/app.git/git-upload-pack`, {
      method: 'POST',
      headers: { 'content-type': 'application/x-git-upload-pack-request' },
    });
    client.on('error', () => undefined);
    // Half of a line: git waits for the rest.
    client.write('0032want ');
    const children = (): number[] =>
      execFileSync('ps', ['-eo', 'pid,ppid,args'], { encoding: 'utf8' })
        .split('\n')
        .filter((line) => line.includes('upload-pack') && Number(line.trim().split(/ +/)[1]) === process.pid)
        .map((line) => Number.parseInt(line, 10));
    await until(() => children().length > 0, 'git runs');
    const [made] = scratchFolders().filter((name) => !before.includes(name));
    client.destroy();
    await until(() => children().every((pid) => !isAlive(pid)), 'git is gone');
    await own.close();
    expect(existsSync(join(tmpdir(), made ?? ''))).toBe(made === undefined);
  });
});
