// `scorpio prefetch` as users run it: with a real daemon, a real mount, and a server that is then away.
import { spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { beforeEach, describe, expect, test } from 'vitest';
import type { PathSpec } from '../support/git-repository.ts';
import { shell } from '../support/run-program.ts';
import { useServedStage } from '../support/served-stage.ts';
import { LAUNCHER, type Stage } from '../support/stage.ts';

const FILES: Readonly<Record<string, PathSpec>> = {
  'README.md': 'hello\n',
  'docs/a.md': 'a\n',
  'docs/deep/b.md': 'b\n',
  'empty.txt': '',
  'src/main.ts': 'export {};\n',
  'src/same.ts': 'export {};\n',
  'src/link': { symlink: 'main.ts' },
  'src/run.sh': { content: '#!/bin/sh\n', mode: 0o100755 },
  'src/lib/big.bin': Buffer.alloc(1_500_000, 'scorpio '),
  ...Object.fromEntries(Array.from({ length: 300 }, (_, n) => [`many/${n % 30}/${n}.txt`, `${n}\n`])),
};

const served = useServedStage(FILES);

let stage: Stage;
let point: string;

beforeEach(async () => {
  stage = served.stage;
  point = stage.path('mnt');
  await stage.succeed('mount', '/', point);
});

interface End {
  readonly event: string;
  readonly files: number;
  readonly present: number;
  readonly fetched: number;
  readonly failed: number;
  readonly bytes: number;
  readonly total_bytes: number;
  readonly used_pack: boolean;
}

/** Prefetches, and returns the last event. */
async function prefetch(...args: string[]): Promise<End> {
  const lines = (await stage.succeed('prefetch', ...args, '--json')).trimEnd().split('\n');
  const end = JSON.parse(lines.at(-1) ?? '') as End;
  expect(end.event).toBe('end');
  return end;
}

/** Ids of the blobs in the store. */
const stored = (): string[] =>
  readdirSync(stage.path('store/objects'), { recursive: true })
    .map(String)
    .filter((name) => /^..\/.{38}$/.test(name))
    .sort();

const readAll = (folder: string): Promise<string> =>
  shell('find . -type f -exec cat {} + | sha256sum; find . -printf "%p %s %m %l\\n" | sort | sha256sum', {
    cwd: folder,
  });

describe('afterwards everything can be read without the server', () => {
  test.each(['never', 'always'])('when packs are %s used', async (pack) => {
    const files = Object.keys(FILES).length;
    expect(await prefetch(point, '--pack', pack)).toMatchObject({
      files,
      present: 0,
      fetched: files,
      failed: 0,
      used_pack: pack === 'always',
    });
    expect(readdirSync(stage.path('store/tmp'))).toEqual([]);
    await served.proxy.stop();
    await readAll(point);
    expect(await shell('readlink src/link; cat src/lib/big.bin | wc -c', { cwd: point })).toBe(
      'main.ts\n1500000',
    );
    expect(await prefetch(point)).toMatchObject({ files, present: files, fetched: 0, bytes: 0 });
  });
});

test('a store is the same whether its objects came as a pack or one by one', async () => {
  await prefetch(point, '--pack', 'always');
  const first = stored();
  await stage.succeed('umount', point);
  await stage.end(stage.daemon()?.pid ?? 0, 'SIGTERM');
  await shell('rm -r store', { cwd: stage.folder });
  await stage.succeed('mount', '/', point);
  await prefetch(point, '--pack', 'never');
  expect(stored()).toEqual(first);
});

test('a server that answers one object a request is asked for a pack', async () => {
  await stage.succeed('umount', point);
  await stage.end(stage.daemon()?.pid ?? 0, 'SIGTERM');
  served.proxy.inject({ kind: 'status', status: 404 }, { path: '/api/v1/capabilities' });
  await stage.succeed('mount', '/', point);
  expect(await prefetch(point)).toMatchObject({ used_pack: true, failed: 0 });
  expect(served.proxy.count('/file/blob/')).toBe(0);
});

test('where the server has no Git interface, the objects come one by one', async () => {
  served.proxy.inject({ kind: 'status', status: 404 }, { path: '/info/refs' });
  expect(await prefetch(point, '--pack', 'always')).toMatchObject({ used_pack: false, failed: 0 });
});

describe('what is fetched', () => {
  test('is a folder, to a depth, as globs say', async () => {
    expect(await prefetch(`${point}/docs`, '--depth', '0')).toMatchObject({ files: 1 });
    expect(await prefetch(point, '--depth', '1', '--include', '*.md')).toMatchObject({
      files: 2,
      present: 1,
    });
    expect(await prefetch(point, '--include', '/src/', '--exclude', 'lib')).toMatchObject({ files: 4 });
    expect(await prefetch('--job', 'root', 'docs')).toMatchObject({ files: 2, present: 1 });
  });

  test('is only counted in a dry run', async () => {
    const before = stored();
    const out = await stage.succeed('prefetch', `${point}/src`, '--dry-run');
    expect(out).toBe('5 files to fetch, 1.5 MB; 0 of 5 are here already\n');
    expect(stored()).toEqual(before);
  });

  test('is what the mount shows: not what was removed or replaced, but what was moved', async () => {
    await shell(
      'rm docs/a.md; echo new > README.md; mkdir new; mv src/lib new/moved; mv many/0/0.txt zero.txt',
      {
        cwd: point,
      },
    );
    expect(await prefetch(`${point}/new`)).toMatchObject({ files: 1, fetched: 1, bytes: 1_500_000 });
    expect(await prefetch(`${point}/docs`)).toMatchObject({ files: 1 });
    expect(await prefetch(point, '--depth', '0')).toMatchObject({ files: 2 });
    await served.proxy.stop();
    expect(await shell('cat zero.txt; wc -c < new/moved/big.bin', { cwd: point })).toBe('0\n1500000');
  });
});

test('the end is told in words, and progress in lines where there is no terminal', async () => {
  const { code, stdout, stderr } = await stage.scorpio('prefetch', `${point}/docs`);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(stdout).toMatch(/^fetched 2 files, 4 B, in \d+ s; 0 were here already\n$/);
  expect(await stage.scorpio('prefetch', '-q', `${point}/many`)).toEqual({ code: 0, stdout: '', stderr: '' });
});

test('Ctrl-C stops the work, in the daemon too', async () => {
  served.proxy.latencyMs = 300;
  const child = spawn(
    process.execPath,
    [LAUNCHER, '--config-path', stage.path('scorpio.toml'), 'prefetch', point, '--json'],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  );
  let stderr = '';
  child.stderr.on('data', (text: Buffer) => (stderr += text.toString()));
  await new Promise((resolve) => child.stdout.once('data', resolve));
  child.kill('SIGINT');
  const code = await new Promise((resolve) => child.once('close', resolve));
  expect({ code, stderr }).toEqual({ code: 130, stderr: 'interrupted; what was fetched is kept\n' });
  served.proxy.latencyMs = 0;
  // Nothing is left that would keep a second one waiting.
  expect(await prefetch(point)).toMatchObject({ failed: 0 });
});

describe('refuses', () => {
  test('what is no folder in a mount, and says what to do', async () => {
    const outcome = async (...args: string[]): Promise<unknown[]> => {
      const { code, stderr } = await stage.scorpio('prefetch', ...args);
      return [code, stderr.trim()];
    };
    expect(await outcome(stage.path('elsewhere'))).toEqual([
      2,
      `error: ${stage.path('elsewhere')} is not in a mount; mounted are ${point}`,
    ]);
    expect(await outcome(`${point}/README.md`)).toEqual([2, expect.stringContaining('README.md is a file')]);
    expect(await outcome(`${point}/src/link`)).toEqual([2, expect.stringContaining('is a symbolic link')]);
    expect(await outcome(`${point}/no/such`)).toEqual([
      2,
      expect.stringContaining('there is no such folder'),
    ]);
    expect(await outcome('--job', 'other', 'src')).toEqual([3, 'job other not found']);
    expect(await outcome('')).toEqual([2, 'error: the path is empty']);
    expect(await outcome('--job', point, 'src/../..')).toEqual([
      2,
      `error: src/../.. leads out of the mount of job ${point}`,
    ]);
    expect(await outcome(point, '--depth', 'x')).toEqual([2, expect.stringContaining('number of levels')]);
    expect(await outcome(point, '--include', '../x')).toEqual([2, expect.stringContaining('no pattern')]);
  });
});

test('a server that is away, and objects that it lost, are failures', async () => {
  served.proxy.inject({ kind: 'status', status: 404 }, { path: /\/object\/blobs|\/file\/blob/ });
  const lost = await stage.scorpio('prefetch', `${point}/docs`);
  expect(lost.code).toBe(1);
  const [heading, ...files] = lost.stderr.trimEnd().split('\n');
  expect(heading).toBe('2 files could not be fetched:');
  // In the order in which the server was asked.
  expect(new Set(files.map((line) => line.split(':', 1)[0]))).toEqual(
    new Set(['  docs/a.md', '  docs/deep/b.md']),
  );
  served.proxy.heal();
  await served.proxy.stop();
  const away = await stage.scorpio('prefetch', point);
  expect(away.code).toBe(1);
  expect(away.stderr).toContain('prefetching ended early');
});

test('a store with a limit takes no more than it can hold, and says so', async () => {
  await stage.succeed('umount', point);
  await stage.end(stage.daemon()?.pid ?? 0, 'SIGTERM');
  stage.configure({ base_url: served.proxy.url, store_limit: '1MB' });
  await stage.succeed('mount', '/', point);
  const { code, stderr } = await stage.scorpio('prefetch', `${point}/src`);
  expect(code).toBe(1);
  expect(stderr).toContain('the local store has no room for more that is fetched ahead');
  expect(stderr).toContain('raise store_limit');
});

test('a schedule fetches what it names for the mounts that show it, and tells', async () => {
  await stage.succeed('umount', point);
  await stage.end(stage.daemon()?.pid ?? 0, 'SIGTERM');
  stage.configure({
    base_url: served.proxy.url,
    prefetch_paths: '/docs/**/*.md, /src/lib/',
    prefetch_interval_secs: 1,
  });
  await stage.succeed('mount', '/', point);
  const { address = '' } = stage.daemon() ?? {};
  for (;;) {
    const health = (await (await fetch(`http://${address}/health`)).json()) as {
      prefetch: { interval_secs: number; last_run: { fetched: number; error: string | null } | null };
    };
    expect(health.prefetch.interval_secs).toBe(1);
    if ((health.prefetch.last_run?.fetched ?? 0) > 0) {
      expect(health.prefetch.last_run).toMatchObject({ fetched: 3, error: null });
      break;
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  expect(stored()).toHaveLength(3);
});
