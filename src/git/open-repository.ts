// Finds a Git repository on the local disk and checks that it can be read.
import { stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { runGit } from './git-command.ts';
import { GitError } from './git-error.ts';

const OPEN_TIMEOUT_MS = 10_000;

/**
 * The absolute Git directory of a repository: bare, a working tree, a linked worktree, or a folder in one. Rejects with
 * GitError of kind `not-a-repository` or `git-missing`.
 */
export async function openGitDirectory(path: string): Promise<string> {
  const folder = resolve(path);
  const found = await stat(folder).catch((error: unknown) => error as NodeJS.ErrnoException);
  if (found instanceof Error) {
    const reason = found.code === 'ENOENT' ? 'it does not exist' : found.message;
    throw new GitError('not-a-repository', `cannot open the repository ${folder}: ${reason}`, {
      cause: found,
    });
  }
  if (!found.isDirectory()) {
    throw new GitError('not-a-repository', `cannot open the repository ${folder}: it is not a folder`);
  }
  const { code, output, errorText } = await runGit(
    ['-C', folder, 'rev-parse', '--absolute-git-dir', '--show-object-format'],
    OPEN_TIMEOUT_MS,
  );
  if (code !== 0) {
    const reason = errorText.replace(/^fatal: /u, '');
    throw new GitError('not-a-repository', `${folder} is not a Git repository that can be read: ${reason}`);
  }
  const lines = output.trimEnd().split('\n');
  const format = lines.pop();
  if (format !== 'sha1') {
    throw new GitError(
      'not-a-repository',
      `${folder} uses the object format ${format}; only sha1 repositories are supported`,
    );
  }
  // What is left is one path, which may hold line feeds itself.
  return lines.join('\n');
}
