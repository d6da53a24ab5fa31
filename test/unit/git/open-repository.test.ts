// Finding a repository: what is told about folders that are none, and what must not mislead it.
import { execFile } from 'node:child_process';
import { mkdtemp, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, expect, test, vi } from 'vitest';
import { openGitDirectory } from '../../../src/git/open-repository.ts';
import { createGitRepository, GIT_TEST_ENVIRONMENT } from '../../support/git-repository.ts';

afterEach(() => {
  vi.unstubAllEnvs();
});

test('the Git directory of bare and other repositories is absolute', async () => {
  await using bare = await createGitRepository();
  await using other = await createGitRepository({ bare: false });
  expect(await openGitDirectory(bare.path)).toBe(await realpath(bare.path));
  expect(await openGitDirectory(`${other.path}/.`)).toBe(await realpath(join(other.path, '.git')));
});

test('variables of a hook that runs the program do not lead to another repository', async () => {
  await using repository = await createGitRepository();
  await using hooked = await createGitRepository({ bare: false });
  vi.stubEnv('GIT_DIR', join(hooked.path, '.git'));
  vi.stubEnv('GIT_WORK_TREE', hooked.path);
  expect(await openGitDirectory(repository.path)).toBe(await realpath(repository.path));
});

test('a repository with other ids than SHA-1 is refused by name', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'scorpio-sha256-'));
  try {
    const args = ['init', '--quiet', '--bare', '--object-format=sha256', folder];
    await promisify(execFile)('git', args, { env: GIT_TEST_ENVIRONMENT });
    await expect(openGitDirectory(folder)).rejects.toMatchObject({
      kind: 'not-a-repository',
      message: expect.stringContaining('object format sha256'),
    });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
