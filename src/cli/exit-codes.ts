// Exit codes of the command line: promised in docs/cli.md, never given another meaning.

/** What a command ends with. */
export const ExitCode = {
  ok: 0,
  /** Anything unexpected, and a server or daemon that does not answer. */
  internal: 1,
  /** The configuration or the command line is wrong. */
  config: 2,
  /** Mounting or unmounting failed. */
  mount: 3,
  /** The HTTP address cannot be bound, or another daemon serves the store. */
  bind: 4,
} as const;
