// Sharing large files with the store of a real git-lfs.
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createLfsDownloads } from '../../../../src/lfs/download/create-lfs-downloads.ts';
import type { LfsDownloads } from '../../../../src/lfs/download/lfs-downloads.ts';
import { createDedupRun } from '../../../../src/mount/lfs/dedup-run.ts';
import type { LfsReport } from '../../../../src/mount/lfs/mount-lfs.ts';
import { largeFilePath } from '../../../../src/util/large-file-paths.ts';
import { createLogger } from '../../../../src/util/logger.ts';
import { createLfsWorkTree, type LfsWorkTree } from '../../../support/lfs-repository.ts';
import { oidOf } from '../../../support/lfs-range-server.ts';
import { randomBytes } from '../../../support/random.ts';

const log = createLogger('off');
const BYTES = 100_000;
const content = (seed: number): Buffer => randomBytes(BYTES, seed);

let tree: LfsWorkTree;
let storePath: string;
let downloads: LfsDownloads;

beforeEach(async () => {
  tree = await createLfsWorkTree();
  await tree.commit({
    '.gitattributes': '*.bin filter=lfs diff=lfs merge=lfs -text\n',
    'one.bin': content(1),
    'two.bin': content(2),
  });
  // Beside the working tree: on the same disk.
  storePath = join(dirname(tree.path), 'store');
  mkdirSync(storePath);
  downloads = createLfsDownloads({ directory: storePath, rangesAbove: 0, concurrency: 1 });
});

afterEach(async () => {
  await downloads.close();
  await tree.remove();
});

const ours = (seed: number): string => largeFilePath(storePath, oidOf(content(seed)));

function theirs(seed: number): string {
  const oid = oidOf(content(seed));
  return join(tree.path, '.git/lfs/objects', oid.slice(0, 2), oid.slice(2, 4), oid);
}

async function store(seed: number): Promise<void> {
  const path = join(storePath, 'source');
  writeFileSync(path, content(seed));
  const object = { oid: oidOf(content(seed)), size: BYTES, path };
  expect(await downloads.adopt(object, path)).toBe(true);
  rmSync(path);
}

const share = (...repositories: string[]): Promise<LfsReport> =>
  createDedupRun({ downloads, storePath, log })(repositories.length === 0 ? [tree.path] : repositories)(
    () => undefined,
    new AbortController().signal,
  );

describe('dedup', () => {
  test('makes one file of what both have, and gives each what the other one needs', async () => {
    await store(1);
    await store(3);
    // Where the file is there, any git command may put it into the store of git-lfs again.
    rmSync(join(tree.path, 'two.bin'));
    rmSync(theirs(2));
    await store(2);
    const report = await share();
    expect(report).toMatchObject({ files: 2, filesDone: 2, filesFailed: 0, freedBytes: BYTES });
    for (const seed of [1, 2]) expect(statSync(ours(seed)).ino).toBe(statSync(theirs(seed)).ino);
    expect(existsSync(theirs(3))).toBe(false);
    expect(await share()).toMatchObject({ files: 2, filesPresent: 2, freedBytes: 0 });
    expect(await tree.git('lfs', 'fsck')).toContain('OK');
    await tree.git('checkout', 'two.bin');
    expect(readFileSync(join(tree.path, 'two.bin')).equals(content(2))).toBe(true);
  });

  test('takes what only git-lfs has, and it reads as the large file here', async () => {
    expect(await share()).toMatchObject({ files: 2, filesDone: 2, filesPresent: 0, freedBytes: 0 });
    expect(downloads.has(oidOf(content(1)))).toBe(true);
    expect(readFileSync(ours(1)).equals(content(1))).toBe(true);
  });

  test('what is written into a shared file is noticed', async () => {
    await share();
    expect(statSync(theirs(1)).mode & 0o222).toBe(0);
    chmodSync(theirs(1), 0o644);
    writeFileSync(theirs(1), 'rubbish');
    expect(downloads.has(oidOf(content(1)))).toBe(false);
  });

  test('does not take damaged files, and says which', async () => {
    chmodSync(theirs(1), 0o644);
    writeFileSync(theirs(1), Buffer.alloc(BYTES));
    const report = await share();
    expect(report).toMatchObject({ files: 2, filesDone: 1, filesFailed: 1 });
    expect(report.failures).toEqual([expect.objectContaining({ oid: oidOf(content(1)) })]);
    expect(existsSync(ours(1))).toBe(false);
  });

  test('finds the store of a linked working tree, and one that lfs.storage names', async () => {
    await tree.git('worktree', 'add', '-q', '../linked');
    expect(await share(join(dirname(tree.path), 'linked'))).toMatchObject({ files: 2 });
    await tree.git('config', 'lfs.storage', '../elsewhere');
    await tree.commit({ 'three.bin': content(3) });
    // One is taken; the two that were taken before are given to the new place.
    expect(await share()).toMatchObject({ files: 3, filesDone: 3, filesPresent: 0 });
    expect(existsSync(join(tree.path, 'elsewhere/objects'))).toBe(true);
  });

  test('refuses what is no repository', async () => {
    await expect(share(storePath)).rejects.toMatchObject({ kind: 'invalid' });
  });
});
