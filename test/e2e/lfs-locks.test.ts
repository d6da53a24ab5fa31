// Locks in a mount: lockable files are read-only until they are locked, and somebody else's locks are seen.
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, expect, test, vi } from 'vitest';
import { lfsOid, lfsPointer, storeLfsObject } from '../support/lfs-repository.ts';
import { shell } from '../support/run-program.ts';
import { useServedStage } from '../support/served-stage.ts';
import type { Stage } from '../support/stage.ts';

const CONTENT = 'a large file\n'.repeat(1000);

const served = useServedStage({
  '.gitattributes': '*.bin filter=lfs diff=lfs merge=lfs -text lockable\n*.dat filter=lfs -text\n',
  'project/a.bin': lfsPointer(lfsOid(CONTENT), CONTENT.length),
  'project/b.bin': lfsPointer(lfsOid(CONTENT), CONTENT.length),
  'project/c.dat': lfsPointer(lfsOid(CONTENT), CONTENT.length),
  'project/notes.txt': 'notes\n',
});

let stage: Stage;
let point: string;

beforeEach(() => {
  stage = served.stage;
  point = stage.path('mnt');
  storeLfsObject(join(served.repository.path, 'lfs'), CONTENT);
  // The server of all tests of this file keeps its locks here.
  rmSync(join(served.repository.path, 'lfs/server-locks.json'), { force: true });
});

const inMount = (script: string): Promise<string> => shell(script, { cwd: point });
const attribute = (file: string, name: string): Promise<string> =>
  inMount(`getfattr --only-values -n user.scorpio.${name} ${file} 2>&1 || true`);
const write = (file: string): Promise<string> => inMount(`echo more 2>&1 >> ${file} || true`);

async function mount(keys: Record<string, string> = {}): Promise<void> {
  stage.configure({ base_url: served.proxy.url, ...keys });
  await stage.succeed('mount', '/project', point);
}

/** Somebody else takes a lock; the id. */
async function lockElsewhere(path: string): Promise<string> {
  const response = await fetch(`${served.serverUrl}/info/lfs/locks`, {
    method: 'POST',
    headers: { 'content-type': 'application/vnd.git-lfs+json' },
    body: JSON.stringify({ path, ref: { name: 'refs/heads/main' } }),
  });
  const { lock } = (await response.json()) as { lock: { id: string } };
  return lock.id;
}

test('a lockable file is read-only until the user locks it, and after it is unlocked', async () => {
  await mount();
  expect(await inMount('stat -c "%A %n" a.bin c.dat notes.txt')).toBe(
    '-r--r--r-- a.bin\n-rw-r--r-- c.dat\n-rw-r--r-- notes.txt',
  );
  expect(await write('a.bin')).toContain('Permission denied');
  expect(await inMount('truncate -s 0 b.bin 2>&1 || true')).toContain('Permission denied');
  expect(stage.log()).toMatch(/a file must not be written .*path=a\.bin .*scorpio lfs lock/u);
  expect(await stage.succeed('lfs', 'lock', join(point, 'a.bin'))).toContain('locked');
  expect(await inMount('stat -c %A a.bin b.bin')).toBe('-rw-r--r--\n-r--r--r--');
  expect(await attribute('a.bin', 'lock.owner')).toBe('you');
  expect(await write('a.bin')).toBe('');
  expect(await inMount('tail -n 1 a.bin')).toBe('more');
  expect(await attribute('a.bin', 'state')).toBe('modified');
  await stage.succeed('lfs', 'unlock', join(point, 'a.bin'));
  expect(await inMount('stat -c %A a.bin')).toBe('-r--r--r--');
  expect(await write('a.bin')).toContain('Permission denied');
});

test('new files, and those that are moved to names that are not lockable, may be written', async () => {
  await mount();
  await inMount('echo new > new.bin; echo more >> new.bin; mv b.bin b.txt; echo more >> b.txt');
  expect(await inMount('cat new.bin; tail -n 1 b.txt')).toBe('new\nmore\nmore');
  expect(await attribute('new.bin', 'state')).toBe('new');
});

test('what the user makes lockable is so at once, and what is not any more can be written', async () => {
  await mount();
  expect(await inMount('stat -c %A notes.txt a.bin')).toBe('-rw-r--r--\n-r--r--r--');
  await inMount('printf "*.txt lockable\n*.bin -lockable\n" > .gitattributes');
  await vi.waitFor(
    async () => expect(await inMount('stat -c %A notes.txt a.bin')).toBe('-r--r--r--\n-rw-r--r--'),
    { timeout: 30_000 },
  );
  expect(await write('notes.txt')).toContain('Permission denied');
  expect(await write('a.bin')).toBe('');
});

test('what is no file of the mount is not locked', async () => {
  await mount();
  await inMount('mkdir folder; echo new > folder/new.bin; rm b.bin');
  for (const path of ['folder', 'b.bin', 'nothing.bin']) {
    const { code, stderr } = await stage.scorpio('lfs', 'lock', join(point, path));
    expect([code, stderr]).toEqual([1, expect.stringContaining('only files can be locked')]);
  }
  await stage.succeed('lfs', 'lock', join(point, 'folder/new.bin'));
});

test('attributes tell what a file is', async () => {
  await mount();
  expect(await attribute('a.bin', 'lfs.oid')).toBe(lfsOid(CONTENT));
  expect(await attribute('a.bin', 'lfs.size')).toBe(String(CONTENT.length));
  expect(await attribute('a.bin', 'oid')).toMatch(/^[0-9a-f]{40}$/u);
  expect(await attribute('a.bin', 'state')).toBe('remote');
  await inMount('cat a.bin > /dev/null');
  await vi.waitFor(async () => expect(await attribute('a.bin', 'state')).toBe('stored'), { timeout: 30_000 });
  expect(await attribute('notes.txt', 'state')).toBe('unmodified');
});

test("somebody else's lock is seen in the background, and warned about or refused", async () => {
  await mount({ lfs_locked: 'refuse', lfs_locks_refresh_secs: '1' });
  expect(await write('c.dat')).toBe('');
  const id = await lockElsewhere('project/c.dat');
  await vi.waitFor(async () => expect(await write('c.dat')).toContain('Permission denied'), {
    timeout: 10_000,
  });
  expect(await attribute('c.dat', 'lock.owner')).toBe('unknown');
  expect(await inMount('stat -c %A c.dat')).toBe('-r--r--r--');
  const refused = await stage.scorpio('lfs', 'unlock', join(point, 'c.dat'));
  expect(refused.stderr).toContain('--force');
  await stage.succeed('lfs', 'unlock', '--force', join(point, 'c.dat'));
  expect(await write('c.dat')).toBe('');
  expect(stage.log()).toContain(`somebody has locked it (lock ${id})`);
});

test('what is locked stays ours after the daemon was started anew, and in another mount', async () => {
  await mount();
  await stage.succeed('lfs', 'lock', join(point, 'a.bin'));
  await stage.end(stage.daemon()?.pid ?? 0, 'SIGKILL');
  await stage.serve();
  await vi.waitFor(async () => expect(await inMount('stat -c %A a.bin')).toBe('-rw-r--r--'), {
    timeout: 10_000,
  });
  await stage.succeed('umount', 'project');
  await stage.succeed('mount', '/project', point);
  await vi.waitFor(async () => expect(await inMount('stat -c %A a.bin')).toBe('-rw-r--r--'), {
    timeout: 30_000,
  });
});
