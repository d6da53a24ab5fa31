// A daemon whose mounts are served over fuse-native.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { beforeEach, expect, test } from 'vitest';
import { FUSE_NATIVE_LIMITS } from '../../src/fuse/binding-limits.ts';
import { runProgram, shell } from '../support/run-program.ts';
import { useServedStage } from '../support/served-stage.ts';
import type { Stage } from '../support/stage.ts';

const served = useServedStage({
  'docs/a.md': 'a\n',
  'docs/b.md': 'b\n',
  'docs/deep/c.md': 'c\n',
  'src/main.ts': 'export {};\n',
  'odd/caf\xe9': 'latin1\n',
  'odd/plain': 'plain\n',
});

/** The package would answer a call after 15 s by itself. */
const LONGER_THAN_THE_PACKAGE_WAITS_MS = 16_000;
const MOUNTED_AGAIN = { timeout: 20_000 };

let stage: Stage;
let point: string;

beforeEach(() => {
  stage = served.stage;
  stage.configure({
    base_url: served.proxy.url,
    fuse_binding: 'fuse-native',
    dicfuse_fetch_dir_timeout_secs: 60,
  });
  point = stage.path('mnt');
});

/** Changes of every kind, and what the folder shows then. */
const EDIT =
  'echo changed > a.md; rm b.md; echo new > new.md; mv deep moved; chmod 600 moved/c.md; ln -s new.md link; ln new.md twin';
const SHOW = "find . -printf '%P %y %m %n %l\\n' | LC_ALL=C sort; cat a.md new.md moved/c.md twin";

test('mounts, works, is asked for its limits, unmounts and comes back with what was written', async () => {
  await stage.succeed('mount', '/docs', point);
  expect(await shell('ls -R . && cat deep/c.md', { cwd: point })).toContain('c.md');
  await shell(EDIT, { cwd: point });
  const shown = await shell(SHOW, { cwd: point });
  expect(shown).toContain('changed\nnew\nc\nnew');
  const { mounts } = JSON.parse(await stage.succeed('list', '--json')) as {
    mounts: { binding: { name: string; limits: unknown } }[];
  };
  expect(mounts.map(({ binding }) => binding)).toEqual([{ name: 'fuse-native', limits: FUSE_NATIVE_LIMITS }]);
  await stage.succeed('umount', 'docs');
  expect(stage.mountpoints()).toEqual([]);
  await stage.succeed('mount', '/docs', point);
  expect(await shell(SHOW, { cwd: point })).toBe(shown);
});

test('carries a git repository', async () => {
  await stage.succeed('mount', '/', point);
  const git =
    'git init -q . && git add docs src && git -c user.name=n -c user.email=e@x commit -qm first && ' +
    'echo more >> docs/a.md && rm docs/b.md && git status --porcelain docs src && git gc -q && git fsck --strict';
  expect(await shell(git, { cwd: point })).toBe(' M docs/a.md\n D docs/b.md');
});

test('is not unmounted while it is used, says by whom, and is afterwards', async () => {
  await stage.succeed('mount', '/docs', point);
  const user = spawn('sh', ['-c', 'exec 3> open.md; echo ready; read line; echo late >&3'], { cwd: point });
  try {
    await once(user.stdout, 'data');
    const { code, stderr } = await stage.scorpio('umount', 'docs');
    expect(code).not.toBe(0);
    expect(stderr).toContain(`pid ${user.pid}`);
    user.stdin.end('go\n');
    await once(user, 'exit');
  } finally {
    user.kill('SIGKILL');
  }
  expect(await shell('cat open.md', { cwd: point })).toBe('late');
  await stage.succeed('umount', 'docs');
});

test('is mounted again after the daemon was killed, and gone after it ended in order, two mounts at once', async () => {
  const other = stage.path('other');
  const killed = await stage.serve();
  await stage.succeed('mount', '/docs', point);
  await stage.succeed('mount', '/src', other);
  await shell(EDIT, { cwd: point });
  const shown = await shell(SHOW, { cwd: point });
  await stage.end(killed, 'SIGKILL');
  const daemon = await stage.serve();
  await expect.poll(() => stage.succeed('list'), MOUNTED_AGAIN).not.toContain('state=');
  expect(await shell(SHOW, { cwd: point })).toBe(shown);
  expect(await shell('cat main.ts', { cwd: other })).toBe('export {};');
  await stage.end(daemon, 'SIGTERM');
  expect(daemon.exitCode).toBe(0);
  expect(stage.mountpoints()).toEqual([]);
});

test('waits for a slow server for as long as it takes', async () => {
  await stage.succeed('mount', '/docs', point);
  await shell('ls -l deep', { cwd: point });
  served.proxy.latencyMs = LONGER_THAN_THE_PACKAGE_WAITS_MS;
  expect(await shell('cat deep/c.md', { cwd: point, timeoutMs: 4 * LONGER_THAN_THE_PACKAGE_WAITS_MS })).toBe(
    'c',
  );
});

test('refuses names that are no UTF-8, lists the others, and logs it', async () => {
  await stage.succeed('mount', '/', point);
  expect(await shell('ls odd', { cwd: point })).toBe('plain');
  const made = await runProgram('sh', ['-c', 'touch "$(printf "caf\\351")"'], { cwd: point });
  expect(made.stderr).toContain('Invalid or incomplete multibyte');
  expect(await shell('ls', { cwd: point })).toBe('docs\nodd\nsrc');
  const { code } = await runProgram('rm', ['-r', 'odd'], { cwd: point });
  expect(code).not.toBe(0);
  expect(stage.log()).toContain('no UTF-8 and cannot be listed');
});

test('is what the doctor describes', async () => {
  const { stdout } = await stage.scorpio('doctor');
  expect(stdout).toContain('[ OK ] fuse binding: fuse-native: the configuration says');
  expect(stdout).toContain('[ OK ] fuse-native: loads');
  for (const { name } of FUSE_NATIVE_LIMITS)
    expect(stdout).toContain(`[WARN] limit of fuse-native: ${name}: `);
});
