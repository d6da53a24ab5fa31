// Programs that others wrote to find faults of filesystems, in a mount: stress-ng and fio, where they are installed.
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createGitRepository, type GitRepository } from '../support/git-repository.ts';
import { toGitFiles } from '../support/mount-fixture.ts';
import { runProgram } from '../support/run-program.ts';
import { lowerSeed } from '../support/seed-tree.ts';
import { createStage, type Stage } from '../support/stage.ts';

/** How long each of stress-ng's stressors runs. */
const SECONDS = Number(process.env['SCORPIO_STRESS_SECONDS'] ?? 1);
/** All that work on files; `long` ones take their time whatever they are told. */
const ALL =
  'access aio chattr chdir chmod chown copy-file dentry dir dirdeep dirmany dup fallocate fcntl fiemap file-ioctl filename flock fpunch fsize fstat getdent handle hdd inode-flags inotify io iomix lease link locka lockf lockofd madvise mknod mmap msync open readahead remap rename revio seek sendfile splice symlink sync-file touch utime xattr';
/** What a short run takes of them: one of each kind. */
const SHORT =
  'access chmod dentry dir dirmany fallocate fpunch getdent hdd lockf mmap msync rename seek utime xattr';
const STRESSORS = (SECONDS > 1 ? ALL : SHORT).split(' ');
/** Small files; the limits are those of the program. */
const SIZES =
  '--hdd-bytes 4M --iomix-bytes 4M --fallocate-bytes 4M --copy-file-bytes 128M --seek-size 4M --mmap-bytes 4M --msync-bytes 4M --sendfile-size 1M --readahead-bytes 4M --dirdeep-inodes 300'.split(
    ' ',
  );
/** Exit codes of stress-ng: 3 is that this machine cannot run a stressor, 4 that this filesystem has no such call. */
const NO_FAULT = [0, 3, 4];

let stage: Stage;
let repository: GitRepository;
let mountpoint: string;

async function isInstalled(program: string): Promise<boolean> {
  return (await runProgram('sh', ['-c', 'command -v "$1"', 'sh', program])).code === 0;
}

beforeAll(async () => {
  stage = createStage();
  repository = await createGitRepository({ files: toGitFiles(lowerSeed) });
  stage.configure({ base_url: await stage.serveRepository(repository.path) });
  await stage.serve();
  mountpoint = stage.path('mnt');
  await stage.succeed('mount', '/', mountpoint);
  mkdirSync(join(mountpoint, 'stress'));
});

afterAll(async () => {
  await stage?.dispose();
  await repository?.remove();
});

describe.skipIf(!(await isInstalled('stress-ng')))('stress-ng (Debian package stress-ng)', () => {
  test.each(STRESSORS)('finds no fault with --%s', async (stressor) => {
    const folder = join(mountpoint, 'stress');
    const args = ['--temp-path', folder, `--${stressor}`, '2', '-t', `${SECONDS}`, '--verify', ...SIZES];
    // It writes logs into its current folder.
    const cwd = mkdtempSync(join(tmpdir(), 'scorpio-test-stress-'));
    try {
      const { code, stdout, stderr } = await runProgram('stress-ng', args, { cwd, timeoutMs: 120_000 });
      expect([NO_FAULT.includes(code), /fail/i.test(stdout + stderr), stderr]).toEqual([true, false, stderr]);
    } finally {
      rmSync(cwd, { recursive: true, force: true });
    }
  });
});

describe.skipIf(!(await isInstalled('fio')))('fio (Debian package fio) reads back what it wrote', () => {
  test.each([
    ['at random, some jobs at once', ['--rw=randrw', '--ioengine=psync', '--numjobs=3', '--bs=512-64k']],
    ['in order, with gaps', ['--rw=write', '--ioengine=sync', '--bs=4k', '--numjobs=2']],
    ['through mappings', ['--rw=randrw', '--ioengine=mmap', '--bs=4k', '--numjobs=2']],
    ['past the page cache', ['--rw=randrw', '--ioengine=libaio', '--direct=1', '--iodepth=8', '--bs=4k']],
    [
      'with holes and fsync',
      ['--rw=randwrite', '--ioengine=psync', '--fallocate=none', '--fsync=16', '--bs=4k'],
    ],
  ])('%s', async (_title, options) => {
    const folder = join(mountpoint, 'fio');
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder);
    const common = '--name=job --size=4m --verify=crc32c --do_verify=1 --verify_fatal=1 --group_reporting';
    const args = [`--directory=${folder}`, ...common.split(' '), ...options];
    const { code, stdout, stderr } = await runProgram('fio', args, { cwd: stage.folder, timeoutMs: 120_000 });
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout).toContain('err= 0');
  });
});
