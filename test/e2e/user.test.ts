// The whole program as an ordinary user, through fusermount3; and root's daemon that serves another user.
import { chmodSync, chownSync, readFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createOrdinaryUser, type OrdinaryUser } from '../support/ordinary-user.ts';
import { runProgram, shell } from '../support/run-program.ts';
import { useServedStage } from '../support/served-stage.ts';
import { LAUNCHER, type Stage } from '../support/stage.ts';

const isRoot = process.getuid?.() === 0;
const NOBODY = 65_534;

const served = useServedStage({
  'docs/a.md': 'a\n',
  'docs/run': { content: '#!/bin/sh\necho ran\n', mode: 0o100755 },
  'docs/deep/c.md': 'c\n',
});

let stage: Stage;
let point: string;

beforeEach(() => {
  stage = served.stage;
  point = stage.path('mnt');
});

describe('an ordinary user', () => {
  let user: OrdinaryUser;

  beforeEach(async () => {
    user = await createOrdinaryUser(stage);
  });

  afterEach(async () => {
    await user[Symbol.asyncDispose]();
  });

  /** Runs a script in the mount as the user; what it prints. */
  async function inMount(script: string): Promise<string> {
    const { code, stdout, stderr } = await user.run('sh', '-euc', `cd "$1"; ${script}`, 'sh', point);
    if (code !== 0) throw new Error(`${script}: ${stderr}${stage.log()}`);
    return stdout;
  }

  const mounted = async (): Promise<string> =>
    (await user.run('sh', '-c', 'grep -cF "$1" /proc/self/mountinfo', 'sh', ` ${point} `)).stdout;

  test('mounts, works, lists and unmounts, with a daemon that is theirs', async () => {
    const made = await user.scorpio('mount', '/docs', point);
    expect([made.code, made.stdout]).toEqual([0, `mounted job docs at ${point}\n`]);
    expect(await mounted()).toBe('1\n');
    expect(await shell('stat -c %u "/proc/$1"', { args: [String(stage.daemon()?.pid)] })).toBe(
      String(user.uid),
    );
    expect(await inMount('find . -printf "%P %U %m\\n" | LC_ALL=C sort; ./run')).toBe(
      [' UID 755', 'a.md UID 644', 'deep UID 755', 'deep/c.md UID 644', 'run UID 755', 'ran', '']
        .map((line) => line.replace('UID', String(user.uid)))
        .join('\n'),
    );
    await inMount(
      'echo more >> a.md; chmod 700 a.md; mv deep moved; rm run; mkdir run; ln -s a.md link; ln a.md hard',
    );
    expect(await inMount('cat a.md moved/c.md; ls -A run; stat -c "%a %h %U" hard')).toMatch(
      /^a\nmore\nc\n700 2 \S+\n$/,
    );
    expect((await user.scorpio('list')).stdout).toMatch(/^job_id=docs /);
    expect(await user.scorpio('umount', point)).toEqual({
      code: 0,
      stdout: 'unmounted job docs\n',
      stderr: '',
    });
    expect(await mounted()).toBe('0\n');

    await user.scorpio('mount', '/docs', point);
    expect(await inMount('cat a.md moved/c.md; ls -A run')).toBe('a\nmore\nc\n');
  });

  test.skipIf(!isRoot)('has the mount alone', async () => {
    await user.scorpio('mount', '/docs', point);
    expect(await user.runAsRoot('ls', point)).toMatchObject({
      stdout: '',
      stderr: expect.stringContaining('Permission denied'),
    });
  });

  test('gets mounts back after the daemon was killed, and loses none when it is ended', async () => {
    await user.scorpio('mount', '/docs', point);
    await inMount('echo mine > mine.md');
    await stage.end(stage.daemon()?.pid ?? 0, 'SIGKILL');
    const askDead = async (): Promise<string> => (await user.run('ls', `${point}/deep`)).stderr;
    await expect.poll(askDead).toContain('Transport endpoint is not connected');
    expect(await user.scorpio('mount', '/docs', point)).toMatchObject({
      code: 0,
      stdout: `mounted job docs at ${point}\n`,
    });
    expect(await mounted()).toBe('1\n');
    expect(await inMount('cat mine.md deep/c.md')).toBe('mine\nc\n');
    await stage.end(stage.daemon()?.pid ?? 0, 'SIGTERM');
    expect(await mounted()).toBe('0\n');
    expect(stage.daemon()).toBeUndefined();
    await user.scorpio('mount', '/docs', point);
    expect(await inMount('cat mine.md')).toBe('mine\n');
  });

  test('is told who keeps a mount busy', async () => {
    await user.scorpio('mount', '/docs', point);
    const pidFile = stage.path('pid');
    const sleeping = user.run('sh', '-c', 'cd "$1" && echo $$ > "$2" && exec sleep 50', 'sh', point, pidFile);
    const command = (): Promise<string> =>
      shell('tr "\\0" " " < "/proc/$(cat "$1")/cmdline" || true', { args: [pidFile] });
    await expect.poll(command).toContain('sleep 50');
    const pid = Number(readFileSync(pidFile, 'utf8'));
    const { code, stderr } = await user.scorpio('umount', 'docs');
    process.kill(pid);
    await sleeping;
    expect([code, stderr]).toEqual([3, expect.stringContaining(`pid ${pid} sleep: cwd`)]);
    expect(await user.scorpio('umount', 'docs')).toMatchObject({ code: 0 });
  });
});

describe.skipIf(!isRoot)('a daemon of root', () => {
  test('gives a mount to the user behind sudo, and lets them in', async () => {
    chmodSync(stage.folder, 0o755);
    chownSync(stage.folder, NOBODY, NOBODY);
    const env = { SUDO_UID: String(NOBODY), SUDO_GID: String(NOBODY) };
    const args = [LAUNCHER, '--config-path', stage.path('scorpio.toml'), 'mount', '/docs', point];
    expect(await runProgram(process.execPath, args, { env })).toMatchObject({ code: 0 });
    const asNobody = ['setpriv', `--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups'].join(' ');
    const script = `cd "$1"; ${asNobody} sh -euc 'echo new > new.md; echo more >> a.md; rm run; cat a.md'; stat -c '%n %u:%g %a' . * deep/c.md`;
    expect(await shell(script, { args: [point] })).toBe(
      `a\nmore\n. ${NOBODY}:${NOBODY} 755\na.md ${NOBODY}:${NOBODY} 644\ndeep ${NOBODY}:${NOBODY} 755\nnew.md ${NOBODY}:${NOBODY} 644\ndeep/c.md ${NOBODY}:${NOBODY} 644`,
    );
    await shell('echo root > "$1/of-root"; [ "$(stat -c %u "$1/of-root")" = 0 ]', { args: [point] });
    await stage.succeed('umount', 'docs');
  });
});
