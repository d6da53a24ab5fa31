// Mounts from `scorpio mount` to `scorpio umount`, and what the commands say when something is in the way.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { beforeEach, describe, expect, test } from 'vitest';
import { utf8Name } from '../support/git-repository.ts';
import { shell } from '../support/run-program.ts';
import { useServedStage } from '../support/served-stage.ts';
import type { Stage } from '../support/stage.ts';

const ODD = 'a b/100% & more+#?/größe λ';

const served = useServedStage({
  'README.md': 'hello\n',
  'docs/a.md': 'a\n',
  'docs/b.md': 'b\n',
  'src/main.ts': 'export {};\n',
  [utf8Name(`${ODD}/file`)]: 'odd\n',
});

let stage: Stage;
let point: string;

beforeEach(() => {
  stage = served.stage;
  point = stage.path('mnt');
});

/** By another process: the server's proxy runs in this one, which must not wait for itself. */
const list = async (folder: string): Promise<string[]> =>
  (await shell('ls -A "$1"', { args: [folder] })).split('\n');
const read = (file: string): Promise<string> => shell('cat "$1"', { args: [file] });

/** Nothing is mounted, and nothing of an attempt is left. */
async function expectNothingLeft(): Promise<void> {
  expect(stage.mountpoints()).toEqual([]);
  expect(existsSync(point)).toBe(false);
  expect(await stage.succeed('list')).toBe('no active jobs\n');
  expect(readdirSync(stage.path('store/upper')).filter((name) => name !== '.work')).toEqual([]);
  expect(readdirSync(stage.path('store/mnt'))).toEqual([]);
}

describe('mount', () => {
  test('starts a daemon when there is none, and the mount lives on after the command', async () => {
    const { code, stdout, stderr } = await stage.scorpio('mount', '/docs', point);
    expect([code, stdout]).toEqual([0, `mounted job docs at ${point}\n`]);
    const { pid } = stage.daemon() ?? { pid: 0 };
    expect(stderr).toContain(`started a daemon (pid ${pid})`);
    expect(stage.daemonPids()).toEqual([pid]);
    expect(stage.mountpoints()).toEqual([point]);
    expect(await shell('ls; cat a.md; echo c > c.md', { cwd: point })).toBe('a.md\nb.md\na');

    expect(await stage.succeed('mount', '/src', stage.path('src'))).toBe(
      `mounted job src at ${stage.path('src')}\n`,
    );
    expect(stage.daemonPids()).toEqual([pid]);
    const lines = (await stage.succeed('list')).split('\n');
    expect(lines[0]).toMatch(new RegExp(`^job_id=docs mount=${point} upper=/\\S+ cl=\\(none\\)$`));
    expect(lines[1]).toMatch(/^job_id=src /);
    const upper = /upper=(\S+)/.exec(lines[0] ?? '')?.[1] ?? '';
    expect(readdirSync(upper)).toEqual(['c.md']);

    expect(await stage.succeed('umount', 'docs')).toBe('unmounted job docs\n');
    expect(stage.mountpoints()).toEqual([stage.path('src')]);
    expect(existsSync(point)).toBe(false);
    expect(readFileSync(`${upper}/c.md`, 'utf8')).toBe('c\n');
    await stage.succeed('umount', 'src');
    expect(await stage.succeed('list')).toBe('no active jobs\n');
  });

  test('starts one daemon when several commands want one at the same moment', async () => {
    const names = ['one', 'two', 'three'];
    const results = await Promise.all(
      names.map((name) => stage.scorpio('mount', name, stage.path(name), '--path', '/docs')),
    );
    expect(results.map(({ code, stdout }) => [code, stdout])).toEqual(
      names.map((name) => [0, `mounted job ${name} at ${stage.path(name)}\n`]),
    );
    // Those that came too late notice, and end.
    await expect.poll(() => stage.daemonPids()).toEqual([stage.daemon()?.pid]);
    for (const name of names) expect(await list(stage.path(name))).toEqual(['a.md', 'b.md']);
  });

  test('of a path that does not exist fails and says so', async () => {
    const { code, stdout, stderr } = await stage.scorpio('mount', '/docs/missing', point);
    expect([code, stdout]).toEqual([3, '']);
    expect(stderr).toContain('failed to mount job docs-missing');
    expect(stderr).toContain("'/docs/missing' is no folder of the repository");
    await expectNothingLeft();
  });

  test('of a file fails and says so', async () => {
    const { code, stderr } = await stage.scorpio('mount', '/README.md', point);
    expect(code).toBe(3);
    expect(stderr).toContain("'/README.md' is no folder of the repository");
    await expectNothingLeft();
  });

  test.each([
    ['does not answer', 'http://127.0.0.1:1', '127.0.0.1:1'],
    ['has a name that nobody knows', 'http://no-such-host.invalid:8000', 'no-such-host.invalid'],
  ])('from a server that %s fails and names it', async (_what, url, named) => {
    stage.configure({ base_url: url });
    const { code, stdout, stderr } = await stage.scorpio('mount', '/docs', point);
    expect([code, stdout]).toEqual([3, '']);
    expect(stderr).toContain('failed to mount job docs: cannot mount /docs');
    expect(stderr).toContain(named);
    await expectNothingLeft();
    // The daemon goes on, and can be ended.
    await stage.end(stage.daemon()?.pid ?? 0, 'SIGTERM');
  });

  test('from a server that was not there works when it is', async () => {
    await served.proxy.stop();
    expect((await stage.scorpio('mount', '/docs', point)).code).toBe(3);
    await served.proxy.start();
    await stage.succeed('mount', '/docs', point);
    expect(await list(point)).toEqual(['a.md', 'b.md']);
  });

  test('--timeout ends the command when the server says nothing, and says that the daemon goes on', async () => {
    served.proxy.inject({ kind: 'hang' });
    await stage.serve();
    const { code, stdout, stderr } = await stage.scorpio('mount', '/docs', point, '--timeout', '1');
    expect([code, stdout]).toEqual([3, '']);
    expect(stderr).toMatch(/^failed to mount job docs: no answer .* within 1 s; the daemon goes on trying/);
    expect(stage.mountpoints()).toEqual([]);
    expect(await stage.succeed('list')).toMatch(/^job_id=docs .* state=Provisioning\n$/);
  });

  test('of what is mounted already is answered with that mount, at another folder it is refused', async () => {
    const first = JSON.parse(await stage.succeed('mount', '/docs', point, '--json'));
    expect(JSON.parse(await stage.succeed('mount', '/docs', point, '--json'))).toEqual(first);
    expect(first).toMatchObject({ job_id: 'docs', path: '/docs', cl: null, mountpoint: point });
    expect(stage.mountpoints()).toEqual([point]);
    const { code, stderr } = await stage.scorpio('mount', '/docs', stage.path('second'));
    expect(code).toBe(3);
    expect(stderr).toContain(`already mounted at ${point}`);
    expect(existsSync(stage.path('second'))).toBe(false);
    await stage.succeed('mount', 'docs-2', stage.path('second'), '--path', '/docs');
    expect(await list(stage.path('second'))).toEqual(['a.md', 'b.md']);
  });

  test('at a folder that is not empty, a file, or inside of another mount is refused', async () => {
    mkdirSync(stage.path('full'));
    writeFileSync(stage.path('full/file'), 'mine\n');
    const full = await stage.scorpio('mount', '/docs', stage.path('full'));
    expect([full.code, full.stderr]).toEqual([3, expect.stringContaining('is not empty')]);
    expect(readFileSync(stage.path('full/file'), 'utf8')).toBe('mine\n');
    const onFile = await stage.scorpio('mount', '/docs', stage.path('full/file'));
    expect([onFile.code, onFile.stderr]).toEqual([3, expect.stringContaining('is not a folder')]);
    await stage.succeed('mount', '/', point);
    const inside = await stage.scorpio('mount', '/docs', `${point}/src/new`);
    expect([inside.code, inside.stderr]).toEqual([3, expect.stringContaining(point)]);
    const own = await stage.scorpio('mount', '/docs', stage.path('store/objects/mnt'));
    expect([own.code, own.stderr]).toEqual([3, expect.stringContaining('keeps its own files')]);
    expect(stage.mountpoints()).toEqual([point]);
    expect(await shell('ls src', { cwd: point })).toBe('main.ts');
  });

  test('at an existing folder leaves that folder when it is unmounted', async () => {
    mkdirSync(point);
    await stage.succeed('mount', '/docs', point);
    await stage.succeed('umount', 'docs');
    expect(readdirSync(point)).toEqual([]);
  });

  test('takes paths and folders with any characters', async () => {
    const odd = stage.path(ODD);
    const output = await stage.succeed('mount', `/${ODD}`, odd);
    expect(output).toContain(odd);
    expect(await read(`${odd}/file`)).toBe('odd');
    await shell('echo new > "$1/grün %20"', { args: [odd] });
    expect(stage.mountpoints()).toEqual([odd]);
    expect(await stage.succeed('list')).toContain(`mount=${odd} `);
    expect(await stage.succeed('umount', odd)).toBe(`unmounted job ${ODD.replaceAll('/', '-')}\n`);
    await stage.succeed('mount', `/${ODD}`, odd);
    expect(await list(odd)).toEqual(['file', 'grün %20']);
    await stage.succeed('umount', ODD.replaceAll('/', '-'));
    expect(existsSync(stage.path('a b'))).toBe(true);
    expect(stage.mountpoints()).toEqual([]);
  });

  test.each([
    ['a bad value', 'base_url = "nonsense"\n', 'base_url'],
    ['a broken line', 'base_url = = 3\n', 'scorpio.toml'],
  ])('with %s in the configuration ends with 2 and starts nothing', async (_what, text, named) => {
    writeFileSync(stage.path('scorpio.toml'), text);
    for (const command of [['mount', '/docs', point], ['serve'], ['config', 'validate']]) {
      const { code, stdout, stderr } = await stage.scorpio(...command);
      expect([command[0], code]).toEqual([command[0], 2]);
      expect(stdout + stderr).toContain(named);
    }
    expect(stage.daemonPids()).toEqual([]);
    expect(readdirSync(stage.folder)).toEqual(['scorpio.toml']);
  });
});

describe('umount', () => {
  test('of a busy mount names the process, and works when it has ended', async () => {
    await stage.succeed('mount', '/docs', point);
    const user = spawn('sleep', ['600'], { cwd: point });
    try {
      const { code, stderr } = await stage.scorpio('umount', 'docs');
      expect(code).toBe(3);
      expect(stderr).toContain('failed to unmount job docs');
      expect(stderr).toContain(`pid ${user.pid} sleep: cwd`);
      expect(await shell('cat a.md', { cwd: point })).toBe('a');
      expect(await stage.succeed('list')).toContain('job_id=docs ');
    } finally {
      user.kill();
      await once(user, 'exit');
    }
    await stage.succeed('umount', 'docs');
    expect(stage.mountpoints()).toEqual([]);
  });

  test('--lazy detaches a busy mount, and keeps what is written through it', async () => {
    await stage.succeed('mount', '/docs', point);
    const user = spawn('sh', ['-c', 'read line; echo "$line" > late.md; cat a.md'], { cwd: point });
    let output = '';
    user.stdout.on('data', (text: Buffer) => (output += text.toString()));
    await shell('true', { cwd: point });
    await stage.succeed('umount', '--lazy', 'docs');
    expect(stage.mountpoints()).toEqual([]);
    expect(await stage.succeed('list')).toBe('no active jobs\n');
    user.stdin.end('late\n');
    await once(user, 'close');
    expect(output).toBe('a\n');
    await expect.poll(async () => (await stage.scorpio('mount', '/docs', point)).code).toBe(0);
    expect(await read(`${point}/late.md`)).toBe('late');
  });

  test('of something that is not mounted fails, whether a daemon runs or not', async () => {
    const without = await stage.scorpio('umount', 'docs');
    expect([without.code, without.stderr]).toEqual([3, expect.stringContaining('job docs not found')]);
    await stage.serve();
    const withDaemon = await stage.scorpio('umount', point);
    expect([withDaemon.code, withDaemon.stderr]).toEqual([3, expect.stringContaining('not found')]);
    expect(stage.daemonPids()).toHaveLength(1);
  });
});
