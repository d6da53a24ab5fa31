// What a connection died of, in words.

const REASONS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connection refused',
  ECONNRESET: 'connection reset',
  EPIPE: 'connection closed',
  ENOTFOUND: 'host name not found',
  EAI_AGAIN: 'host name cannot be looked up at the moment',
  EHOSTUNREACH: 'no route to the host',
  ENETUNREACH: 'network unreachable',
  ETIMEDOUT: 'no connection within the time limit of the system',
  UND_ERR_SOCKET: 'connection closed',
  UND_ERR_RES_CONTENT_LENGTH_MISMATCH: 'answer shorter than announced',
};

/** The error itself, or the one inside it that says more: Node wraps the attempts for several addresses. */
function innermost(error: unknown): Error & { code?: unknown } {
  if (error instanceof AggregateError && error.errors.length > 0) return innermost(error.errors[0]);
  return error instanceof Error ? error : new Error(String(error));
}

/** A failed connection. */
export interface ConnectionFailure {
  /** The code of undici or of the system; `''` where there is none. */
  readonly code: string;
  /** In words for users. */
  readonly reason: string;
  /** What the error itself says. */
  readonly message: string;
}

/** Takes an error apart that undici or the system threw. */
export function connectionFailure(thrown: unknown): ConnectionFailure {
  const error = innermost(thrown);
  // A DOMException has a code too, but a number.
  const code = typeof error.code === 'string' ? error.code : '';
  return { code, reason: REASONS[code] ?? error.message, message: error.message };
}
