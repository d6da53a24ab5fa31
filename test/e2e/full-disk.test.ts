// A daemon whose store is on a full disk.
import { readFileSync, symlinkSync } from 'node:fs';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { runProgram } from '../support/run-program.ts';
import { useServedStage } from '../support/served-stage.ts';
import { CAN_MOUNT_DISKS, createSmallDisk, type SmallDisk } from '../support/small-disk.ts';
import type { Stage } from '../support/stage.ts';

const FILES = { 'a/known.txt': 'known\n', 'a/unknown.txt': 'unknown\n' };

/** An address that nobody listens at. */
async function freeAddress(): Promise<string> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => void server.close(resolve));
  return `127.0.0.1:${port}`;
}

describe.skipIf(!CAN_MOUNT_DISKS)('on a full disk (needs root, to mount a small tmpfs)', () => {
  const served = useServedStage(FILES);
  let stage: Stage;
  let disk: SmallDisk;
  let point: string;

  beforeEach(async () => {
    stage = served.stage;
    disk = createSmallDisk(12_000_000);
    point = stage.path('mnt');
    stage.configure({
      base_url: served.proxy.url,
      store_path: disk.path,
      store_keep_free: 0,
      http_addr: await freeAddress(),
    });
    // Where the stage looks for its daemons.
    symlinkSync(disk.path, stage.path('store'));
  });

  afterEach(async () => {
    disk.empty();
    for (const pid of stage.daemonPids()) await stage.end(pid, 'SIGTERM');
    disk[Symbol.dispose]();
  });

  const cat = (path: string) => runProgram('cat', [join(point, path)], {});

  /** Mounts, reads a file, writes one, and ends the daemon; then nothing fits on the disk any more. */
  async function mountAndFill(): Promise<void> {
    const daemon = await stage.serve();
    await stage.succeed('mount', '/', point);
    expect(await cat('a/known.txt')).toMatchObject({ code: 0, stdout: 'known\n' });
    await runProgram('sh', ['-c', `echo written > ${join(point, 'new.txt')}`], {});
    await stage.end(daemon, 'SIGTERM');
    disk.fill();
  }

  test('the daemon starts, brings its mounts back, and serves what is there', async () => {
    await mountAndFill();
    // Its announcement does not fit, so nobody hears of it but by its address.
    const started = stage.serve().catch(() => undefined);
    await expect.poll(() => stage.log(), { timeout: 15_000 }).toContain('mounted again');
    expect(await cat('a/known.txt')).toMatchObject({ code: 0, stdout: 'known\n' });
    expect(await cat('new.txt')).toMatchObject({ code: 0, stdout: 'written\n' });
    expect((await stage.succeed('list')).trim()).toContain('job_id=root');
    expect(stage.log()).toMatch(/free space on that disk|No space left|ENOSPC/);
    expect(stage.log()).toContain('daemon.json cannot be written');
    const write = await runProgram('sh', ['-c', `head -c 20000000 /dev/zero > ${join(point, 'big')}`], {});
    expect(write.code).not.toBe(0);
    expect(write.stderr).toContain('No space left on device');
    disk.empty();
    expect(await cat('a/unknown.txt')).toMatchObject({ code: 0, stdout: 'unknown\n' });
    await started;
  }, 60_000);

  test('umount unmounts, and warns that the list of mounts is not up to date until it is', async () => {
    await mountAndFill();
    disk.empty();
    await stage.serve();
    disk.fill();
    const { code, stdout, stderr } = await stage.scorpio('umount', point);
    expect({ code, stdout }).toEqual({ code: 0, stdout: 'unmounted job root\n' });
    expect(stderr).toContain('mounts.toml cannot be written');
    expect(stage.mountpoints()).toEqual([]);
    const state = (): string => readFileSync(join(disk.path, 'mounts.toml'), 'utf8');
    expect(state()).not.toContain('Unmounted');
    disk.empty();
    await expect.poll(state, { timeout: 15_000 }).toContain('Unmounted');
  });
});
