// Whole projects in a mount: this one is installed and built in it, and a large tree of packages is read from it.
import { mkdirSync, symlinkSync } from 'node:fs';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { commitFolders } from '../support/folder-commit.ts';
import { createGitRepository, type GitRepository } from '../support/git-repository.ts';
import { shell } from '../support/run-program.ts';
import { createStage, type Stage } from '../support/stage.ts';

const PROJECT = resolve(import.meta.dirname, '../..');
const PACKAGES = join(PROJECT, 'node_modules');
const TIMEOUT_MS = 240_000;
/** Caches, which other programs may be writing to meanwhile. */
const CACHES = ['.vite', '.vite-temp', '.cache'];

let stage: Stage;
let repository: GitRepository;

beforeAll(async () => {
  stage = createStage();
  repository = await createGitRepository({ files: { 'README.md': 'several projects\n' } });
  await commitFolders(repository, {
    scorpio: { folder: PROJECT, ignore: true },
    packages: { folder: PACKAGES, without: CACHES },
  });
  stage.configure({ base_url: await stage.serveRepository(repository.path) });
}, TIMEOUT_MS);

afterAll(async () => {
  await stage?.dispose();
  await repository?.remove();
});

test(
  'a tree of thousands of files is the same to find, grep and diff as the original',
  async () => {
    const mountpoint = stage.path('packages');
    await stage.succeed('mount', '/packages', mountpoint);
    const args = [PACKAGES, mountpoint];
    const left = `\\( ${CACHES.map((name) => `-path ./${name}`).join(' -o ')} \\) -prune -o`;
    // Git keeps no empty folders, and of the modes whether a file can be executed.
    const find = `find . ${left} ! -type d`;
    const lists = {
      names: `${find} -print0 | sort -z | sha256sum`,
      kinds: `${find} -printf '%y %P %l\\0' | sort -z | sha256sum`,
      sizes: `${find} -type f -printf '%s %P\\0' | sort -z | sha256sum`,
      executables: `${find} -type f -perm -u=x -print0 | sort -z | sha256sum`,
      matches: `LC_ALL=C grep -rI --exclude-dir=.vite --exclude-dir=.vite-temp --exclude-dir=.cache -e 'use strict' . | sort | sha256sum`,
    };
    for (const [what, command] of Object.entries(lists)) {
      const original = await shell(command, { cwd: PACKAGES });
      expect([what, await shell(command, { cwd: mountpoint })]).toEqual([what, original]);
    }
    expect(Number(await shell(`${find} -print | wc -l`, { cwd: mountpoint }))).toBeGreaterThan(1000);
    const excluded = CACHES.map((name) => `--exclude=${name}`).join(' ');
    await shell(`diff -r --no-dereference ${excluded} "$1" "$2"`, { args, timeoutMs: TIMEOUT_MS });
    await stage.succeed('umount', mountpoint);
  },
  TIMEOUT_MS,
);

test(
  'this project is installed and built in a mount of itself',
  async () => {
    const mountpoint = stage.path('scorpio');
    await stage.succeed('mount', '/scorpio', mountpoint);
    // Compiling the native module takes longer than all of this, and needs nothing of the mount that tsc does not.
    const install = 'npm ci --prefer-offline --ignore-scripts --no-audit --no-fund --loglevel=error';
    const env = { HOME: homedir() };
    await shell(install, { cwd: mountpoint, env, timeoutMs: TIMEOUT_MS });
    await shell('npm run build', { cwd: mountpoint, env, timeoutMs: TIMEOUT_MS });
    expect(await shell('node bin/scorpio.js --version', { cwd: mountpoint })).toMatch(/^scorpio \d/);

    const plain = stage.path('plain');
    mkdirSync(plain);
    await shell('git --git-dir "$1" archive HEAD:scorpio | tar -x', { cwd: plain, args: [repository.path] });
    symlinkSync(PACKAGES, join(plain, 'node_modules'));
    await shell('npm run build', { cwd: plain, env, timeoutMs: TIMEOUT_MS });
    // The bundle says where each part came from, which a link to the packages changes.
    await shell(`diff -r --exclude=.tsbuildinfo -I '^// .*node_modules/' "$1/dist" "$2/dist"`, {
      args: [plain, mountpoint],
    });
    await stage.succeed('umount', mountpoint);
  },
  TIMEOUT_MS,
);
