// Commits folders of this machine to a repository as they are: nothing ignored, no content converted.
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { GitRepository } from './git-repository.ts';

/** A folder to commit. */
export interface FolderSource {
  readonly folder: string;
  /** Pathspecs that are left out. */
  readonly without?: readonly string[];
  /** Leave out what its .gitignore names. Default: no. */
  readonly ignore?: boolean;
}

/** Makes a commit of these folders, by their names in it, the head of a bare repository; other files stay as they are. */
export async function commitFolders(
  repository: GitRepository,
  folders: Readonly<Record<string, FolderSource>>,
): Promise<void> {
  const { path } = repository;
  const git = (...args: string[]): Promise<string> =>
    repository.git(['-c', 'core.looseCompression=0', ...args]);
  await mkdir(join(path, 'info'), { recursive: true });
  await writeFile(join(path, 'info/attributes'), '* -text -eol -ident -filter -working-tree-encoding\n');
  const entries = [await git('ls-tree', '-z', repository.head)];
  for (const [name, { folder, without = [], ignore = false }] of Object.entries(folders)) {
    await git('read-tree', '--empty');
    const specs = ['.', ...without.map((spec) => `:(exclude)${spec}`)];
    const force = ignore ? [] : ['--force'];
    const from = ['-C', folder, '--git-dir', path, '--work-tree', folder];
    await git(...from, 'add', '--all', ...force, '--', ...specs);
    entries.push(`040000 tree ${await git('write-tree')}\t${name}\0`);
  }
  const tree = await repository.git(['mktree', '-z'], Buffer.from(entries.join('')));
  await repository.setHead(await git('commit-tree', tree, '-p', repository.head, '-m', 'Add folders'));
}
