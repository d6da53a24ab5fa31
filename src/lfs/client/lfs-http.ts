// HTTP with LFS servers and with the stores that they point to: connections, silence, redirects.
import type { Readable } from 'node:stream';
import { Agent } from 'undici';
import type { Dispatcher } from 'undici';
import { headerOf } from '../../util/http-headers.ts';
import type { AnswerHeaders } from '../../util/http-headers.ts';
import { LfsError } from '../lfs-error.ts';
import { abortedError, connectionError, shownUrl } from './failures.ts';
import type { TimeLimits } from './failures.ts';

const MAX_REDIRECTS = 5;

/** Statuses that send a request elsewhere. 303 would turn a POST into a GET, which makes no sense here. */
const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 307, 308]);

/** One request. Names of headers are in lower case. */
export interface HttpAsked {
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH';
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  /** Headers for the first host alone: they do not follow a redirect to another one. */
  readonly ownHeaders?: Readonly<Record<string, string>>;
  /** Made anew for each host that is asked. A stream needs a content-length among the headers. */
  readonly body?: () => string | AsyncIterable<Uint8Array>;
}

/** The body of an answer. */
export type HttpBody = Dispatcher.ResponseData['body'];

/** An answer of any status but a redirect; whoever gets it reads the body to its end or destroys it. */
export interface HttpAnswer {
  readonly status: number;
  readonly headers: AnswerHeaders;
  readonly body: HttpBody;
  /** Where the answer came from in the end. */
  readonly url: URL;
}

/** Sends requests. */
export interface LfsHttp {
  readonly limits: TimeLimits;
  /** Aborts when `close` is called. */
  readonly closing: AbortSignal;
  /** One attempt, redirects followed. Rejects with LfsError where no answer came. */
  send(asked: HttpAsked, signal: AbortSignal): Promise<HttpAnswer>;
  close(): Promise<void>;
}

/** What `asked` is, for messages. */
export function whatIsAsked(asked: Pick<HttpAsked, 'method' | 'url'>): string {
  return `${asked.method} ${shownUrl(asked.url)}`;
}

function redirectTarget(answer: HttpAnswer, what: string): URL {
  const location = headerOf(answer.headers, 'location');
  if (location === undefined || !URL.canParse(location, answer.url.href)) {
    throw new LfsError('server', `the LFS server redirects to nowhere (${what})`, { status: answer.status });
  }
  const target = new URL(location, answer.url);
  if (target.protocol !== 'https:' && (target.protocol !== 'http:' || answer.url.protocol === 'https:')) {
    throw new LfsError(
      'refused',
      `the LFS server redirects from ${answer.url.protocol}// to ${target.protocol}//, which is not followed (${what})`,
      { status: answer.status },
    );
  }
  // Credentials in a redirect are not ours.
  target.username = '';
  target.password = '';
  return target;
}

/** Opens no connection yet. */
export function createLfsHttp(options: TimeLimits & { readonly userAgent: string }): LfsHttp {
  const closing = new AbortController();
  // No limit of connections: a download that its reader is slow to take must not keep a question from being asked.
  const agent = new Agent({
    connect: { timeout: options.connectTimeoutMs },
    headersTimeout: options.silenceTimeoutMs,
    bodyTimeout: options.silenceTimeoutMs,
  });

  async function sendOnce(asked: HttpAsked, signal: AbortSignal): Promise<HttpAnswer> {
    const { url } = asked;
    try {
      const response = await agent.request({
        origin: url.origin,
        path: url.pathname + url.search,
        method: asked.method,
        headers: {
          'user-agent': options.userAgent,
          'accept-encoding': 'identity',
          ...asked.headers,
          ...asked.ownHeaders,
        },
        body: asBody(asked.body?.()),
        signal,
      });
      // A body that is given up emits an error that nobody waits for.
      response.body.on('error', () => undefined);
      return { status: response.statusCode, headers: response.headers, body: response.body, url };
    } catch (error) {
      if (signal.aborted) throw abortedError(signal, whatIsAsked(asked));
      throw connectionError(error, whatIsAsked(asked), options);
    }
  }

  return {
    limits: options,
    closing: closing.signal,
    async send(asked, signal) {
      let now = asked;
      for (let redirects = 0; ; redirects++) {
        const answer = await sendOnce(now, signal);
        if (!REDIRECTS.has(answer.status)) return answer;
        answer.body.destroy();
        const what = whatIsAsked(asked);
        if (redirects === MAX_REDIRECTS) {
          throw new LfsError('server', `the LFS server redirects more than ${MAX_REDIRECTS} times (${what})`);
        }
        const url = redirectTarget(answer, what);
        const isSameHost = url.origin === now.url.origin;
        now = { ...now, url, ownHeaders: isSameHost ? (now.ownHeaders ?? {}) : {} };
      }
    },
    async close() {
      closing.abort(new LfsError('aborted', 'the connection to the LFS server is being closed'));
      await agent.destroy();
    },
  };
}

function asBody(body: string | AsyncIterable<Uint8Array> | undefined): string | Readable | null {
  // undici takes any async iterable; its types name only Node's streams.
  return (body ?? null) as string | Readable | null;
}
