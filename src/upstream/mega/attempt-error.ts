// What one attempt of a request died of, in words, and whether another attempt makes sense.
import { connectionFailure } from '../../util/connection-failure.ts';
import { UpstreamError } from '../upstream-error.ts';
import type { UpstreamErrorKind } from '../upstream-error.ts';

/**
 * When an attempt is repeated: `always` as often as allowed; `once` for answers that are wrong, since a server that
 * is wrong twice stays wrong; `after-progress` for silence, when bytes had arrived before; `never`.
 */
export type RepeatRule = 'always' | 'once' | 'after-progress' | 'never';

/** How an attempt failed. Inside upstream/mega only: callers see the UpstreamError that it becomes. */
export class AttemptError extends Error {
  override readonly name = 'AttemptError';
  readonly kind: UpstreamErrorKind;
  readonly repeat: RepeatRule;
  /** HTTP status, where there was one. */
  readonly status: number | undefined;
  /** Milliseconds that the server asked to wait. */
  readonly retryAfterMs: number | undefined;

  constructor(
    kind: UpstreamErrorKind,
    repeat: RepeatRule,
    message: string,
    options: { cause?: unknown; status?: number; retryAfterMs?: number | undefined } = {},
  ) {
    super(message, { cause: options.cause });
    this.kind = kind;
    this.repeat = repeat;
    this.status = options.status;
    this.retryAfterMs = options.retryAfterMs;
  }

  /** The error for the caller; `target` is the request's method and URL. */
  toUpstreamError(target: string, attempts: number): UpstreamError {
    const tried = attempts > 1 ? `, tried ${attempts} times` : '';
    return new UpstreamError(this.kind, `${this.message} (${target}${tried})`, {
      cause: this.cause ?? this,
      ...(this.status === undefined ? {} : { status: this.status }),
    });
  }
}

/** The server answered something that cannot be right: worth one repeat. */
export function badAnswer(reason: string, kind: 'server' | 'corrupt' = 'server'): AttemptError {
  return new AttemptError(kind, 'once', `the server's answer is wrong: ${reason}`);
}

const seconds = (ms: number): string => `${Math.round(ms / 100) / 10} s`;

/** What an attempt has seen so far, for the words that describe its failure. */
export interface AttemptState {
  /** The server's URL. */
  readonly url: string;
  /** Whether the head of the answer had arrived. */
  readonly answering: boolean;
  readonly connectTimeoutMs: number;
  readonly silenceTimeoutMs: number;
}

/** The failure of a connection (an error that undici or the system threw). */
export function describeFailure(thrown: unknown, state: AttemptState): AttemptError {
  const { code, reason, message } = connectionFailure(thrown);
  const options = { cause: thrown };
  const server = `the server at ${state.url}`;
  if (code === 'UND_ERR_CONNECT_TIMEOUT') {
    const text = `${server} does not answer: no connection within ${seconds(state.connectTimeoutMs)}`;
    return new AttemptError('timeout', 'never', text, options);
  }
  if (code === 'UND_ERR_HEADERS_TIMEOUT') {
    const text = `${server} did not answer within ${seconds(state.silenceTimeoutMs)}`;
    return new AttemptError('timeout', 'never', text, options);
  }
  if (code === 'UND_ERR_BODY_TIMEOUT') {
    const text = `${server} fell silent for ${seconds(state.silenceTimeoutMs)} in the middle of its answer`;
    return new AttemptError('timeout', 'after-progress', text, options);
  }
  if (code.startsWith('HPE_')) {
    return new AttemptError('server', 'once', `${server} does not speak HTTP: ${message}`, options);
  }
  const text = state.answering
    ? `${server} broke off its answer: ${reason}`
    : `${server} does not answer: ${reason}`;
  return new AttemptError('unreachable', 'always', text, options);
}
