// `scorpio lfs ...` as users run it, against the daemon's real HTTP app over a fake mount.
import { once } from 'node:events';
import { mkdir, symlink, writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, test } from 'vitest';
import { MountError } from '../../../src/mount/mount-error.ts';
import { holdRun, lfsReport, lockOf } from '../../support/fake-mount-lfs.ts';
import { createHttpFixture, type HttpFixture } from '../http/http-fixture.ts';
import { createSandbox, type Run, type Sandbox } from './run-scorpio.ts';

/** Months count from 0. */
const AT_MS = new Date(2026, 1, 3, 4, 5, 6).getTime();

let sandbox: Sandbox;
let http: HttpFixture;
let mountpoint: string;

beforeEach(async () => {
  sandbox = await createSandbox();
  http = await createHttpFixture(sandbox.storePath);
  mountpoint = join(sandbox.folder, 'mnt');
  await http.ask('POST', '/antares/mounts', { path: '/game', job_id: 'game', mountpoint });
  await mkdir(join(mountpoint, 'assets/deep'), { recursive: true });
  await http.app.listen({ host: '127.0.0.1', port: 0 });
  const address = `127.0.0.1:${(http.app.server.address() as AddressInfo).port}`;
  const info = { pid: process.pid, address, startedAt: new Date().toISOString(), version: '9.9.9' };
  await writeFile(join(sandbox.storePath, 'daemon.json'), JSON.stringify(info));
});
afterEach(async () => {
  await http.close();
  await sandbox.remove();
});

const lfs = (...args: string[]): Promise<Run> => sandbox.run('lfs', ...args);
const within = (folder: string, ...args: string[]): Promise<Run> =>
  sandbox.runIn(join(mountpoint, folder), 'lfs', ...args);
const asked = (): unknown => http.lfs.asked.at(-1);

describe('which files are meant', () => {
  test('paths of the local disk, from the current folder', async () => {
    await within('assets', 'fetch', 'a.bin', '../b.bin', join(mountpoint, 'c'));
    expect(asked()).toEqual(['fetch', { paths: ['assets/a.bin', 'b.bin', 'c'] }, { activate: false }]);
    await symlink(join(mountpoint, 'assets'), join(sandbox.folder, 'link'));
    await lfs('fetch', 'link/x');
    expect(asked()).toEqual(['fetch', { paths: ['assets/x'] }, { activate: false }]);
  });

  test('the current folder where none is named, and all of the mount at its root', async () => {
    await within('assets', 'push');
    expect(asked()).toEqual(['push', { paths: ['assets'] }]);
    await within('', 'push');
    expect(asked()).toEqual(['push', { paths: [] }]);
  });

  it.each(['--mount', '--job'])('with %s paths start at the root of the mount', async (option) => {
    await lfs('checkout', option, 'game', 'assets', '/deep');
    expect(asked()).toEqual(['fetch', { paths: ['assets', 'deep'] }, { activate: true }]);
    await lfs('checkout', option, mountpoint);
    expect(asked()).toEqual(['fetch', { paths: [] }, { activate: true }]);
  });

  test('a shell may pass thousands', async () => {
    const paths = Array.from({ length: 20_000 }, (_, n) => `assets/a-file-with-a-name-${n}.bin`);
    expect(await within('', 'fetch', '-q', ...paths)).toEqual({ code: 0, stdout: '', stderr: '' });
    expect(asked()).toEqual(['fetch', { paths }, { activate: false }]);
  });

  it.each<[string, string[], number, RegExp]>([
    [
      'outside of all mounts',
      ['fetch', '/etc/x'],
      2,
      /^error: \/etc\/x is not in a mount; mounted are .*mnt\n$/u,
    ],
    ['no path, and not in a mount', ['status'], 2, /is not in a mount/u],
    ['leads out of the mount', ['fetch', '--job', 'game', '../x'], 2, /leads out of the mount of job game/u],
    ['an unknown job', ['fetch', '--job', 'other'], 3, /^job other not found/u],
    ['an empty path', ['fetch', ''], 2, /^error: the path is empty/u],
    ['both names', ['fetch', '--job', 'game', '--mount', 'game'], 2, /cannot be used with option/u],
    ['a path with line breaks', ['fetch', 'a\nb'], 2, /is not in a mount/u],
    ['the root as a file to lock', ['lock', '--job', 'game', '/'], 2, /is no file/u],
    ['nothing to unlock', ['unlock', '--job', 'game'], 2, /name the files to unlock, or a lock with --id/u],
    ['files and an id', ['unlock', '--job', 'game', 'a', '--id', '1'], 2, /name the files/u],
    ['nothing to lock', ['lock'], 2, /missing required argument 'path'/u],
    ['nothing to share', ['dedup'], 2, /missing required argument 'repository'/u],
    ['a limit that is none', ['locks', '--limit', '0'], 2, /It is not a number from 1 on/u],
    ['--verify with a filter', ['locks', '--job', 'game', '--verify', '--id', '1'], 2, /--verify goes with/u],
    ['an unknown command', ['smudge'], 2, /unknown command 'smudge'/u],
  ])('%s is told', async (_what, args, code, expected) => {
    const run = await lfs(...args);
    expect(run).toMatchObject({ code, stdout: '' });
    expect(run.stderr).toMatch(expected);
    expect(http.lfs.asked).toEqual([]);
  });

  test('paths of two mounts are refused', async () => {
    const other = join(sandbox.folder, 'other');
    await http.ask('POST', '/antares/mounts', { path: '/b', mountpoint: other });
    const run = await lfs('push', 'mnt/a', 'other/b');
    expect(run).toMatchObject({ code: 2, stderr: expect.stringContaining('are in different mounts') });
  });

  test('without a daemon it says how to get one', async () => {
    await writeFile(join(sandbox.storePath, 'daemon.json'), '{}');
    for (const args of [['status'], ['prune'], ['locks']]) {
      expect(await lfs(...args)).toMatchObject({
        code: 1,
        stderr: 'no daemon is running; mount first, or start one: scorpio serve\n',
      });
    }
  });
});

describe('runs', () => {
  test('end with a line, or with events', async () => {
    expect(await within('', 'fetch')).toEqual({
      code: 0,
      stdout: 'fetched 1 large file, 10 B, in 0 s; 1 were here already\n',
      stderr: '',
    });
    expect((await within('', 'push')).stdout).toBe(
      'uploaded 1 large file, 10 B, in 0 s; 1 were on the server already\n',
    );
    const { stdout } = await within('', 'checkout', '--json');
    const events = stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as unknown);
    expect(events.at(-1)).toMatchObject({ event: 'end', kind: 'checkout', report: { files_done: 2 } });
    http.lfs.run = async () => lfsReport();
    expect((await within('', 'fetch')).stdout).toBe('there are no large files\n');
    expect((await within('', 'push')).stdout).toBe('no large file is new or modified\n');
  });

  test('list what failed, and end with 1', async () => {
    http.lfs.run = async () =>
      lfsReport({
        files: 30,
        filesDone: 5,
        filesFailed: 25,
        failures: Array.from({ length: 25 }, (_, n) => ({
          path: `assets/\u001B[2J${n}`,
          oid: 'a'.repeat(64),
          reason: 'the server does not have it',
        })),
        warnings: ['assets/x is locked by bob', 'the server says \u001b[2J'],
      });
    const { code, stdout, stderr } = await within('assets', 'push');
    expect(code).toBe(1);
    expect(stdout).toMatch(/, 25 failed\n$/u);
    const lines = stderr.trimEnd().split('\n');
    expect(lines.slice(0, 4)).toEqual([
      'warning: assets/x is locked by bob',
      String.raw`warning: the server says \x1b[2J`,
      '25 files could not be uploaded:',
      String.raw`  \x1b[2J0: the server does not have it`,
    ]);
    expect(lines.at(-1)).toBe('  and 5 more');
  });

  it.each([
    ['invalid', 2],
    ['not-found', 2],
    ['upstream', 1],
    ['internal', 1],
  ] as const)('that fail as %s end with %i', async (kind, code) => {
    http.lfs.run = async () => {
      throw new MountError(kind, 'what happened');
    };
    expect(await within('', 'fetch')).toEqual({ code, stdout: '', stderr: 'error: what happened\n' });
  });

  test('checkout is taken back', async () => {
    http.lfs.active = ['assets/deep', ''];
    expect((await within('assets', 'checkout', '--deactivate')).stdout).toBe(
      'checked out are still: assets/deep, /\n',
    );
    expect(asked()).toEqual(['deactivate', { paths: ['assets'] }]);
    http.lfs.active = [];
    expect((await within('', 'checkout', '--deactivate')).stdout).toMatch(/^no folder of this mount is/u);
    expect(JSON.parse((await within('', 'checkout', '--deactivate', '--json')).stdout)).toEqual({
      active_folders: [],
    });
  });

  test('prune and dedup', async () => {
    http.lfs.run = async () => lfsReport({ files: 4, filesDone: 3, filesPresent: 1, freedBytes: 2_000_000 });
    expect((await lfs('prune')).stdout).toBe('removed 3 large files, 2 MB\n');
    expect((await lfs('prune', '--dry-run', '--no-verify-remote')).stdout).toBe(
      'would remove 3 large files, 2 MB\n',
    );
    expect(asked()).toEqual(['prune', { dryRun: true, verifyRemote: false }]);
    const failures = [{ path: '', oid: 'ab'.repeat(32), reason: 'no server confirms that it has it' }];
    http.lfs.run = async () => lfsReport({ files: 1, filesFailed: 1, failures });
    expect(await lfs('prune')).toMatchObject({
      code: 1,
      stderr: '1 file could not be removed:\n  object ababababab: no server confirms that it has it\n',
    });
    http.lfs.run = async () => lfsReport({ files: 4, filesDone: 3, filesPresent: 1, freedBytes: 2_000_000 });
    expect((await lfs('dedup', 'repo', '/abs')).stdout).toBe(
      'shared 2 large files, 2 MB freed; 1 were shared already\n',
    );
    expect(asked()).toEqual(['dedup', [join(sandbox.folder, 'repo'), '/abs']]);
  });

  test('Ctrl-C ends the task, and says what is kept', async () => {
    const held = holdRun();
    http.lfs.run = held.run;
    const child = sandbox.start('lfs', 'fetch', '--job', 'game');
    let stderr = '';
    child.stderr?.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
    const closed = once(child, 'close');
    await held.started;
    child.kill('SIGINT');
    const [code] = (await closed) as [number];
    expect({ code, stderr }).toEqual({
      code: 130,
      stderr: 'interrupted; what was fetched is kept, and the next run goes on from there\n',
    });
    expect(http.tasks.list()).toMatchObject([{ state: 'cancelled' }]);
  });

  test('a daemon that is gone is told, and that the work is kept', async () => {
    const held = holdRun();
    http.lfs.run = held.run;
    const run = lfs('fetch', '--job', 'game');
    await held.started;
    http.app.server.close();
    http.app.server.closeAllConnections();
    expect(await run).toEqual({
      code: 1,
      stdout: '',
      stderr: expect.stringMatching(
        /^error: the daemon cannot be heard any more: connection refused.*; what it did is kept, run the command again\n$/u,
      ),
    });
  });

  test('a connection that breaks is made again', async () => {
    const held = holdRun();
    http.lfs.run = held.run;
    const run = lfs('fetch', '--job', 'game');
    await held.started;
    const [request] = (await once(http.app.server, 'request')) as [{ socket: { destroy(): void } }];
    request.socket.destroy();
    await once(http.app.server, 'request');
    held.finish(lfsReport({ files: 1, filesDone: 1, bytes: 5 }));
    expect(await run).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^fetched 1 large file, 5 B/u),
    });
  });
});

describe('status', () => {
  const file = {
    path: 'assets/a.bin',
    change: 'modified',
    from: undefined,
    isLfs: true,
    size: 3_000_000,
    oldSize: 5,
    oldOid: 'a'.repeat(64),
    oid: 'b'.repeat(64),
    isUploaded: false,
    lockedBy: 'bob',
  } as const;

  test('is a table, with paths as they are named here', async () => {
    http.lfs.answer = {
      ...http.lfs.answer,
      serverProblem: 'the LFS server at http://lfs.example refuses',
      files: [
        file,
        {
          ...file,
          change: 'new',
          path: 'b.bin',
          oldOid: undefined,
          oid: undefined,
          isUploaded: undefined,
          lockedBy: '',
        },
        {
          ...file,
          change: 'renamed',
          from: 'old.bin',
          path: 'assets/new.bin',
          oid: 'a'.repeat(64),
          isUploaded: true,
          lockedBy: undefined,
        },
        { ...file, change: 'deleted', path: 'gone.bin', oid: undefined, lockedBy: undefined },
        { ...file, change: 'modified', path: 'text.txt', isLfs: false, lockedBy: undefined },
      ],
      transfers: [{ oid: 'c'.repeat(64), path: 'assets/big', size: 2000, bytes: 1000, readers: 1 }],
      failures: [
        {
          oid: 'd'.repeat(64),
          size: 7,
          path: 'lost.bin',
          reason: 'the server does not have it',
          atMs: AT_MS,
        },
      ],
    };
    const { code, stdout, stderr } = await within('assets', 'status');
    expect(code).toBe(0);
    expect(stdout).toBe(
      [
        'CHANGE    PATH                   SIZE  OBJECT                    SERVER         LOCKED BY',
        'modified  a.bin                  3 MB  aaaaaaaaaa -> bbbbbbbbbb  not uploaded   bob',
        'new       ../b.bin               3 MB  (hashing)                 not known      (locked)',
        'renamed   ../old.bin -> new.bin  3 MB  aaaaaaaaaa                uploaded',
        'deleted   ../gone.bin            5 B   aaaaaaaaaa',
        'modified  ../text.txt            3 MB  aaaaaaaaaa -> bbbbbbbbbb  ordinary file',
        '',
      ].join('\n'),
    );
    expect(stderr).toBe(
      [
        'note: the LFS server at http://lfs.example refuses',
        '1 file not uploaded yet (scorpio lfs push)',
        'downloading big: 1 kB of 2 kB',
        'could not be fetched: ../lost.bin: the server does not have it (2026-02-03 04:05:06)',
        '',
      ].join('\n'),
    );
    expect(asked()).toEqual(['status', { paths: ['assets'] }, { waitForHashes: true, askServer: true }]);
  });

  test('waits for hashes, unless it is not to', async () => {
    http.lfs.answer = { ...http.lfs.answer, hashing: 2 };
    expect(await within('', 'status')).toMatchObject({
      stdout: 'no large file is changed\n',
      stderr: expect.stringContaining('hashing 2 files (--no-wait prints what is known)'),
    });
    http.lfs.asked.length = 0;
    const { stdout } = await within('', 'status', '--no-wait', '--json');
    expect(JSON.parse(stdout)).toMatchObject({ hashing: 2, files: [] });
    expect(http.lfs.asked).toEqual([['status', { paths: [] }, { waitForHashes: false, askServer: false }]]);
  });

  test('does without the server where that is away, and says so', async () => {
    http.lfs.answer = {
      ...http.lfs.answer,
      files: [{ ...file, isUploaded: undefined, lockedBy: undefined }],
    };
    http.lfs.serverError = new MountError('upstream', 'connection refused');
    expect(await within('', 'status')).toEqual({
      code: 0,
      stdout: expect.stringMatching(/^modified .* not known$/mu),
      stderr: 'note: connection refused\n',
    });
    expect(asked()).toEqual(['status', { paths: [] }, { waitForHashes: true, askServer: false }]);
    expect(JSON.parse((await within('', 'status', '--json')).stdout)).toMatchObject({
      server_problem: 'connection refused',
    });
  });

  test('that the daemon cannot give ends with 1', async () => {
    http.lfs.error = new MountError('upstream', 'the LFS server refuses');
    expect(await within('', 'status')).toEqual({
      code: 1,
      stdout: '',
      stderr: 'error: the LFS server refuses\n',
    });
  });
});

describe('locks', () => {
  test('are made, printed and given up', async () => {
    expect(await within('assets', 'lock', 'a.bin', 'b.bin')).toEqual({
      code: 0,
      stdout: 'locked a.bin (id id-assets/a.bin)\nlocked b.bin (id id-assets/b.bin)\n',
      stderr: '',
    });
    expect((await within('assets', 'locks')).stdout).toBe(
      [
        'PATH          OWNER  ID               LOCKED AT',
        'assets/a.bin  alice  id-assets/a.bin  2026-11-21T18:00:00Z',
        'assets/b.bin  alice  id-assets/b.bin  2026-11-21T18:00:00Z',
        '',
      ].join('\n'),
    );
    expect((await within('', 'locks', '--verify')).stdout).toMatch(/^theirs +other\.bin +\(not told\)/mu);
    expect(JSON.parse((await within('', 'locks', '--verify', '--json')).stdout)).toMatchObject({
      ours: [{ path: 'assets/a.bin' }, {}],
    });
    await within('assets', 'locks', '--path', 'a.bin', '--cached', '--limit', '3', '--id', '7');
    expect(asked()).toEqual(['locks', { path: 'assets/a.bin', id: '7', limit: 3, isCached: true }]);
    expect((await within('assets', 'unlock', 'a.bin', '--force')).stdout).toMatch(/^unlocked a\.bin/u);
    expect(asked()).toEqual(['unlock', { paths: ['assets/a.bin'], force: true }]);
    expect((await within('', 'unlock', '--id', 'id-assets/b.bin')).stdout).toMatch(
      /^unlocked assets\/b\.bin/u,
    );
    expect((await within('', 'locks')).stdout).toBe('no locks\n');
    expect(JSON.parse((await within('', 'locks', '--json')).stdout)).toEqual({ locks: [] });
  });

  test('that somebody else has are errors, of each path its own', async () => {
    http.lfs.held.set('b.bin', lockOf('b.bin', 'bob'));
    expect(await within('', 'lock', 'a.bin', 'b.bin')).toEqual({
      code: 1,
      stdout: 'locked a.bin (id id-a.bin)\n',
      stderr: 'error: b.bin: b.bin is locked by bob\n',
    });
    const { code, stdout } = await within('', 'unlock', 'c.bin', '--json');
    expect(code).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject({ results: [{ path: 'c.bin', error: 'c.bin is not locked' }] });
  });
});
