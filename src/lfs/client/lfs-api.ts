// Questions to the LFS API: JSON both ways, with credentials, repeats and one deadline for each attempt.
import { linkAbort } from '../../util/abort-link.ts';
import { headerOf } from '../../util/http-headers.ts';
import type { AnswerHeaders } from '../../util/http-headers.ts';
import { readAtMost } from '../../util/read-at-most.ts';
import { LfsError } from '../lfs-error.ts';
import type { Credentials } from './credentials.ts';
import { abortedError, connectionError, detailOf, statusFailure, wrongAnswer } from './failures.ts';
import { whatIsAsked } from './lfs-http.ts';
import type { HttpAnswer, HttpAsked, LfsHttp } from './lfs-http.ts';
import { retrying } from './retrying.ts';

/** The media type of the API. */
export const LFS_MEDIA_TYPE = 'application/vnd.git-lfs+json';

/** No answer about a hundred objects, or a page of locks, is larger. */
const ANSWER_MAX_BYTES = 16 * 1024 * 1024;

/** A question. */
export interface ApiAsked {
  readonly method: 'GET' | 'POST';
  readonly url: URL;
  readonly json?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

/** An answer, read whole, of any status. */
export interface ApiReply {
  readonly status: number;
  readonly headers: AnswerHeaders;
  readonly text: string;
  /** Milliseconds since 1970, by the local clock: when it was asked, since what expires counts from before the answer. */
  readonly askedAtMs: number;
}

/** How often, and in what time. */
export interface ApiLimits {
  readonly maxAttempts: number;
  /** Deadline of one attempt, its answer included. Milliseconds. */
  readonly attemptTimeoutMs: number;
}

/** Asks questions. Rejections are LfsErrors. */
export interface LfsApi {
  /**
   * Asks until there is an answer that another attempt would not change, and parses it: of a status from 200 to 299, or
   * one of `accept`; others reject. What `parse` throws as a wrong answer is asked for once more. It is told how many
   * attempts failed before, since one of those may have done what was asked.
   */
  ask<T>(
    asked: ApiAsked,
    accept: readonly number[],
    parse: (reply: ApiReply, failures: number) => T,
    signal: AbortSignal | undefined,
  ): Promise<T>;
  /** Sends something else, with credentials, asking for them once after a 401; one attempt. */
  send(asked: HttpAsked, signal: AbortSignal): Promise<HttpAnswer>;
}

/** The JSON of an answer, or undefined where it is none. */
export function jsonOf(reply: ApiReply): unknown {
  try {
    return JSON.parse(reply.text) as unknown;
  } catch {
    return undefined;
  }
}

/** Whether a value of a JSON text is an object. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The failure that a reply's status stands for. */
export function replyFailure(reply: ApiReply, asked: Pick<HttpAsked, 'method' | 'url'>): LfsError {
  return statusFailure(reply.status, reply.headers, detailOf(reply.text, reply.headers), whatIsAsked(asked));
}

/** Whether an answer is of a kind that a web server gives to what it does not know: a page, say. */
export function isPage(reply: ApiReply): boolean {
  return /\bhtml\b/u.test(headerOf(reply.headers, 'content-type') ?? '');
}

/** A failure with the advice of what to do about missing credentials. */
export function withAdvice(error: LfsError, advice: string): LfsError {
  return new LfsError(error.kind, `${error.message}; ${advice}`, { cause: error, status: error.status });
}

/** Asks nothing yet. */
export function createLfsApi(
  http: LfsHttp,
  credentials: Credentials,
  limits: ApiLimits,
  log: (message: string) => void,
): LfsApi {
  async function send(asked: HttpAsked, signal: AbortSignal): Promise<HttpAnswer> {
    for (let attempt = 1; ; attempt++) {
      const own = { ...(await credentials.headers(asked.url)), ...asked.ownHeaders };
      const answer = await http.send({ ...asked, ownHeaders: own }, signal);
      // A refusal by somebody else, after a redirect, says nothing about the credentials.
      const isFromThere = answer.url.origin === asked.url.origin;
      if (answer.status !== 401 || !isFromThere) {
        if (answer.status < 400) credentials.accepted(asked.url, own);
        return answer;
      }
      // Told in any case: a password that a helper gave may be the wrong one.
      const isWorthMore = await credentials.refused(asked.url, own);
      if (attempt > 1 || !isWorthMore) return answer;
      answer.body.destroy();
    }
  }

  async function exchange(asked: HttpAsked, signal: AbortSignal): Promise<ApiReply> {
    const what = whatIsAsked(asked);
    const link = linkAbort(signal);
    const late = new LfsError(
      'timeout',
      `the LFS server did not answer within ${Math.round(limits.attemptTimeoutMs / 100) / 10} s (${what})`,
    );
    const timer = setTimeout(() => link.abort(late), limits.attemptTimeoutMs);
    try {
      const askedAtMs = Date.now();
      const { status, headers, body } = await send(asked, link.signal);
      try {
        const whole = await readAtMost(body, ANSWER_MAX_BYTES);
        if (whole === undefined) throw wrongAnswer('it is larger than any answer', what);
        return { status, headers, text: whole.toString('utf8'), askedAtMs };
      } catch (error) {
        if (link.signal.aborted) throw abortedError(link.signal, what);
        throw connectionError(error, what, http.limits);
      } finally {
        body.destroy();
      }
    } finally {
      clearTimeout(timer);
      link.unlink();
    }
  }

  return {
    send,
    async ask(asked, accept, parse, signal) {
      const json = asked.json === undefined ? undefined : JSON.stringify(asked.json);
      const request: HttpAsked = {
        method: asked.method,
        url: asked.url,
        headers: {
          accept: LFS_MEDIA_TYPE,
          ...(json === undefined ? {} : { 'content-type': LFS_MEDIA_TYPE }),
        },
        ownHeaders: asked.headers ?? {},
        ...(json === undefined ? {} : { body: () => json }),
      };
      const what = whatIsAsked(request);
      const link = linkAbort(signal, http.closing);
      try {
        return await retrying(
          async (failures) => {
            const reply = await exchange(request, link.signal);
            if ((reply.status >= 200 && reply.status < 300) || accept.includes(reply.status)) {
              return parse(reply, failures);
            }
            const failure = replyFailure(reply, request);
            throw failure.status === 401 ? withAdvice(failure, credentials.advice(request.url)) : failure;
          },
          { maxAttempts: limits.maxAttempts, signal: link.signal, what, log },
        );
      } finally {
        link.unlink();
      }
    },
  };
}
