// Why the embedded server cannot start, in words for the user.

/**
 * - `repository`: the folder cannot be served: no Git repository, or one without commits.
 * - `git-missing`: the git program is not installed.
 * - `address-in-use`: somebody listens at the address already.
 * - `address`: the address cannot be listened at for another reason.
 */
export type MegaServerErrorKind = 'repository' | 'git-missing' | 'address-in-use' | 'address';

/** The embedded server cannot start. The message says what to do. */
export class MegaServerError extends Error {
  override readonly name = 'MegaServerError';
  readonly kind: MegaServerErrorKind;

  constructor(kind: MegaServerErrorKind, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.kind = kind;
  }
}
