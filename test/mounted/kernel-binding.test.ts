// The kernel binding, mounted by a child process over the small filesystem of test/support/tree-filesystem.mjs.
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import * as fs from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { lacks } from '../support/binding.ts';
import { ChildMount, MOUNT_CHILD, type Report, type Start, TOO_LONG_MS } from '../support/child-mount.ts';
import { findMount, parseMountinfo } from '../../src/fuse/kernel/mountinfo.ts';

const run = promisify(execFile);
const NOBODY = 65_534;

const canMount = existsSync('/dev/fuse') && process.getuid?.() === 0;

/**
 * As an ordinary user, in a mount namespace of its own where everybody may open /dev/fuse, as on most machines. The
 * mount is seen by those who enter the namespace.
 */
function asNobody(device: string): Start {
  const script =
    'mount --bind "$1" /dev/fuse && shift && exec setpriv --reuid=65534 --regid=65534 --clear-groups "$@"';
  return { command: 'unshare', args: ['--mount', 'sh', '-c', script, 'sh', device] };
}

/** Runs a shell script where the control filesystem of FUSE is mounted, whether or not it is outside. */
async function withControl(script: string): Promise<void> {
  const control = '/sys/fs/fuse/connections';
  const enter = `{ mountpoint -q ${control} || mount -t fusectl none ${control}; } && cd ${control}`;
  await run('unshare', ['--mount', 'sh', '-c', `${enter} && ${script}`], { timeout: TOO_LONG_MS });
}

let folder: string;
let point: string;
const mounts: ChildMount[] = [];

async function mount(options: object = {}, start?: Start): Promise<ChildMount> {
  const made = new ChildMount(point, options, start);
  mounts.push(made);
  await made.event('mounted');
  return made;
}

beforeEach(async () => {
  folder = await fs.realpath(await fs.mkdtemp(join(tmpdir(), 'scorpio-kernel-')));
  point = join(folder, 'a mount\\point');
  await fs.mkdir(point);
  await fs.chmod(folder, 0o755);
});

afterEach(async () => {
  for (const { child, exited } of mounts.splice(0)) {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill('SIGKILL');
      await exited;
    }
  }
  if (findMount(point)) await run('umount', ['-l', point]);
  await fs.rm(folder, { recursive: true, force: true });
});

describe.skipIf(!canMount)('a mount through the kernel binding', () => {
  it('appears in mountinfo and tells its connection', async () => {
    const { connection } = await (await mount()).ask<Report>('report');
    const info = findMount(point);
    expect(info).toMatchObject({
      type: 'fuse.scorpio',
      source: 'scorpio:/a, b',
      mountpoint: point,
      minor: connection,
    });
    expect(info?.options).toEqual(expect.arrayContaining(['nosuid', 'nodev']));
    expect(info?.superOptions).toContain('default_permissions');
    await withControl(`test -d ${connection}`);
  });

  it('lists, reads, writes, renames and removes files', async () => {
    const mounted = await mount();
    const file = join(point, 'file');
    expect((await fs.readdir(point)).sort()).toEqual(['broken', 'slow', 'stuck']);
    await fs.writeFile(file, 'one');
    await fs.appendFile(file, ' two');
    expect(await fs.readFile(file, 'utf8')).toBe('one two');
    await fs.truncate(file, 3);
    expect(await fs.readFile(file, 'utf8')).toBe('one');
    await fs.mkdir(join(point, 'sub'), 0o750);
    await fs.rename(file, join(point, 'sub', 'moved'));
    await expect(fs.stat(file)).rejects.toMatchObject({ code: 'ENOENT' });
    expect(await fs.readFile(join(point, 'sub', 'moved'), 'utf8')).toBe('one');
    await expect(fs.rmdir(join(point, 'sub'))).rejects.toMatchObject({ code: 'ENOTEMPTY' });
    await fs.link(join(point, 'sub', 'moved'), join(point, 'second'));
    expect((await fs.stat(join(point, 'second'))).nlink).toBe(2);
    await fs.rm(join(point, 'sub'), { recursive: true });
    await fs.symlink('second', join(point, 'pointer'));
    expect(await fs.readlink(join(point, 'pointer'))).toBe('second');
    expect(await fs.readFile(join(point, 'pointer'), 'utf8')).toBe('one');
    expect((await mounted.ask<Report>('report')).faults).toEqual([]);
  });

  it.skipIf(lacks('millisecond-times'))(
    'carries attributes, times before 1970 and the numbers of statfs',
    async () => {
      await mount();
      const file = join(point, 'file');
      await fs.writeFile(file, '');
      await fs.chmod(file, 0o4751);
      await fs.chown(file, 12, 34);
      await fs.utimes(file, new Date(-1_000_000), new Date(-86_400_500));
      const stat = await fs.stat(file);
      expect({ mode: stat.mode, uid: stat.uid, gid: stat.gid }).toEqual({ mode: 0o100751, uid: 12, gid: 34 });
      expect([stat.atimeMs, stat.mtimeMs]).toEqual([-1_000_000, -86_400_500]);
      const { blocks, bfree, bavail, ffree } = await fs.statfs(point);
      expect([blocks, bfree, bavail, ffree]).toEqual([1000, 500, 400, 77]);
    },
  );

  it.skipIf(lacks('utf8-names'))(
    'keeps names that are not UTF-8 and refuses names beyond 255 bytes',
    async () => {
      await mount();
      const name = Buffer.concat([Buffer.from(`${point}/`), Buffer.from([0xff, 0xfe, 0x41])]);
      await fs.writeFile(name, 'x');
      const names = await fs.readdir(point, { encoding: 'buffer' });
      expect(names.some((other) => other.equals(Buffer.from([0xff, 0xfe, 0x41])))).toBe(true);
      expect(await fs.readFile(name, 'utf8')).toBe('x');
      await fs.writeFile(join(point, 'n'.repeat(255)), '');
      const long = join(point, 'n'.repeat(256));
      await expect(fs.stat(long)).rejects.toMatchObject({ code: 'ENAMETOOLONG' });
      await expect(fs.mkdir(long)).rejects.toMatchObject({ code: 'ENAMETOOLONG' });
      await expect(fs.rename(join(point, 'n'.repeat(255)), long)).rejects.toMatchObject({
        code: 'ENAMETOOLONG',
      });
    },
  );

  it('lists a large folder completely and moves large files unharmed', async () => {
    const mounted = await mount();
    const parent = await mounted.ask<number>('plant', { name: 'many' });
    const names = Array.from({ length: 3000 }, (_, i) => `entry with a longer name ${i}`);
    for (const name of names) await mounted.ask('plant', { parent, name, text: name });
    expect((await fs.readdir(join(point, 'many'))).sort()).toEqual([...names].sort());
    const content = Buffer.alloc(5_000_003, 'abcdefg');
    await fs.writeFile(join(point, 'large'), content);
    expect((await fs.readFile(join(point, 'large'))).equals(content)).toBe(true);
  });

  it('serves calls that are answered later, side by side with others', async () => {
    const mounted = await mount();
    const slow = join(point, 'slow');
    const content = Buffer.alloc(3_000_000, 'slow content');
    await fs.writeFile(slow, content);
    const [first, second] = await Promise.all([
      fs.readFile(slow),
      fs.readFile(slow),
      fs.writeFile(join(point, 'b'), 'x'),
    ]);
    expect(first.equals(content)).toBe(true);
    expect(second.equals(content)).toBe(true);
    expect((await mounted.ask<Report>('report')).faults).toEqual([]);
  });

  it('answers EIO and reports the fault when the filesystem throws what nobody foresaw', async () => {
    const mounted = await mount();
    await expect(fs.readFile(join(point, 'broken'))).rejects.toMatchObject({ code: 'EIO' });
    const { faults } = await mounted.ask<Report>('report');
    expect(faults[0]).toMatchObject({ operation: 'READ', message: 'broken on purpose' });
    expect(await fs.readdir(point)).toContain('broken');
  });

  it.skipIf(lacks('interrupt'))(
    'ends a call that waits with EINTR when its process is interrupted',
    async () => {
      const mounted = await mount();
      // A handler instead of the default death by signal, to see what open returns.
      const script =
        'import os,signal,sys,time\nsignal.signal(signal.SIGINT,lambda *a: (_ for _ in ()).throw(InterruptedError(4,"")))\n' +
        'if os.fork()==0: time.sleep(float(sys.argv[2])); os.kill(os.getppid(),signal.SIGINT); os._exit(0)\n' +
        'try: open(sys.argv[1])\nexcept OSError as e: print(e.errno)';
      // 5 ms is before the filesystem asks for the signal, 100 ms after.
      for (const seconds of ['0.005', '0.1']) {
        const { stdout } = await run('python3', ['-c', script, join(point, 'stuck'), seconds], {
          timeout: TOO_LONG_MS,
        });
        expect(stdout.trim()).toBe('4');
      }
      const cat = spawn('cat', [join(point, 'stuck')]);
      await delay(100);
      cat.kill('SIGINT');
      expect((await once(cat, 'exit'))[1]).toBe('SIGINT');
      expect((await mounted.ask<Report>('report')).openFiles).toBe(0);
    },
  );

  it.skipIf(lacks('interrupt'))(
    'lets a call go on when its process is only sent signals that it handles, and ends it when it is to stop',
    async () => {
      await mount();
      const script =
        'import ctypes,os,signal,sys,time\nlibc=ctypes.CDLL(None,use_errno=True)\n' +
        'signal.signal(signal.SIGALRM,lambda *a: None)\nsignal.signal(signal.SIGINT,lambda *a: None)\n' +
        'signal.setitimer(signal.ITIMER_REAL,0.05,0.05)\n' +
        'if os.fork()==0: time.sleep(0.6); os.kill(os.getppid(),signal.SIGINT); os._exit(0)\n' +
        'start=time.monotonic()\nlibc.open(sys.argv[1].encode(),0)\n' +
        'print(ctypes.get_errno(),time.monotonic()-start>0.5)\n' +
        // Without handlers, on the way out, the next one would end it.
        'signal.setitimer(signal.ITIMER_REAL,0)';
      const { stdout } = await run('python3', ['-c', script, join(point, 'stuck')], { timeout: TOO_LONG_MS });
      expect(stdout).toBe('4 True\n');
    },
  );

  it.skipIf(lacks('invalidation'))(
    'shows what changed behind the kernel as soon as it is notified',
    async () => {
      const mounted = await mount({ ttl: 1e9 });
      const ino = await mounted.ask<number>('plant', { name: 'cached', text: 'old' });
      const file = join(point, 'cached');
      expect(await fs.readFile(file, 'utf8')).toBe('old');
      await mounted.ask('rewrite', { ino, text: 'new' });
      await expect.poll(async () => fs.readFile(file, 'utf8')).toBe('new');
      await mounted.ask('drop', { name: 'cached' });
      await expect.poll(() => existsSync(file)).toBe(false);
      // The missing name is remembered too, until it is told.
      await mounted.ask('plant', { name: 'cached', text: 'again' });
      expect(existsSync(file)).toBe(false);
    },
  );

  it('gives references back when the kernel forgets', async () => {
    const mounted = await mount();
    await fs.writeFile(join(point, 'file'), 'x');
    await fs.rm(join(point, 'file'));
    await expect.poll(async () => (await mounted.ask<Report>('report')).forgotten).toBeGreaterThan(0);
  });

  it('carries extended attributes', async () => {
    await mount();
    const file = join(point, 'file');
    await fs.writeFile(file, '');
    const script =
      'import os,sys\nf=sys.argv[1]\nos.setxattr(f,"user.a",bytes(range(256)))\nos.setxattr(f,"user.b",b"")\n' +
      'print(os.getxattr(f,"user.a")==bytes(range(256)),os.getxattr(f,"user.b"),os.listxattr(f))\n' +
      'os.removexattr(f,"user.a")\ntry: os.getxattr(f,"user.a")\nexcept OSError as e: print(e.errno)';
    const { stdout } = await run('python3', ['-c', script, file], { timeout: TOO_LONG_MS });
    expect(stdout).toBe("True b'' ['user.a', 'user.b']\n61\n");
  });
});

describe.skipIf(!canMount)('the end of a mount through the kernel binding', () => {
  it('is refused with EBUSY while a file is open, and comes when it is closed', async () => {
    const mounted = await mount();
    const ended = mounted.event('ended');
    const file = await fs.open(join(point, 'file'), 'w');
    await expect(mounted.ask('unmount')).rejects.toMatchObject({ code: 'EBUSY' });
    await file.write('still works');
    await file.close();
    await mounted.ask('unmount');
    expect((await ended).destroyed).toBe(1);
    expect(findMount(point)).toBeUndefined();
    await mounted.exited;
  });

  it('is put off by a lazy unmount until what is open is closed', async () => {
    const mounted = await mount();
    const ended = mounted.event('ended');
    const file = await fs.open(join(point, 'file'), 'w+');
    await mounted.ask('unmount', { lazy: true });
    expect(findMount(point)).toBeUndefined();
    await file.write('still works');
    expect((await mounted.ask<Report>('report')).destroyed).toBe(0);
    await file.close();
    await ended;
    await mounted.exited;
  });

  it('is noticed when somebody else unmounts', async () => {
    const mounted = await mount();
    const ended = mounted.event('ended');
    await run('umount', [point]);
    expect((await ended).destroyed).toBe(1);
    await mounted.exited;
    expect(mounted.child.exitCode).toBe(0);
  });

  it('is noticed when the connection is aborted, with a call pending', async () => {
    const mounted = await mount();
    const { connection } = await mounted.ask<Report>('report');
    const ended = mounted.event('ended');
    const stuck = expect(fs.readFile(join(point, 'stuck'))).rejects.toMatchObject({ code: 'ECONNABORTED' });
    await delay(100);
    await withControl(`echo 1 > ${connection}/abort`);
    await stuck;
    expect((await ended).destroyed).toBe(1);
    await mounted.exited;
  });

  it('leaves ENOTCONN behind when the process is killed, which a lazy unmount clears', async () => {
    const mounted = await mount();
    mounted.child.kill('SIGKILL');
    await mounted.exited;
    await expect(fs.stat(point)).rejects.toMatchObject({ code: 'ENOTCONN' });
    const again = new ChildMount(point, {});
    mounts.push(again);
    const { error } = await again.event('failed');
    expect(error?.code).toBe('ENOTCONN');
    expect(error?.message).toContain('umount -l');
    await run('umount', ['-l', point]);
    expect(await fs.readdir(point)).toEqual([]);
  });

  it('does not happen to a filesystem mounted over it', async () => {
    const mounted = await mount();
    await run('mount', ['-t', 'tmpfs', 'tmpfs', point]);
    try {
      await expect(mounted.ask('unmount')).rejects.toMatchObject({ code: 'EBUSY' });
      expect(findMount(point)?.type).toBe('tmpfs');
    } finally {
      await run('umount', [point]);
    }
    await mounted.ask('unmount');
    await mounted.exited;
  });
});

describe.skipIf(!canMount)('mounting through the kernel binding', () => {
  let device: string;

  beforeEach(async () => {
    device = join(folder, 'fuse');
    await run('mknod', ['-m', '666', device, 'c', '10', '229']);
  });

  it('refuses a mount point that is missing or no folder, and destroys nothing it did not make', async () => {
    for (const [path, code] of [
      [join(folder, 'missing'), 'ENOENT'],
      [MOUNT_CHILD, 'ENOTDIR'],
    ] as const) {
      const failed = new ChildMount(path, {});
      mounts.push(failed);
      expect((await failed.event('failed')).error?.code).toBe(code);
      await failed.exited;
    }
  });

  it('works for an ordinary user through fusermount3', async () => {
    await fs.chown(point, NOBODY, NOBODY);
    const mounted = await mount({}, asNobody(device));
    const ended = mounted.event('ended');
    const { pid } = mounted.child;
    const enter = [
      '--mount',
      '--target',
      String(pid),
      'setpriv',
      '--reuid=65534',
      '--regid=65534',
      '--clear-groups',
    ];
    const script = 'cd "$1" && echo hello > file && cat file && ls && stat -c %u file';
    const { stdout } = await run('nsenter', [...enter, 'sh', '-c', script, 'sh', point], {
      timeout: TOO_LONG_MS,
    });
    expect(stdout).toBe(`hello\nbroken\nfile\nslow\nstuck\n${NOBODY}\n`);
    const info = parseMountinfo(await fs.readFile(`/proc/${pid}/mountinfo`, 'utf8')).findLast(
      ({ mountpoint }) => mountpoint === point,
    );
    expect(info).toMatchObject({ type: 'fuse.scorpio', source: 'scorpio:/a, b' });
    expect(info?.superOptions).toEqual(expect.arrayContaining(['default_permissions', `user_id=${NOBODY}`]));

    const busy = spawn('nsenter', [
      ...enter,
      'sh',
      '-c',
      'cd "$1" && echo ready && exec sleep 60',
      'sh',
      point,
    ]);
    await once(busy.stdout, 'data');
    await expect(mounted.ask('unmount')).rejects.toMatchObject({ code: 'EBUSY' });
    busy.kill();
    await once(busy, 'exit');
    await mounted.ask('unmount');
    expect((await ended).destroyed).toBe(1);
    await mounted.exited;
  });

  it('tells an ordinary user how to allow others', async () => {
    const configuration = await fs.readFile('/etc/fuse.conf', 'utf8').catch(() => '');
    await fs.chown(point, NOBODY, NOBODY);
    const made = new ChildMount(point, { allowOther: true }, asNobody(device));
    mounts.push(made);
    if (/^user_allow_other/m.test(configuration)) {
      await made.event('mounted');
      return;
    }
    const { error, destroyed } = await made.event('failed');
    expect(error?.code).toBe('EPERM');
    expect(error?.message).toContain('let root put a line `user_allow_other` into /etc/fuse.conf');
    expect(destroyed).toBe(1);
    await made.exited;
  });

  it('tells an ordinary user that the device is closed to them', async () => {
    await fs.chown(point, NOBODY, NOBODY);
    await fs.chmod(device, 0o600);
    const made = new ChildMount(point, {}, asNobody(device));
    mounts.push(made);
    const { error } = await made.event('failed');
    expect(error?.code).toBe('EACCES');
    expect(error?.message).toContain('chmod 666 /dev/fuse');
    await made.exited;
  });

  it('tells what to install where the helper is missing', async () => {
    const start = asNobody(device);
    const made = new ChildMount(point, {}, { ...start, args: [...start.args, 'env', 'PATH=/nowhere'] });
    mounts.push(made);
    const { error } = await made.event('failed');
    expect(error?.message).toContain('apt-get install fuse3');
    await made.exited;
  });
});
