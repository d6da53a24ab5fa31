// Fetching large files ahead, and folders that stay checked out over restarts.
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { LfsProgress } from '../../../../src/mount/lfs/mount-lfs.ts';
import { lfsObjectPath, lfsOid, lfsPointerTo, noise } from '../../../support/lfs-repository.ts';
import { finish, LargeMount, never } from './large-mount.ts';

const A = noise(200_000, 'a');
const B = noise(150_000, 'b');
const WAIT = { timeout: 15_000 };
const C = noise(100_000, 'c');

let mount: LargeMount;
let fs: LargeMount['fs'];
beforeEach(async () => {
  mount = await LargeMount.create(
    { 'a.bin': A, 'dir/b.bin': B, 'dir/deep/c.bin': C, 'dir/deep/same.bin': B },
    {
      'dir/ordinary.bin': 'marked, and not a pointer; of a size that one could have'.repeat(3),
      // Nothing marks it.
      'dir/pointer.txt': lfsPointerTo(A),
    },
  );
  fs = mount.fs;
});
afterEach(() => mount.dispose());

const fetch = (paths: readonly string[] = [], activate = false) =>
  finish(mount.lfs.fetch({ paths }, { activate }));
const stored = (): string[] => {
  const named = { A, B, C };
  return Object.entries(named).flatMap(([name, content]) =>
    mount.downloads.has(lfsOid(content)) ? [name] : [],
  );
};

describe('a fetch', () => {
  test('brings what the mount shows, each content once, and counts it', async () => {
    const seen: LfsProgress[] = [];
    const report = await mount.lfs.fetch({ paths: [] }, { activate: false })((one) => seen.push(one), never);
    const bytes = A.length + B.length + C.length;
    expect(report).toMatchObject({
      files: 4,
      filesDone: 4,
      filesPresent: 0,
      filesFailed: 0,
      bytes,
      totalBytes: bytes,
    });
    expect(seen[0]).toMatchObject({ isCounting: true });
    expect(seen.at(-1)).toMatchObject({ isCounting: false, filesDone: 4, bytes });
    expect(stored()).toEqual(['A', 'B', 'C']);
    expect(await fetch()).toMatchObject({ files: 4, filesDone: 4, filesPresent: 4, bytes: 0, totalBytes: 0 });
    // Reading asks nobody any more.
    mount.proxy.reset();
    expect(await fs.readFile('dir/b.bin')).toEqual(B);
    expect(mount.proxy.count(lfsOid(B))).toBe(0);
  });

  test('of single folders and files leaves the others', async () => {
    expect(await fetch(['/dir/deep'])).toMatchObject({ files: 2 });
    expect(stored()).toEqual(['B', 'C']);
    expect(await fetch(['a.bin'])).toMatchObject({ files: 1, filesDone: 1 });
    expect(stored()).toEqual(['A', 'B', 'C']);
    await expect(fetch(['nothing'])).rejects.toMatchObject({ name: 'MountError', kind: 'not-found' });
  });

  test('follows what was moved, and leaves out what was removed or written here', async () => {
    await fs.rename('dir/deep', 'moved');
    await fs.unlink('moved/same.bin');
    await fs.writeFile('dir/b.bin', 'mine');
    expect(await fetch(['dir', 'moved'])).toMatchObject({ files: 1, filesDone: 1 });
    expect(stored()).toEqual(['C']);
    await fs.rename('a.bin', 'dir/renamed.bin');
    expect(await fetch(['dir'])).toMatchObject({ files: 1 });
    expect(stored()).toEqual(['A', 'C']);
  });

  test('says which files could not be had, and fetches the others', async () => {
    rmSync(lfsObjectPath(mount.serverStore, lfsOid(B)));
    const report = await fetch();
    expect(report).toMatchObject({ files: 4, filesDone: 2, filesFailed: 2, bytes: A.length + C.length });
    expect(report.failures.map(({ path, oid }) => [path, oid])).toEqual([
      ['dir/b.bin', lfsOid(B)],
      ['dir/deep/same.bin', lfsOid(B)],
    ]);
  });

  test('that does not fit is refused before anything is fetched', async () => {
    mount.room = A.length + B.length;
    await expect(fetch([], true)).rejects.toMatchObject({
      kind: 'invalid',
      message: expect.stringMatching(/it takes 450 kB, and the local store has room for 350 kB/u) as string,
    });
    expect([stored(), mount.lfs.activeFolders]).toEqual([[], []]);
    expect(await fetch(['dir/deep'])).toMatchObject({ filesDone: 2 });
  });

  test('names a file that does not fit by itself, and fetches the others', async () => {
    mount.room = A.length - 1;
    const report = await fetch(['a.bin', 'dir/deep/c.bin']);
    expect(report).toMatchObject({ files: 2, filesDone: 1, filesFailed: 1, totalBytes: C.length });
    expect(report.failures).toEqual([
      { path: 'a.bin', oid: lfsOid(A), reason: expect.stringContaining('it takes 200 kB, and') as string },
    ]);
  });

  test('names a pointer that tells a wrong size, also where its object is stored', async () => {
    await mount.dispose();
    const wrong = lfsPointerTo(A).replace(/size \d+/u, 'size 7');
    mount = await LargeMount.create({ 'a.bin': A }, { 'dir/liar.bin': wrong });
    fs = mount.fs;
    for (let round = 0; round < 2; round++) {
      const report = await fetch();
      expect(report).toMatchObject({ filesDone: 1, filesFailed: 1 });
      expect(report.failures.map(({ path }) => path)).toEqual(['dir/liar.bin']);
    }
    expect(stored()).toEqual(['A']);
  });

  test('ends when it is told to, and goes on from there', async () => {
    mount.proxy.inject({ kind: 'stall', afterBytes: 50_000 }, { path: lfsOid(A), method: 'GET' });
    const controller = new AbortController();
    const running = finish(mount.lfs.fetch({ paths: [] }, { activate: false }), controller.signal);
    await expect.poll(stored, WAIT).toEqual(['B', 'C']);
    controller.abort(new Error('enough'));
    await expect(running).rejects.toThrow('enough');
    mount.proxy.heal();
    expect(await fetch()).toMatchObject({ filesDone: 4, filesPresent: 3 });
  });

  test('of a server that is away ends with a reason', async () => {
    await fetch(['dir/deep']);
    mount.proxy.inject({ kind: 'close' }, { path: 'objects' });
    const outcome = await fetch().catch((error: Error) => error);
    const reason = outcome instanceof Error ? outcome.message : outcome.failures[0]?.reason;
    expect(reason).toContain(mount.client.url);
  });
});

describe('a folder that is checked out', () => {
  const config = (): string => readFileSync(mount.configFile, 'utf8');

  test('is recorded beside what else the file says, and taken out again', async () => {
    writeFileSync(mount.configFile, 'works = []\n\n[[lfs]]\npath = "/elsewhere"\nnote = "kept"\n');
    await fetch(['dir/deep'], true);
    expect(mount.lfs.activeFolders).toEqual(['dir/deep']);
    expect(config()).toMatch(/works = \[\s*\]/u);
    expect(config()).toContain('note = "kept"');
    expect(config()).toContain('path = "/project/dir/deep"');
    await fetch(['dir'], true);
    const status = await mount.lfs.status({ paths: [] }, { waitForHashes: false, askServer: false }, never);
    expect(status.activeFolders).toEqual(['dir', 'dir/deep']);
    expect(await mount.lfs.deactivate({ paths: ['dir'] })).toEqual([]);
    expect(config()).toContain('/elsewhere');
    expect(config()).not.toContain('/project');
  });

  test('that is not there is not recorded', async () => {
    await expect(fetch(['nothing'], true)).rejects.toThrow('no such folder');
    expect(mount.lfs.activeFolders).toEqual([]);
  });

  test('is fetched in the background after a restart', async () => {
    await fetch(['dir'], true);
    await mount.restart();
    mount.downloads.remove([lfsOid(B), lfsOid(C)]);
    expect(stored()).toEqual([]);
    mount.lfs.start();
    await expect.poll(stored, WAIT).toEqual(['B', 'C']);
    expect(mount.lfs.activeFolders).toEqual(['dir']);
  });

  test('stands also for the mounts inside it', async () => {
    writeFileSync(mount.configFile, '[[lfs]]\npath = "/"\n');
    mount.lfs.start();
    await expect.poll(stored, WAIT).toEqual(['A', 'B', 'C']);
    expect(mount.lfs.activeFolders).toEqual(['']);
  });

  test('needs its objects, as moved files that were not committed do; others may go', async () => {
    await fetch();
    expect(await mount.lfs.neededOids(never)).toEqual(new Set());
    await fetch(['dir/deep'], true);
    expect(await mount.lfs.neededOids(never)).toEqual(new Set([lfsOid(B), lfsOid(C)]));
    await fs.rename('a.bin', 'renamed.bin');
    expect(await mount.lfs.neededOids(never)).toEqual(new Set([lfsOid(A), lfsOid(B), lfsOid(C)]));
    await mount.lfs.deactivate({ paths: [''] });
    expect(await mount.lfs.neededOids(never)).toEqual(new Set([lfsOid(A)]));
  });

  test('a damaged record is told of, and not overwritten', async () => {
    writeFileSync(mount.configFile, 'works = [');
    await expect(fetch(['dir'], true)).rejects.toThrow(/config_file/u);
    expect(config()).toBe('works = [');
    writeFileSync(mount.configFile, 'lfs = "no list"');
    await expect(fetch(['dir'], true)).rejects.toThrow(/not a list/u);
  });
});
