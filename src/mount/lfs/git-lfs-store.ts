// The store of large files that git-lfs keeps for a repository.
import { readdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { runGit } from '../../git/git-command.ts';
import { isLfsOid } from '../../lfs/lfs-object.ts';
import { MountError } from '../mount-error.ts';

const GIT_TIMEOUT_MS = 20_000;

/**
 * Its folder, which has the subfolder `objects`: below the Git folder that all working trees share, unless `lfs.storage`
 * names another one. Rejects with MountError where there is no repository, or Git does not trust its owner.
 */
export async function findGitLfsStore(repository: string): Promise<string> {
  const ask = (...args: string[]): ReturnType<typeof runGit> =>
    runGit(['-C', repository, ...args], GIT_TIMEOUT_MS);
  const found = await ask('rev-parse', '--path-format=absolute', '--git-common-dir');
  if (found.code !== 0) {
    throw new MountError(
      'invalid',
      `${repository} is no Git repository that can be used: ${found.errorText}`,
    );
  }
  const gitFolder = found.output.replace(/\n$/u, '');
  const storage = (await ask('config', '--type=path', '--get', 'lfs.storage')).output.replace(/\n$/u, '');
  return resolve(gitFolder, storage === '' ? 'lfs' : storage);
}

/** Complete objects of such a store: oids and paths. Folders that cannot be read are passed over. */
export async function* listGitLfsStore(
  store: string,
): AsyncGenerator<{ readonly oid: string; readonly path: string }> {
  const objects = join(store, 'objects');
  for (const first of await folders(objects)) {
    for (const second of await folders(join(objects, first))) {
      const folder = join(objects, first, second);
      for (const oid of await readdir(folder).catch(() => [])) {
        if (isLfsOid(oid)) yield { oid, path: join(folder, oid) };
      }
    }
  }
}

/** Oids that the repository's present commit refers to; none where git-lfs is not installed, or there is no commit. */
export async function oidsOfHead(repository: string): Promise<string[]> {
  const args = ['-C', repository, 'lfs', 'ls-files', '--long'];
  const { code, output } = await runGit(args, GIT_TIMEOUT_MS).catch(() => ({ code: 1, output: '' }));
  if (code !== 0) return [];
  return output.split('\n').flatMap((line) => {
    const oid = line.slice(0, 64);
    return isLfsOid(oid) ? [oid] : [];
  });
}

const folders = async (path: string): Promise<string[]> =>
  (await readdir(path).catch(() => [])).filter((name) => /^[0-9a-f]{2}$/u.test(name));
