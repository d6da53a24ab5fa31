// HTTP with a Mega server: connections, slots, deadlines, repeats. What is asked and answered is decided above.
import { setTimeout as sleep } from 'node:timers/promises';
import { Pool } from 'undici';
import type { Dispatcher } from 'undici';
import { linkAbort } from '../../util/abort-link.ts';
import type { AbortLink } from '../../util/abort-link.ts';
import { backoffMs } from '../../util/backoff.ts';
import { contentLengthOf } from '../../util/http-headers.ts';
import type { AnswerHeaders } from '../../util/http-headers.ts';
import { createPriorityLimiter } from '../../util/priority-limiter.ts';
import type { PriorityLimiter } from '../../util/priority-limiter.ts';
import { readAtMost } from '../../util/read-at-most.ts';
import type { Awaitable } from '../../util/types.ts';
import { UpstreamError } from '../upstream-error.ts';
import type { UpstreamRequest } from '../upstream.ts';
import { AttemptError, badAnswer, describeFailure } from './attempt-error.ts';
import type { AttemptState } from './attempt-error.ts';
import { parseBaseUrl } from './base-url.ts';
import type { BaseUrl } from './base-url.ts';
import { statusError } from './http-answer.ts';

/** How to talk to a Mega server. Times are in milliseconds. */
export interface MegaHttpOptions {
  /** http or https URL; it may have a path and `user:password@`. */
  readonly baseUrl: string;
  readonly connectTimeoutMs: number;
  /** Deadline of a request for metadata with all its repeats, and of silence before and in any answer. */
  readonly requestTimeoutMs: number;
  /** Attempts of one request, the first included. */
  readonly maxAttempts: number;
  /** Requests, and so connections, at once. */
  readonly concurrency: number;
  readonly userAgent?: string;
  /** Told of repeats and of the server's oddities. */
  readonly log?: (message: string) => void;
  /** Told of the bytes of every chunk that arrives. */
  readonly onBytes?: (bytes: number) => void;
}

/** What went over the wire since the start. */
export interface MegaCounters {
  /** Requests sent, repeats included. */
  readonly requests: number;
  /** Bytes of answers' bodies. */
  readonly bytesReceived: number;
  /** Attempts that were repeated. */
  readonly repeats: number;
  /** Requests that failed for good; a 404 is an answer, no failure. */
  readonly failures: number;
}

/** One request. */
export interface MegaRequest {
  readonly method: 'GET' | 'HEAD' | 'POST';
  /** Path below the base URL and query, percent-encoded. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent as JSON. */
  readonly json?: unknown;
}

/** An answer whose body still streams. */
export interface MegaAnswer {
  readonly status: number;
  readonly headers: AnswerHeaders;
  /** The announced length of the body in bytes. */
  readonly contentLength: number | undefined;
  readonly body: AsyncIterable<Uint8Array>;
}

/** An answer that was read whole. */
export interface MegaReply {
  readonly status: number;
  readonly headers: AnswerHeaders;
  readonly body: Buffer;
}

/** A request whose answer is handled while it streams. */
export interface StreamCall<T> {
  /** The request of the next attempt: a repeat may ask for the rest only. It must not wait for a slot itself. */
  readonly request: () => Awaitable<MegaRequest>;
  /** Takes an answer. What it throws ends the call, but for an AttemptError, which may be repeated. */
  readonly handle: (answer: MegaAnswer) => Promise<T>;
  /** Statuses beside 2xx that `handle` takes. */
  readonly accept?: readonly number[];
  /** Whether the attempt that just failed brought the call so much further that failures count from zero again. */
  readonly progressed?: () => boolean;
}

/** Sends requests. Rejections are UpstreamErrors, or what a handler threw. */
export interface MegaHttp {
  /** Base URL without credentials or trailing slash, for messages. */
  readonly url: string;
  readonly counters: MegaCounters;
  /** Counts bytes that came from the server by another way. */
  countReceived(bytes: number): void;
  /** The most requests at once. */
  readonly concurrency: number;
  readonly log: (message: string) => void;
  /** Aborts when `close` is called. */
  readonly closing: AbortSignal;
  stream<T>(call: StreamCall<T>, request: UpstreamRequest | undefined): Promise<T>;
  /** Asks for metadata: the answer is read whole, within one deadline for all attempts. */
  read<T>(
    asked: MegaRequest,
    parse: (reply: MegaReply) => T,
    request: UpstreamRequest | undefined,
    accept?: readonly number[],
  ): Promise<T>;
  /** Ends what runs and what waits with kind `aborted`. */
  close(): Promise<void>;
}

/** No listing or tree is larger; what is, is an attack or an accident. */
const METADATA_MAX_BYTES = 512 * 1024 * 1024;

/** A server that asks for a longer wait than this gets no repeat. */
const RETRY_AFTER_MAX_MS = 30_000;

type Counters = { -readonly [Name in keyof MegaCounters]: MegaCounters[Name] };

interface Run {
  readonly request: UpstreamRequest | undefined;
  /** Total time for all attempts, counted from the first that got a slot. */
  readonly deadlineMs: number | undefined;
  deadlineAt: number;
}

/** Opens no connection yet. Throws UpstreamError (`refused`) when the base URL is none. */
export function createMegaHttp(options: MegaHttpOptions): MegaHttp {
  return new PooledMegaHttp(options);
}

class PooledMegaHttp implements MegaHttp {
  readonly url: string;
  readonly counters: Counters = { requests: 0, bytesReceived: 0, repeats: 0, failures: 0 };
  readonly concurrency: number;
  readonly log: (message: string) => void;
  readonly #options: MegaHttpOptions;
  readonly #base: BaseUrl;
  readonly #pool: Pool;
  readonly #limiter: PriorityLimiter;
  readonly #closing = new AbortController();
  readonly #headers: Readonly<Record<string, string>>;

  constructor(options: MegaHttpOptions) {
    const base = parseBaseUrl(options.baseUrl);
    this.#options = options;
    this.#base = base;
    this.url = base.url;
    this.concurrency = options.concurrency;
    this.log = options.log ?? ((): void => undefined);
    this.#pool = new Pool(base.origin, {
      connections: options.concurrency,
      connect: { timeout: options.connectTimeoutMs },
      headersTimeout: options.requestTimeoutMs,
      bodyTimeout: options.requestTimeoutMs,
    });
    this.#limiter = createPriorityLimiter(options.concurrency);
    this.#headers = {
      'user-agent': options.userAgent ?? 'scorpio',
      'accept-encoding': 'identity',
      ...(base.authorization === undefined ? {} : { authorization: base.authorization }),
    };
  }

  get closing(): AbortSignal {
    return this.#closing.signal;
  }

  countReceived(bytes: number): void {
    this.counters.bytesReceived += bytes;
  }

  stream<T>(call: StreamCall<T>, request: UpstreamRequest | undefined): Promise<T> {
    return this.#perform(call, { request, deadlineMs: undefined, deadlineAt: Infinity });
  }

  read<T>(
    asked: MegaRequest,
    parse: (reply: MegaReply) => T,
    request: UpstreamRequest | undefined,
    accept?: readonly number[],
  ): Promise<T> {
    const call: StreamCall<T> = {
      request: () => asked,
      async handle({ status, headers, body }) {
        const whole = await readAtMost(body, METADATA_MAX_BYTES);
        if (whole === undefined) throw badAnswer('it is larger than any listing');
        return parse({ status, headers, body: whole });
      },
      ...(accept === undefined ? {} : { accept }),
    };
    return this.#perform(call, {
      request,
      deadlineMs: this.#options.requestTimeoutMs,
      deadlineAt: Infinity,
    });
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#pool.destroy();
  }

  async #perform<T>(call: StreamCall<T>, run: Run): Promise<T> {
    let failures = 0;
    let attempts = 0;
    let wrong = 0;
    for (;;) {
      const asked = await call.request();
      try {
        attempts++;
        return await this.#attempt(call, asked, run);
      } catch (error) {
        if (!(error instanceof AttemptError)) throw error;
        const progressed = call.progressed?.() === true;
        failures = progressed ? 1 : failures + 1;
        if (error.repeat === 'once') wrong++;
        const isFinal =
          failures >= this.#options.maxAttempts ||
          wrong > 1 ||
          error.repeat === 'never' ||
          (error.repeat === 'after-progress' && !progressed) ||
          (error.retryAfterMs ?? 0) > RETRY_AFTER_MAX_MS;
        const waitMs = Math.max(error.retryAfterMs ?? 0, backoffMs(failures));
        if (isFinal || !(await this.#pause(waitMs, run, asked))) {
          if (error.kind !== 'not-found') this.counters.failures++;
          throw error.toUpstreamError(this.#targetOf(asked), attempts);
        }
        this.counters.repeats++;
        this.log(`${error.message} (${this.#targetOf(asked)}); repeating`);
      }
    }
  }

  async #attempt<T>(call: StreamCall<T>, asked: MegaRequest, run: Run): Promise<T> {
    const link = linkAbort(run.request?.signal, this.#closing.signal);
    let release: (() => void) | undefined;
    let timer: NodeJS.Timeout | undefined;
    try {
      release = await this.#limiter.acquire(run.request?.priority ?? 'demand', link.signal);
      if (run.deadlineMs !== undefined) {
        if (run.deadlineAt === Infinity) run.deadlineAt = performance.now() + run.deadlineMs;
        const text = `the server at ${this.#base.url} did not answer within ${Math.round(run.deadlineMs / 100) / 10} s`;
        const onDeadline = (): void => link.abort(new AttemptError('timeout', 'never', text));
        timer = setTimeout(onDeadline, Math.max(0, run.deadlineAt - performance.now()));
      }
      return await this.#exchange(call, asked, link.signal);
    } catch (error) {
      // An error of the handler (a full disk, say) says more than the signal that it may have caused.
      if (link.signal.aborted && (error instanceof AttemptError || error === link.signal.reason)) {
        throw this.#abortError(link, asked);
      }
      throw error;
    } finally {
      clearTimeout(timer);
      release?.();
      link.unlink();
    }
  }

  /** Waits before the next attempt, or tells that there is no time for one. */
  async #pause(ms: number, run: Run, asked: MegaRequest): Promise<boolean> {
    if (performance.now() + ms >= run.deadlineAt) return false;
    const link = linkAbort(run.request?.signal, this.#closing.signal);
    try {
      await sleep(ms, undefined, { signal: link.signal });
      return true;
    } catch {
      throw this.#abortError(link, asked);
    } finally {
      link.unlink();
    }
  }

  async #exchange<T>(call: StreamCall<T>, asked: MegaRequest, signal: AbortSignal): Promise<T> {
    const state = {
      url: this.#base.url,
      answering: false,
      connectTimeoutMs: this.#options.connectTimeoutMs,
      silenceTimeoutMs: this.#options.requestTimeoutMs,
    };
    const json = asked.json === undefined ? undefined : JSON.stringify(asked.json);
    this.counters.requests++;
    let response: Dispatcher.ResponseData;
    try {
      response = await this.#pool.request({
        method: asked.method,
        path: this.#base.prefix + asked.path,
        headers: {
          ...this.#headers,
          ...(json === undefined ? {} : { 'content-type': 'application/json' }),
          ...asked.headers,
        },
        body: json ?? null,
        signal,
        // undici would close the connection after every HEAD, in case a server sends a body with it.
        reset: false,
      });
    } catch (error) {
      throw describeFailure(error, state);
    }
    state.answering = true;
    const stream = response.body;
    // A body that is given up emits an error that nobody waits for.
    stream.on('error', () => undefined);
    try {
      const { statusCode: status } = response;
      const body = this.#counted(stream, state);
      if ((status < 200 || status > 299) && call.accept?.includes(status) !== true) {
        throw await statusError(status, response.headers, body, this.#base.url);
      }
      const contentLength = contentLengthOf(response.headers);
      return await call.handle({ status, headers: response.headers, contentLength, body });
    } finally {
      // Where the body was read to its end this does nothing; else it closes the connection, which cannot be reused.
      stream.destroy();
    }
  }

  async *#counted(body: AsyncIterable<Uint8Array>, state: AttemptState): AsyncGenerator<Uint8Array> {
    try {
      for await (const chunk of body) {
        this.counters.bytesReceived += chunk.byteLength;
        this.#options.onBytes?.(chunk.byteLength);
        yield chunk;
      }
    } catch (error) {
      throw describeFailure(error, state);
    }
  }

  /** The error of an attempt that a signal ended, whatever it looked like from inside. */
  #abortError(link: AbortLink, asked: MegaRequest): UpstreamError {
    const reason: unknown = link.signal.reason;
    if (reason instanceof AttemptError) {
      this.counters.failures++;
      return reason.toUpstreamError(this.#targetOf(asked), 1);
    }
    const why = this.#closing.signal.aborted
      ? 'the connection to the server is being closed'
      : 'the caller gave up';
    return new UpstreamError('aborted', `${why} (${this.#targetOf(asked)})`, { cause: reason });
  }

  #targetOf(asked: MegaRequest): string {
    return `${asked.method} ${this.url}${asked.path}`;
  }
}
