// `mount`, `umount`, `list` and `http-mount` against a daemon's HTTP API.
import { existsSync } from 'node:fs';
import { mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parseToml, stringifyToml } from '../../../src/config/toml.ts';
import { createFakeDaemon, type FakeDaemon } from './fake-daemon.ts';
import { createSandbox, type Sandbox } from './run-scorpio.ts';

const ID = '0b8f6a3e-1111-4222-8333-444455556666';

let sandbox: Sandbox;
let daemon: FakeDaemon;

function status(job: string | null, more: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    mount_id: ID,
    job_id: job,
    path: '/p',
    cl: null,
    mountpoint: `/mnt/${job ?? ID}`,
    layers: { upper: `/up/${job ?? ID}`, cl: null, dicfuse: 'shared' },
    state: 'Ready',
    created_at_epoch_ms: 1,
    last_seen_epoch_ms: 1,
    ...more,
  };
}

beforeEach(async () => {
  sandbox = await createSandbox();
  daemon = await createFakeDaemon({});
  daemon.answers['GET /health'] = [200, { status: 'ok', version: '0.1.0', store_path: sandbox.storePath }];
  await daemon.announce(sandbox.storePath);
});

afterEach(async () => {
  await daemon.close();
  await sandbox.remove();
});

const posted = (): unknown => daemon.seen.find((request) => request.method === 'POST')?.body;

describe('mount', () => {
  beforeEach(() => {
    daemon.answers['POST /antares/mounts'] = (body) => [
      200,
      { mount_id: ID, mountpoint: (body as { mountpoint?: string }).mountpoint ?? '/mnt/x' },
    ];
  });

  it('of a job mounts the monorepo, for the user', async () => {
    expect(await sandbox.run('mount', 'job-1', '--cl', 'CL9')).toEqual({
      code: 0,
      stdout: 'mounted job job-1 at /mnt/x\n',
      stderr: '',
    });
    expect(posted()).toEqual({
      path: '/',
      job_id: 'job-1',
      cl: 'CL9',
      uid: process.getuid?.(),
      gid: process.getgid?.(),
    });
  });

  it.each([
    [['/a//b c/', 'm'], 'a-b c', '/a/b c', 'm'],
    [['/', '--mountpoint', 'm'], 'root', '/', 'm'],
    [['job', 'x/../m', '--path', 'a/b'], 'job', '/a/b', 'm'],
  ])('%j names path, job and folder', async (args, job, path, folder) => {
    const mountpoint = join(sandbox.folder, folder);
    expect(await sandbox.run('mount', ...args)).toEqual({
      code: 0,
      stdout: `mounted job ${job} at ${mountpoint}\n`,
      stderr: '',
    });
    expect(posted()).toMatchObject({ path, job_id: job, mountpoint });
  });

  it('prints JSON', async () => {
    expect(JSON.parse((await sandbox.run('mount', '/a', '--json')).stdout)).toEqual({
      cl: null,
      job_id: 'a',
      mount_id: ID,
      mountpoint: '/mnt/x',
      path: '/a',
    });
  });

  it.skipIf(process.getuid?.() !== 0)('through sudo gives the files to the user behind it', async () => {
    Object.assign(sandbox.env, { SUDO_UID: '1234', SUDO_GID: '5678' });
    await sandbox.run('mount', 'j');
    expect(posted()).toMatchObject({ uid: 1234, gid: 5678 });
  });

  it('that fails tells the reason of the daemon', async () => {
    daemon.answers['POST /antares/mounts'] = [
      400,
      { error: 'path /a does not exist', code: 'INVALID_REQUEST' },
    ];
    expect(await sandbox.run('mount', '/a')).toEqual({
      code: 3,
      stdout: '',
      stderr: 'failed to mount job a: path /a does not exist\n',
    });
  });

  it('does not pass a mount elsewhere for the one that was asked for', async () => {
    daemon.answers['POST /antares/mounts'] = [200, { mount_id: ID, mountpoint: '/elsewhere' }];
    const { code, stderr } = await sandbox.run('mount', '/a', 'm');
    expect(code).toBe(3);
    expect(stderr).toMatch(
      /^failed to mount job a: it is mounted at \/elsewhere already; .* scorpio mount a-2 /u,
    );
  });

  it('gives up after --timeout', async () => {
    daemon.answers['POST /antares/mounts'] = 'silence';
    const { code, stderr } = await sandbox.run('mount', '/a', '--timeout', '0.5');
    expect(code).toBe(3);
    expect(stderr).toBe(
      `failed to mount job a: no answer from ${daemon.address} within 0.5 s; ` +
        'the daemon goes on trying, to be seen with: scorpio list\n',
    );
  });
});

describe('umount', () => {
  beforeEach(() => {
    daemon.answers['GET /antares/mounts'] = [200, { mounts: [status('job-1')] }];
    daemon.answers[`DELETE /antares/mounts/${ID}`] = [200, status('job-1', { state: 'Unmounted' })];
  });

  it.each(['job-1', ID, ID.toUpperCase(), '/mnt/job-1', '/mnt/x/../job-1/'])(
    'finds the mount by %s',
    async (name) => {
      expect(await sandbox.run('umount', name)).toEqual({
        code: 0,
        stdout: 'unmounted job job-1\n',
        stderr: '',
      });
    },
  );

  it.each(['old', ID.replace('0', '1'), '/mnt/old'])(
    'removes what was written in a mount that was unmounted before, named by %s',
    async (name) => {
      const record = { mount_id: ID.replace('0', '1'), job_id: 'old', path: '/p', mountpoint: '/mnt/old' };
      await writeFile(
        join(sandbox.storePath, 'mounts.toml'),
        stringifyToml({ schema: 1, mounts: [], unmounted: [record] }),
      );
      daemon.answers['DELETE /antares/mounts/by-job/old?purge=true'] = [
        200,
        status('old', { state: 'Unmounted' }),
      ];
      expect(await sandbox.run('umount', '--purge', name)).toEqual({
        code: 0,
        stdout: 'removed what was written in job old\n',
        stderr: '',
      });
    },
  );

  it('of an unknown job ends with 3', async () => {
    expect(await sandbox.run('umount', 'nope')).toEqual({
      code: 3,
      stdout: '',
      stderr: 'job nope not found\n',
    });
  });

  it('of a busy mount tells who holds it, and how to end it', async () => {
    daemon.answers[`DELETE /antares/mounts/${ID}`] = [
      200,
      status('job-1', {
        state: { Failed: { reason: 'unmount failed: busy' } },
        error: 'the mount is in use',
        users: [{ pid: 12, command: 'bash', use: 'cwd' }],
      }),
    ];
    expect(await sandbox.run('umount', 'job-1')).toEqual({
      code: 3,
      stdout: '',
      stderr:
        'failed to unmount job job-1: the mount is in use\n' +
        '  pid 12 bash: cwd\n' +
        'end these, or detach it now, to end when they do: scorpio umount --lazy job-1\n',
    });
  });

  it('--lazy asks for a lazy one, --json prints the status', async () => {
    daemon.answers[`DELETE /antares/mounts/${ID}?lazy=true`] = [200, status('job-1', { state: 'Unmounted' })];
    const { code, stdout } = await sandbox.run('umount', '--lazy', '--json', 'job-1');
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ job_id: 'job-1', state: 'Unmounted' });
  });
});

describe('list', () => {
  it('prints a row for each mount, ordered by job', async () => {
    const failed = { state: { Failed: { reason: 'server gone' } }, layers: { upper: '/u', cl: '/c' } };
    daemon.answers['GET /antares/mounts'] = [
      200,
      { mounts: [status('b'), status(null), status('a', failed)] },
    ];
    const { code, stdout } = await sandbox.run('list');
    expect(code).toBe(0);
    expect(stdout.split('\n')).toEqual([
      `job_id=(none) mount=/mnt/${ID} upper=/up/${ID} cl=(none)`,
      'job_id=a mount=/mnt/a upper=/u cl=/c state=Failed (server gone)',
      'job_id=b mount=/mnt/b upper=/up/b cl=(none)',
      '',
    ]);
    const json = await sandbox.run('list', '--json');
    const { mounts } = JSON.parse(json.stdout) as { mounts: { job_id: string | null }[] };
    expect(mounts.map((mount) => mount.job_id)).toEqual([null, 'a', 'b']);
  });

  it('says when there are none', async () => {
    daemon.answers['GET /antares/mounts'] = [200, { mounts: [] }];
    expect(await sandbox.run('list')).toEqual({ code: 0, stdout: 'no active jobs\n', stderr: '' });
  });

  it('finds a daemon at http_addr only if it serves the same store', async () => {
    daemon.answers['GET /antares/mounts'] = [200, { mounts: [status('a')] }];
    await writeFile(join(sandbox.storePath, 'daemon.json'), 'nonsense');
    expect((await sandbox.run('list', '--http-addr', daemon.address)).stdout).toContain('job_id=a');
    daemon.answers['GET /health'] = [200, { status: 'ok', store_path: '/other' }];
    expect((await sandbox.run('list', '--http-addr', daemon.address)).stdout).toBe('no active jobs\n');
  });

  it('does not wait for a daemon that hangs', async () => {
    daemon.answers['GET /health'] = 'silence';
    const { code, stderr } = await sandbox.run('list');
    expect(code).toBe(1);
    expect(stderr).toMatch(
      new RegExp(`^the daemon \\(pid ${process.pid}\\) does not answer: .* kill ${process.pid}\n$`, 'u'),
    );
  });
});

describe('without a daemon', () => {
  const upper = (): string => join(sandbox.folder, 'upper');

  beforeEach(async () => {
    // A number that no process of Linux can have.
    await daemon.announce(sandbox.storePath, 2 ** 22 + 1);
    const other = { ...mount(), mount_id: ID.replace('0', '1'), job_id: 'job-2', mountpoint: '/other' };
    await mkdir(upper());
    await writeFile(
      join(sandbox.storePath, 'mounts.toml'),
      stringifyToml({ schema: 1, mounts: [mount(), other], unmounted: [] }),
    );
  });

  const mount = (): Record<string, string> => ({
    mount_id: ID,
    job_id: 'job-1',
    path: '/p',
    mountpoint: join(sandbox.folder, 'm'),
    upper_dir: upper(),
  });

  const state = async (): Promise<Record<string, { job_id: string }[]>> =>
    parseToml(await readFile(join(sandbox.storePath, 'mounts.toml'), 'utf8')) as Record<
      string,
      { job_id: string }[]
    >;

  it('list says so, and what comes back', async () => {
    expect(await sandbox.run('list')).toEqual({
      code: 0,
      stdout: 'no active jobs\n',
      stderr:
        'note: no daemon is running; 2 recorded mount(s) come back when one is started: scorpio serve\n',
    });
    expect((await sandbox.run('list', '--json')).stdout).toBe('{\n  "mounts": []\n}\n');
  });

  it.each(['job-1', ID, 'm', './m/'])('umount %s takes the mount from the state file', async (name) => {
    expect(await sandbox.run('umount', name)).toEqual({
      code: 0,
      stdout: 'unmounted job job-1\n',
      stderr: 'note: no daemon is running\n',
    });
    const { mounts, unmounted } = await state();
    expect(mounts?.map((mount) => mount.job_id)).toEqual(['job-2']);
    expect(unmounted).toEqual([]);
  });

  it('umount finds the mount by a symbolic link to its folder', async () => {
    await symlink(join(sandbox.folder, 'm'), join(sandbox.folder, 'link'));
    expect((await sandbox.run('umount', 'link')).stdout).toBe('unmounted job job-1\n');
  });

  it('umount removes the folders that were made for the mount, when nothing was written', async () => {
    const made = join(sandbox.folder, 'm');
    const work = join(sandbox.folder, 'work');
    await Promise.all([mkdir(made), mkdir(join(work, 'work'), { recursive: true })]);
    const table = { ...mount(), owns_mountpoint: true, work_dir: work };
    await writeFile(
      join(sandbox.storePath, 'mounts.toml'),
      stringifyToml({ schema: 1, mounts: [table], unmounted: [] }),
    );
    expect((await sandbox.run('umount', 'job-1')).code).toBe(0);
    for (const folder of [made, work, upper()]) expect(existsSync(folder)).toBe(false);
  });

  it('umount keeps what was written, and says where', async () => {
    await writeFile(join(upper(), 'file'), 'x');
    expect((await sandbox.run('umount', 'job-1')).stderr).toBe(
      `note: no daemon is running; what was written is kept in ${upper()}\n`,
    );
    expect((await state())['unmounted']?.map((mount) => mount.job_id)).toEqual(['job-1']);
    expect(await readFile(join(upper(), 'file'), 'utf8')).toBe('x');
  });

  it('umount of an unknown job ends with 3', async () => {
    expect(await sandbox.run('umount', 'nope')).toEqual({
      code: 3,
      stdout: '',
      stderr: 'note: no daemon is running\njob nope not found\n',
    });
  });
});

describe('http-mount', () => {
  const mount = (...args: string[]) =>
    sandbox.run('http-mount', '--endpoint', `http://${daemon.address}/antares/`, ...args);

  it('sends nulls and prints the answer with its keys in order', async () => {
    daemon.answers['POST /antares/mounts'] = [200, { mountpoint: '/m', mount_id: ID }];
    expect(await mount('/a')).toEqual({
      code: 0,
      stdout: `{\n  "mount_id": "${ID}",\n  "mountpoint": "/m"\n}\n`,
      stderr: '',
    });
    expect(posted()).toEqual({ cl: null, job_id: null, path: '/a' });
    await sandbox.run('http-mount', '--job-id', 'j', '--cl', 'c', '/b');
    expect(daemon.seen.at(-1)?.body).toEqual({ cl: 'c', job_id: 'j', path: '/b' });
  });

  it('tells what the server answers', async () => {
    daemon.answers['POST /antares/mounts'] = [400, '{"error":"x"}'];
    expect(await mount('/a')).toEqual({
      code: 3,
      stdout: '',
      stderr: 'http mount failed: status=400 Bad Request body={"error":"x"}\n',
    });
  });

  it('tells that nobody answers, and an answer that is not JSON', async () => {
    daemon.answers['POST /antares/mounts'] = [200, 'hello'];
    const { code, stderr } = await mount('/a');
    expect(code).toBe(1);
    expect(stderr).toMatch(/^failed to parse response json: .*\n$/u);
    expect(await sandbox.run('http-mount', '/a', '--endpoint', 'http://127.0.0.1:1')).toEqual({
      code: 1,
      stdout: '',
      stderr: 'http mount request failed: connection refused, nothing listens at 127.0.0.1:1\n',
    });
  });
});
