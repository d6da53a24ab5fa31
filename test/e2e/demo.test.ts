// `npm run demo` on a small repository, as a newcomer runs it.
import { createHash } from 'node:crypto';
import { accessSync, constants, mkdirSync, readdirSync, readFileSync, realpathSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { expect, test } from 'vitest';
import { listMounts } from '../../src/fuse/kernel/mountinfo.ts';
import { createGitRepository } from '../support/git-repository.ts';
import { runProgram } from '../support/run-program.ts';
import { makeTestFolder } from '../support/test-folder.ts';

const PROJECT = resolve(import.meta.dirname, '../..');
const TIMEOUT_MS = 120_000;

/** Whether the demo finds everything installed, and may build. It must not install while other tests run. */
function isPrepared(): boolean {
  const stamp = join(PROJECT, 'node_modules/.scorpio-installed');
  const lock = createHash('sha256')
    .update(readFileSync(join(PROJECT, 'package-lock.json')))
    .digest('hex');
  try {
    accessSync(PROJECT, constants.W_OK);
    return readFileSync(stamp, 'utf8').startsWith(`${lock} ${process.version}`);
  } catch {
    return false;
  }
}

test.skipIf(!isPrepared())(
  'the demo shows a repository, what was fetched and written, and a large file, and leaves nothing',
  async () => {
    const folder = realpathSync(makeTestFolder());
    const temporary = join(folder, 'tmp');
    mkdirSync(temporary);
    await using repository = await createGitRepository({
      files: {
        'README.md': '# A small repository\n',
        'bin/run': { content: '#!/bin/sh\n', mode: 0o100755 },
        'src/main.ts': 'export {};\n',
        'src/deep/unseen.bin': Buffer.alloc(300_000, 'unseen'),
      },
    });
    try {
      const { code, stdout, stderr } = await runProgram(
        process.execPath,
        [join(PROJECT, 'tools/demo.mjs'), '--once', '--repo', repository.path],
        { env: { TMPDIR: temporary }, timeoutMs: TIMEOUT_MS },
      );
      expect([code, stderr]).toEqual([0, '']);
      for (const line of [
        /Repository .*: 4 files, 300\.0 kB/,
        /Mounted .* 4 entries/,
        /^ {2}bin\/$/m,
        /^ {4}run 10 B$/m,
        /^ {2}src\/$/m,
        /^ {4}deep\/$/m,
        /^ {4}main\.ts 11 B$/m,
        /^ {2}README\.md 21 B$/m,
        /Read .*README\.md: # A small repository/,
        /Fetched .* in \d+ requests: 0\.\d % of the repository/,
        /README\.md \.\.\. A line written through the mount\./,
        /written-in-the-demo\.txt \.\.\. This file exists in the writable layer alone\./,
        /^ {2}demo-large-files\/$/m,
        /^ {4}large\.bin 268\.4 MB$/m,
        /Large file .*demo-large-files\/large\.bin, in Git a pointer of 134 bytes/,
        /ls -l +268435456 bytes; 0 B of it fetched/,
        /first MiB +after \d+ ms, when \d+(?:\.\d+)? [kM]?B of 268\.4 MB had arrived/,
        /all of it +after \d+\.\d\d s, \d+\.\d [MG]B\/s/,
        /modified +demo-large-files\/large\.bin .*not uploaded/,
        /uploaded 1 large file/,
        /modified +demo-large-files\/large\.bin .* uploaded/,
        /^ {2}version https:\/\/git-lfs\.github\.com\/spec\/v1\n {2}oid sha256:[0-9a-f]{64}\n {2}size 268435456$/m,
      ]) {
        expect(stdout).toMatch(line);
      }
      expect(readdirSync(temporary)).toEqual([]);
      expect(listMounts().filter(({ mountpoint }) => mountpoint.startsWith(folder))).toEqual([]);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  },
  TIMEOUT_MS,
);
