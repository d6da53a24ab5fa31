// The configuration is not usable.

/** Lists everything that is wrong; the message is the first problem. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  /** All problems, one line each, at least one. */
  readonly problems: readonly string[];
  /** The file that was read, or was to be read; undefined: none. */
  readonly file: string | undefined;
  /** What is odd beside that, one line each. */
  readonly warnings: readonly string[];

  constructor(problems: readonly string[], file: string | undefined, warnings: readonly string[] = []) {
    const more = problems.length - 1;
    const hint = more > 0 ? ` (and ${more} more, see: scorpio config validate)` : '';
    super(`${problems[0] ?? 'unknown problem'}${hint}`);
    this.problems = problems;
    this.file = file;
    this.warnings = warnings;
  }
}
