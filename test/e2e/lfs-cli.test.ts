// `scorpio lfs` as users run it: a real daemon, a real mount, a repository of the real git-lfs, and the embedded server.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { chmod, readFile, rename, rm, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createMegaServer, type MegaServer } from '../../src/mega-server/mega-server.ts';
import { createFaultProxy, type FaultProxy } from '../support/fault-proxy.ts';
import {
  createLfsWorkTree,
  lfsObjectPath,
  lfsOid,
  type LfsWorkTree,
  noise,
} from '../support/lfs-repository.ts';
import { createStage, LAUNCHER, type Stage } from '../support/stage.ts';

const WAIT_MS = 20_000;
const SMALL = Array.from({ length: 12 }, (_, n) => noise(20_000 + n, `small ${n}`));
const BIG = noise(4_000_000, 'big');
const MAP = noise(50_000, 'map');

let author: LfsWorkTree;
let server: MegaServer;
let proxy: FaultProxy;
let stage: Stage;
let mnt: string;
const stages: Stage[] = [];

/** A stage of a user, with a mount of the whole repository. */
async function enter(user: string): Promise<Stage> {
  const entered = createStage();
  stages.push(entered);
  entered.configure({ base_url: proxy.url, lfs_url: 'auto', lfs_token: `${user}:x` });
  await entered.succeed('mount', '/', entered.path('mnt'));
  return entered;
}

beforeEach(async () => {
  author = await createLfsWorkTree();
  await author.git('lfs', 'track', '*.bin');
  await author.git('lfs', 'track', '--lockable', '*.map');
  await author.commit({
    'README.md': 'hello\n',
    'assets/big.bin': BIG,
    'assets/world.map': MAP,
    ...Object.fromEntries(SMALL.map((content, n) => [`small/${n % 3}/${n}.bin`, content])),
  });
  server = await createMegaServer({ repo: author.path, port: 0, lfs: { users: { alice: 'x', bob: 'x' } } });
  proxy = await createFaultProxy(server.url);
  stage = await enter('alice');
  mnt = stage.path('mnt');
});
afterEach(async () => {
  for (const each of stages.splice(0)) await each.dispose();
  await proxy.close();
  await server.close();
  await author.remove();
});

interface Task {
  readonly event: string;
  readonly report: {
    readonly files: number;
    readonly files_done: number;
    readonly files_present: number;
    readonly files_failed: number;
    readonly bytes: number;
    readonly freed_bytes: number | null;
    readonly failures: readonly { readonly path: string; readonly reason: string }[];
  };
}

/** Runs a command that makes a task, and returns its last event. */
async function run(...args: string[]): Promise<Task> {
  const lines = (await stage.succeed('lfs', ...args, '--json')).trimEnd().split('\n');
  const last = JSON.parse(lines.at(-1) ?? '') as Task;
  expect(last.event).toBe('end');
  return last;
}

interface Status {
  readonly server: string;
  readonly hashing: number;
  readonly active_folders: readonly string[];
  readonly files: readonly {
    readonly path: string;
    readonly change: string;
    readonly from: string | null;
    readonly oid: string | null;
    readonly uploaded: boolean | null;
    readonly locked_by: string | null;
  }[];
}

async function status(...args: string[]): Promise<Status> {
  return JSON.parse(await stage.succeed('lfs', 'status', mnt, '--json', ...args)) as Status;
}

/** Whether the local store has an object. */
function isStored(content: Buffer): boolean {
  const oid = lfsOid(content);
  return readdirSync(stage.path('store'), { recursive: true }).some(
    (name) => String(name).endsWith(oid) && !String(name).includes('incomplete'),
  );
}

async function until(what: string, isSo: () => boolean | Promise<boolean>): Promise<void> {
  for (const deadline = Date.now() + WAIT_MS; Date.now() < deadline;) {
    if (await isSo()) return;
    await sleep(50);
  }
  throw new Error(`it never came to be that ${what}\n${stage.log()}`);
}

const smallFiles = (): Promise<Buffer[]> =>
  Promise.all(SMALL.map((_, n) => readFile(join(mnt, `small/${n % 3}/${n}.bin`))));

describe('checkout', () => {
  test('fetches what a folder needs, once, and it can be read without the server', async () => {
    expect(await run('checkout', `${mnt}/small`)).toMatchObject({
      report: { files: 12, files_done: 12, files_present: 0, files_failed: 0 },
    });
    expect(await run('checkout', `${mnt}/small`)).toMatchObject({
      report: { files_done: 12, files_present: 12, bytes: 0 },
    });
    expect((await status()).active_folders).toEqual(['small']);
    expect(isStored(BIG)).toBe(false);
    await proxy.stop();
    expect((await smallFiles()).every((content, n) => content.equals(SMALL[n] as Buffer))).toBe(true);
    await proxy.start();
  });

  test('is honoured after a restart, until it is taken back', async () => {
    await run('checkout', '--job', 'root', 'small/1');
    await stage.end(stage.daemon()?.pid ?? 0, 'SIGTERM');
    await rm(stage.path('store/lfs/objects'), { recursive: true });
    expect(isStored(SMALL[1] as Buffer)).toBe(false);
    await stage.serve();
    await until(
      'the folder is fetched again',
      () => isStored(SMALL[1] as Buffer) && isStored(SMALL[10] as Buffer),
    );
    expect(isStored(SMALL[0] as Buffer)).toBe(false);
    expect(await stage.succeed('lfs', 'checkout', '--deactivate', `${mnt}/small`)).toMatch(/^no folder/);
    expect((await status()).active_folders).toEqual([]);
  });

  test('ends with 1 for what cannot be had, and says which file and why', async () => {
    const lost = SMALL[4] as Buffer;
    await rm(lfsObjectPath(join(author.path, '.git/lfs'), lfsOid(lost)));
    const { code, stdout, stderr } = await stage.scorpio('lfs', 'fetch', `${mnt}/small`);
    expect(code).toBe(1);
    expect(stdout).toMatch(/^fetched 11 large files, .*; 0 were here already, 1 failed\n$/);
    expect(stderr).toMatch(/^1 file could not be fetched:\n {2}\S*small\/1\/4\.bin: .+\n$/);
  });
});

test('an interrupted fetch goes on where it was', async () => {
  const heal = proxy.inject({ kind: 'drip', bytes: 100_000, everyMs: 100 }, { path: lfsOid(BIG) });
  const args = [LAUNCHER, '--config-path', stage.path('scorpio.toml'), 'lfs', 'fetch', 'assets/big.bin'];
  const child = spawn(process.execPath, args, { cwd: mnt, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => (output += text));
  }
  const closed = once(child, 'close');
  const url = `http://${stage.daemon()?.address}/antares/lfs/tasks`;
  await until('a megabyte has come', async () => {
    const { tasks } = (await (await fetch(url)).json()) as { tasks: { progress: { bytes: number } }[] };
    return (tasks[0]?.progress.bytes ?? 0) > 1_000_000;
  });
  child.kill('SIGINT');
  expect(await closed).toEqual([130, null]);
  expect(output).toBe('interrupted; what was fetched is kept, and the next run goes on from there\n');
  heal();
  const { report } = await run('fetch', `${mnt}/assets/big.bin`);
  expect(report).toMatchObject({ files_done: 1, files_failed: 0 });
  expect((await readFile(join(mnt, 'assets/big.bin'))).equals(BIG)).toBe(true);
  const sent = proxy.requests
    .filter((each) => each.url.includes(lfsOid(BIG)))
    .reduce((sum, each) => sum + each.bytes, 0);
  // What the connection held when it was given up may come twice.
  expect(sent).toBeLessThan(BIG.length * 1.25);
});

describe('changes', () => {
  test('are listed by what they are, and only those', async () => {
    const changed = noise(30_000, 'changed');
    await writeFile(join(mnt, 'small/0/0.bin'), changed);
    await writeFile(join(mnt, 'small/0/new.bin'), 'new');
    await rm(join(mnt, 'small/1/1.bin'));
    await rename(join(mnt, 'small/2/2.bin'), join(mnt, 'small/2/moved.bin'));
    await utimes(join(mnt, 'small/2/5.bin'), 1, 2);
    await chmod(join(mnt, 'small/2/8.bin'), 0o755);
    await writeFile(join(mnt, 'README.md'), 'changed, and small\n');
    const { files, hashing } = await status();
    expect(hashing).toBe(0);
    const changes = files.filter(({ change }) => change !== 'unmodified');
    expect(changes.map(({ path, change, from }) => ({ path, change, from }))).toEqual([
      { path: 'small/0/0.bin', change: 'modified', from: null },
      { path: 'small/0/new.bin', change: 'new', from: null },
      { path: 'small/1/1.bin', change: 'deleted', from: null },
      { path: 'small/2/moved.bin', change: 'renamed', from: 'small/2/2.bin' },
    ]);
    expect(changes[0]).toMatchObject({ oid: lfsOid(changed), uploaded: false });
    // What is moved or touched is not downloaded.
    expect(isStored(SMALL[2] as Buffer) || isStored(SMALL[5] as Buffer)).toBe(false);
    expect(await stage.succeed('lfs', 'status', '--job', 'root', 'small/0')).toMatch(
      /^modified +small\/0\/0\.bin +30 kB +[0-9a-f]{10} -> [0-9a-f]{10} +not uploaded$/m,
    );
    await writeFile(join(mnt, 'small/0/0.bin'), SMALL[0] as Buffer);
    expect((await status(`${mnt}/small/0/0.bin`)).files.map(({ change }) => change)).not.toContain(
      'modified',
    );
  });

  test('are uploaded once, and then only their pointer is needed', async () => {
    const changed = noise(3_000_000, 'pushed');
    await writeFile(join(mnt, 'assets/big.bin'), changed);
    await writeFile(join(mnt, 'small/same.bin'), SMALL[3] as Buffer);
    const { report } = await run('push', mnt);
    expect(report).toMatchObject({ files: 2, files_done: 2, files_present: 1, files_failed: 0 });
    const served = lfsObjectPath(join(author.path, '.git/lfs'), lfsOid(changed));
    expect((await readFile(served)).equals(changed)).toBe(true);
    expect((await status()).files.map(({ uploaded }) => uploaded)).toEqual([true, true]);
    proxy.reset();
    expect(await run('push', mnt)).toMatchObject({ report: { files_done: 2, files_present: 2, bytes: 0 } });
    expect(proxy.requests.filter((each) => each.method === 'PUT')).toEqual([]);
  });

  test('that the server refuses are told, file by file', async () => {
    await writeFile(join(mnt, 'small/x.bin'), 'x');
    proxy.inject({ kind: 'status', status: 403 }, { path: lfsOid(Buffer.from('x')) });
    const { code, stderr } = await stage.scorpio('lfs', 'push', mnt);
    expect(code).toBe(1);
    expect(stderr).toMatch(/small\/x\.bin: /);
    expect(stderr).not.toMatch(/alice:x|Bearer/);
  });
});

test('two users, one lock', async () => {
  const alice = stage;
  const bob = await enter('bob');
  const path = (user: Stage): string => user.path('mnt/assets/world.map');
  expect(await alice.succeed('lfs', 'lock', path(alice))).toMatch(/^locked .*world\.map \(id .+\)\n$/);
  const refused = await bob.scorpio('lfs', 'lock', path(bob));
  expect(refused).toMatchObject({ code: 1, stdout: '' });
  expect(refused.stderr).toMatch(/^error: .*world\.map: .*alice/);
  expect(await bob.succeed('lfs', 'locks', '--mount', 'root')).toMatch(/^assets\/world\.map +alice /m);
  expect(await bob.succeed('lfs', 'locks', '--mount', 'root', '--verify')).toMatch(
    /^theirs +assets\/world\.map/m,
  );
  expect(await alice.succeed('lfs', 'locks', '--mount', 'root', '--verify')).toMatch(
    /^ours +assets\/world\.map/m,
  );
  expect((await bob.scorpio('lfs', 'unlock', path(bob))).code).toBe(1);
  expect(await bob.succeed('lfs', 'unlock', '--force', path(bob))).toMatch(/^unlocked /);
  await bob.succeed('lfs', 'lock', path(bob));
  const locks = JSON.parse(await alice.succeed('lfs', 'locks', '--mount', 'root', '--json')) as {
    locks: { id: string; owner: string }[];
  };
  expect(locks.locks).toMatchObject([{ path: 'assets/world.map', owner: 'bob' }]);
  await bob.succeed('lfs', 'unlock', '--mount', 'root', '--id', locks.locks[0]?.id ?? '');
  expect(await alice.succeed('lfs', 'locks', '--mount', 'root')).toBe('no locks\n');
});

describe('care', () => {
  test('prune removes what the server has, and nothing that is needed here', async () => {
    await run('checkout', `${mnt}/small/0`);
    await run('fetch', `${mnt}/small/1`);
    await writeFile(join(mnt, 'small/1/1.bin'), 'changed');
    expect(await stage.succeed('lfs', 'prune', '--dry-run')).toMatch(/^would remove 4 large files, /);
    expect(isStored(SMALL[4] as Buffer)).toBe(true);
    const { report } = await run('prune');
    expect(report).toMatchObject({ files_done: 4, files_failed: 0 });
    expect(report.freed_bytes).toBeGreaterThan(80_000);
    expect(isStored(SMALL[4] as Buffer)).toBe(false);
    expect(isStored(SMALL[0] as Buffer)).toBe(true);
    expect((await readFile(join(mnt, 'small/1/4.bin'))).equals(SMALL[4] as Buffer)).toBe(true);
    expect(await readFile(join(mnt, 'small/1/1.bin'), 'utf8')).toBe('changed');
  });

  test('dedup takes what a git-lfs store on the same disk has', async () => {
    proxy.reset();
    expect(await run('dedup', author.path)).toMatchObject({ report: { files_failed: 0 } });
    const { report } = await run('fetch', mnt);
    expect(report).toMatchObject({ files: 14, files_present: 14, bytes: 0 });
    expect((await stage.scorpio('lfs', 'dedup', stage.path('nowhere'))).code).not.toBe(0);
  });

  test('patterns for all mounts make files large, and ordinary again', async () => {
    const ask = async (method: string, body: unknown): Promise<unknown> => {
      const response = await fetch(`http://${stage.daemon()?.address}/lfs/attributes`, {
        method,
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(body),
      });
      return response.json();
    };
    await writeFile(join(mnt, 'small/raw.dat'), 'raw');
    expect((await status(`${mnt}/small/raw.dat`)).files).toEqual([]);
    expect(await ask('POST', { patterns: ['*.dat'] })).toEqual({ tracked_patterns: 1 });
    expect((await status(`${mnt}/small/raw.dat`)).files).toMatchObject([
      { path: 'small/raw.dat', change: 'new', oid: lfsOid('raw') },
    ]);
    expect(await ask('DELETE', { paths: ['*.dat'] })).toEqual({ tracked_patterns: 0 });
    expect((await status(`${mnt}/small/raw.dat`)).files).toEqual([]);
  });
});

describe('what makes no sense', () => {
  const ask = (route: string, body: unknown, method = 'POST'): Promise<Response> =>
    fetch(`http://${stage.daemon()?.address}${route}`, {
      method,
      headers: { 'content-type': 'application/json' },
      body: typeof body === 'string' ? body : JSON.stringify(body),
    });

  test('is refused by the command, with a code and a reason', async () => {
    const cases: readonly (readonly [number, RegExp, ...string[]])[] = [
      [2, /is not in a mount; mounted are/, 'fetch', '/etc/passwd'],
      [2, /is not in a mount/, 'fetch', `${mnt}/../x`],
      [2, /leads out of the mount/, 'fetch', '--job', 'root', '../../etc'],
      [3, /job nobody not found/, 'status', '--job', 'nobody'],
      [2, /no-such|there is no/, 'fetch', `${mnt}/no-such-file`],
      [1, /only files can be locked/, 'lock', `${mnt}/no-such-file.map`],
      [1, /only files can be locked/, 'lock', `${mnt}/assets`],
    ];
    for (const [code, reason, ...args] of cases) {
      const result = await stage.scorpio('lfs', ...args);
      expect({ args, code: result.code }).toEqual({ args, code });
      expect(result.stderr).toMatch(reason);
      expect(result.stderr).not.toMatch(/^\s+at /m);
    }
  });

  test('is refused over HTTP, and the daemon serves on', async () => {
    const id = /mount_id":"([^"]+)/.exec(
      await (await fetch(`http://${stage.daemon()?.address}/antares/mounts`)).text(),
    );
    const lfs = `/antares/mounts/${id?.[1]}/lfs`;
    expect((await ask(`${lfs}/fetch`, { paths: ['a\0b'] })).status).toBe(400);
    expect((await ask(`${lfs}/fetch`, { paths: ['../../etc/passwd'] })).status).toBe(400);
    expect((await ask(`${lfs}/locks`, { paths: ['x/../y'] })).status).toBe(400);
    expect((await ask(`${lfs}/push`, '{"paths":')).status).toBe(400);
    expect((await ask(`${lfs}/push`, { paths: 7 })).status).toBe(422);
    const many = Array.from({ length: 50_000 }, (_, n) => `no/such/file/${n}`);
    expect((await ask(`${lfs}/status`, { paths: many })).status).toBe(200);
    expect([202, 400]).toContain((await ask(`${lfs}/push`, { paths: many })).status);
    expect((await ask('/antares/lfs/dedup', { repositories: ['relative'] })).status).toBe(400);
    expect((await ask('/lfs/attributes', { patterns: 'x' })).status).toBe(422);
    expect(await readFile(join(mnt, 'README.md'), 'utf8')).toBe('hello\n');
  });

  test('so is a server that does not answer, in time and without its password', async () => {
    await proxy.stop();
    const { code, stderr } = await stage.scorpio('lfs', 'locks', '--mount', 'root');
    expect(code).toBe(1);
    expect(stderr).toMatch(/^error: .*connection/);
    expect(stderr).not.toContain('alice:x');
    await proxy.start();
  });
});
