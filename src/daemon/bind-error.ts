// The failure to take the daemon's address, or its store: there is one daemon for each.

/** The HTTP address cannot be bound. The CLI exits with code 4. The message names the address and the reason. */
export class BindError extends Error {
  override readonly name: string = 'BindError';
}

/** Another daemon serves the same store (or state file) already; the message says which. The CLI exits with code 4. */
export class AlreadyRunningError extends BindError {
  override readonly name = 'AlreadyRunningError';
}
