// How daemons end, in order and killed, and what the next one makes of it.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { beforeEach, describe, expect, test } from 'vitest';
import { runProgram, shell } from '../support/run-program.ts';
import { useServedStage } from '../support/served-stage.ts';
import { isRunning, type Stage } from '../support/stage.ts';

const served = useServedStage({
  'docs/a.md': 'a\n',
  'docs/b.md': 'b\n',
  'docs/deep/c.md': 'c\n',
  'src/main.ts': 'export {};\n',
});

const MOUNTED_AGAIN = { timeout: 20_000 };

let stage: Stage;
let point: string;

beforeEach(() => {
  stage = served.stage;
  point = stage.path('mnt');
});

const read = (path: string): Promise<string> => shell('cat "$1"', { args: [`${point}/${path}`] });

/** What a program says of the mount that nobody serves any more. */
const askDead = async (): Promise<string> => (await runProgram('ls', [`${point}/deep`])).stderr;

/** Waits until a new daemon has brought the mount back. */
const untilMountedAgain = (): Promise<void> =>
  expect.poll(() => stage.succeed('list'), MOUNTED_AGAIN).toMatch(/^job_id=docs (?!.*state=)/);

async function expectNoTrace(pid: number | undefined): Promise<void> {
  expect(stage.mountpoints()).toEqual([]);
  expect(isRunning(pid ?? 0)).toBe(false);
  expect(stage.daemon()).toBeUndefined();
  expect(existsSync(point)).toBe(false);
}

/** Changes of every kind, and what the folder shows then. */
const EDIT =
  'echo changed > a.md; rm b.md; echo new > new.md; mv deep moved; chmod 600 moved/c.md; ln -s new.md link';
const SHOW = "find . -printf '%P %y %m %l\\n' | LC_ALL=C sort; cat a.md new.md moved/c.md";

describe('a daemon that is told to end', () => {
  test.each(['SIGTERM', 'SIGINT'] as const)(
    'unmounts on %s and leaves nothing; the next one mounts again',
    async (signal) => {
      const daemon = await stage.serve();
      await stage.succeed('mount', '/docs', point);
      await shell(EDIT, { cwd: point });
      const shown = await shell(SHOW, { cwd: point });
      await stage.end(daemon, signal);
      expect(daemon.exitCode).toBe(0);
      await expectNoTrace(daemon.pid);
      await stage.serve();
      await untilMountedAgain();
      expect(await shell(SHOW, { cwd: point })).toBe(shown);
    },
  );

  test('in the background leaves nothing either', async () => {
    await stage.succeed('mount', '/docs', point);
    const pid = stage.daemon()?.pid ?? 0;
    await stage.end(pid, 'SIGTERM');
    await expectNoTrace(pid);
    expect(await stage.scorpio('list')).toMatchObject({
      code: 0,
      stdout: 'no active jobs\n',
      stderr: expect.stringContaining('1 recorded mount(s) come back'),
    });
  });

  test('detaches mounts in use, and keeps what was written', async () => {
    const daemon = await stage.serve();
    await stage.succeed('mount', '/docs', point);
    const user = spawn('sh', ['-c', 'exec 3> open.md; echo before >&3; echo ready; exec sleep 600'], {
      cwd: point,
    });
    try {
      await once(user.stdout, 'data');
      await stage.end(daemon, 'SIGTERM');
      expect(stage.log()).toContain(`pid ${user.pid}`);
      await expectNoTrace(daemon.pid);
    } finally {
      user.kill('SIGKILL');
      await once(user, 'exit');
    }
    await stage.serve();
    await untilMountedAgain();
    expect(await read('open.md')).toBe('before');
  });

  test('ends while a mount is waiting for the server', async () => {
    const daemon = await stage.serve();
    served.proxy.inject({ kind: 'hang' });
    const mounting = stage.scorpio('mount', '/docs', point);
    await expect.poll(() => served.proxy.requests.length).toBeGreaterThan(0);
    await stage.end(daemon, 'SIGTERM');
    expect((await mounting).code).toBe(3);
    await expectNoTrace(daemon.pid);
  });
});

describe('after kill -9 of the daemon', () => {
  beforeEach(async () => {
    const daemon = await stage.serve();
    await stage.succeed('mount', '/docs', point);
    await shell(EDIT, { cwd: point });
    expect(await shell(SHOW, { cwd: point })).toContain('changed');
    await stage.end(daemon, 'SIGKILL');
    await expect.poll(askDead).toContain('Transport endpoint is not connected');
    expect(stage.mountpoints()).toEqual([point]);
  });

  test('the next daemon clears the dead mount point and mounts again with the same changes', async () => {
    await stage.serve();
    await untilMountedAgain();
    expect(stage.mountpoints()).toEqual([point]);
    expect(await shell(SHOW, { cwd: point })).toMatch(
      /^ d 755 \na\.md f 644 \nlink l 777 new\.md\nmoved d 755 \nmoved\/c\.md f 600 \nnew\.md f 644 \nchanged\nnew\nc$/,
    );
    await shell('echo more >> new.md', { cwd: point });
    await stage.succeed('umount', 'docs');
    expect(existsSync(point)).toBe(false);
  });

  test('it does so without the server, too: what was fetched works', async () => {
    await served.proxy.stop();
    await stage.serve();
    await untilMountedAgain();
    expect(await shell(SHOW, { cwd: point })).toContain('changed\nnew\nc');
    await served.proxy.start();
  });

  test('mount starts one, which brings the mount back, and answers with it', async () => {
    expect(await stage.succeed('mount', '/docs', point)).toBe(`mounted job docs at ${point}\n`);
    expect(stage.mountpoints()).toEqual([point]);
    expect(await read('new.md')).toBe('new');
  });

  test('umount clears the mount without starting one, and the changes come back with the next mount', async () => {
    const { code, stdout, stderr } = await stage.scorpio('umount', point);
    expect([code, stdout]).toEqual([0, 'unmounted job docs\n']);
    expect(stderr).toContain('what was written is kept');
    expect(stage.mountpoints()).toEqual([]);
    expect(stage.daemonPids()).toEqual([]);
    await stage.succeed('mount', '/docs', point);
    expect(await read('new.md')).toBe('new');
  });

  test('again and again, there is never more than one mount', async () => {
    for (let round = 0; round < 3; round++) {
      const daemon = await stage.serve();
      await untilMountedAgain();
      await shell(`echo ${round} >> rounds.md`, { cwd: point });
      expect(stage.mountpoints()).toEqual([point]);
      await stage.end(daemon, 'SIGKILL');
    }
    await stage.serve();
    await untilMountedAgain();
    expect(await read('rounds.md')).toBe('0\n1\n2');
  });
});

/** Writes files, appends to one, renames and deletes; says what has returned, a line each. */
const WRITER = `
import os, sys
os.chdir(sys.argv[1])
def say(*words): os.write(1, (' '.join(map(str, words)) + '\\n').encode())
log = os.open('log', os.O_WRONLY | os.O_CREAT | os.O_APPEND)
try:
    for n in range(100000):
        with open(f'file-{n}', 'w') as file: file.write(f'content {n}' * 100)
        say('written', n)
        os.write(log, f'{n}\\n'.encode())
        say('appended', n)
        if n % 3 == 0:
            os.rename(f'file-{n}', f'renamed-{n}')
            say('renamed', n)
        elif n % 5 == 1:
            os.unlink(f'file-{n}')
            say('deleted', n)
except OSError as error:
    say('error', error.errno)
`;

/** Compares what is there with what was acknowledged; a call that was under way may have been done or not. */
const CHECKER = `
import os, sys
os.chdir(sys.argv[1])
state = {}
appended = -1
for line in sys.stdin.read().splitlines():
    what, n = line.split()
    n = int(n)
    if what == 'appended': appended = n
    elif what != 'error': state[n] = what
problems = []
for n, what in state.items():
    last = n == max(state)
    names = {'written': f'file-{n}', 'renamed': f'renamed-{n}'}
    there = [name for name in (f'file-{n}', f'renamed-{n}') if os.path.exists(name)]
    if not last and there != ([] if what == 'deleted' else [names[what]]): problems.append((n, what, there))
    if last and what != 'deleted' and len(there) > 1: problems.append((n, what, there))
    for name in there:
        if open(name).read() != f'content {n}' * 100: problems.append((n, name, 'content'))
log = open('log').read().splitlines()
if log[:appended + 1] != [str(n) for n in range(appended + 1)] or len(log) > appended + 2: problems.append(('log', appended, len(log)))
print(len(state), problems[:10])
`;

describe('kill -9 of the daemon in the middle of writing', () => {
  async function writeUntil(daemon: ChildProcess, lines: number): Promise<string> {
    const writer = spawn('python3', ['-c', WRITER, point], { stdio: ['ignore', 'pipe', 'inherit'] });
    let said = '';
    writer.stdout.setEncoding('utf8').on('data', (text: string) => {
      said += text;
      if (said.split('\n').length > lines) daemon.kill('SIGKILL');
    });
    await once(writer, 'close');
    return said;
  }

  test('loses nothing that was acknowledged', async () => {
    for (const lines of [300, 701]) {
      const daemon = await stage.serve();
      await stage.succeed('mount', '/docs', point);
      await shell('rm -f log file-* renamed-*', { cwd: point });
      const said = await writeUntil(daemon, lines);
      expect(said).toMatch(/error (107|103)\n$/);
      await stage.end(daemon, 'SIGKILL').catch(() => undefined);
      const next = await stage.serve();
      await untilMountedAgain();
      const acknowledged = stage.path('acknowledged');
      await shell('cat > "$1" <<< "$2"', { args: [acknowledged, said.trim()] });
      const found = await shell('python3 -c "$1" "$2" < "$3"', { args: [CHECKER, point, acknowledged] });
      expect(found).toMatch(/^[1-9]\d+ \[\]$/);
      expect(await read('a.md')).toBe('a');
      await stage.end(next, 'SIGTERM');
    }
  });
});

describe('a second daemon', () => {
  test('on the same store is refused with 4 and disturbs nothing', async () => {
    const daemon = await stage.serve();
    await stage.succeed('mount', '/docs', point);
    const before = readFileSync(stage.path('store/daemon.json'), 'utf8');
    const { code, stderr } = await stage.scorpio('serve');
    expect(code).toBe(4);
    expect(stderr).toContain(`pid ${daemon.pid}`);
    expect(stderr).toContain('uses the store');
    expect(readFileSync(stage.path('store/daemon.json'), 'utf8')).toBe(before);
    expect(await read('a.md')).toBe('a');
    expect(stage.daemonPids()).toEqual([daemon.pid]);
  });

  test('on another store has mounts of its own', async () => {
    await stage.serve();
    await stage.succeed('mount', '/docs', point);
    stage.configure({ base_url: served.proxy.url, store_path: stage.path('other') });
    await stage.succeed('mount', '/src', stage.path('src'));
    expect(await stage.succeed('list')).toMatch(/^job_id=src .*\n$/);
    expect(stage.mountpoints().sort()).toEqual([point, stage.path('src')]);
    expect(stage.daemonPids()).toHaveLength(2);
    expect(readdirSync(stage.folder)).toContain('other');
  });

  test('at an address that is taken is refused with 4', async () => {
    await stage.serve();
    const { address } = stage.daemon() ?? { address: '' };
    stage.configure({ base_url: served.proxy.url, store_path: stage.path('other'), http_addr: address });
    const { code, stderr } = await stage.scorpio('serve');
    expect(code).toBe(4);
    expect(stderr).toContain(`cannot listen on ${address}`);
    expect(existsSync(stage.path('other/daemon.json'))).toBe(false);
  });
});
