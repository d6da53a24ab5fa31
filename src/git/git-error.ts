// What can go wrong with a Git repository or with the git program, in words for the user.

/**
 * - `git-missing`: the git program cannot be started.
 * - `not-a-repository`: the folder is no Git repository, or one that cannot be read.
 * - `no-commits`: the branch does not exist yet, or not any more.
 * - `missing`: the repository does not have the object.
 * - `too-large`: the object is larger than what the caller takes into memory.
 * - `failed`: git ended or answered in a way it should not.
 * - `closed`: the reader was closed.
 */
export type GitErrorKind =
  | 'git-missing'
  | 'not-a-repository'
  | 'no-commits'
  | 'missing'
  | 'too-large'
  | 'failed'
  | 'closed';

/** Reading a Git repository failed. The message says what to do where something can be done. */
export class GitError extends Error {
  override readonly name = 'GitError';
  readonly kind: GitErrorKind;

  constructor(kind: GitErrorKind, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.kind = kind;
  }
}
