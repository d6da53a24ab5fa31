// Reading the head and the small bodies of HTTP answers.
import { AttemptError } from './attempt-error.ts';

/** Headers as undici gives them: names in lower case. */
export type AnswerHeaders = Readonly<Record<string, string | string[] | undefined>>;

const DETAIL_MAX_BYTES = 16 * 1024;
const DETAIL_MAX_CHARACTERS = 300;

/** The value of a header; the first one where there are several. */
export function headerOf(headers: AnswerHeaders, name: string): string | undefined {
  const value = headers[name];
  return Array.isArray(value) ? value[0] : value;
}

/** The announced length of a body in bytes. */
export function contentLengthOf(headers: AnswerHeaders): number | undefined {
  const value = headerOf(headers, 'content-length');
  return value !== undefined && /^\d{1,15}$/.test(value) ? Number(value) : undefined;
}

/** Milliseconds that a Retry-After header asks for, in either of its forms. */
export function retryAfterMs(headers: AnswerHeaders, now: number = Date.now()): number | undefined {
  const value = headerOf(headers, 'retry-after');
  if (value === undefined) return undefined;
  if (/^\d{1,9}$/.test(value)) return Number(value) * 1000;
  const date = Date.parse(value);
  return Number.isNaN(date) ? undefined : Math.max(0, date - now);
}

/** A whole body, or undefined when it has more than `limit` bytes. */
export async function readAtMost(
  body: AsyncIterable<Uint8Array>,
  limit: number,
): Promise<Buffer | undefined> {
  const chunks: Uint8Array[] = [];
  let total = 0;
  for await (const chunk of body) {
    total += chunk.byteLength;
    if (total > limit) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** What the body of an error says: Mega's message, else its first line of text. */
function detailOf(body: Buffer, headers: AnswerHeaders): string {
  const text = body.toString('utf8').trim();
  try {
    const { err_message: message } = JSON.parse(text) as { err_message?: unknown };
    if (typeof message === 'string') return message.slice(0, DETAIL_MAX_CHARACTERS);
  } catch {
    // Not JSON: text from a proxy, or from the router.
  }
  if (!(headerOf(headers, 'content-type') ?? '').startsWith('text/plain')) return '';
  return (text.split('\n', 1)[0] ?? '').slice(0, DETAIL_MAX_CHARACTERS);
}

/** The failure that an HTTP status stands for. Reads the body for its message. */
export async function statusError(
  status: number,
  headers: AnswerHeaders,
  body: AsyncIterable<Uint8Array>,
  url: string,
): Promise<AttemptError> {
  const server = `the server at ${url}`;
  if (status >= 300 && status < 400) {
    const to = headerOf(headers, 'location') ?? 'elsewhere';
    return new AttemptError('refused', 'never', `${server} redirects to ${to}; set base_url to where it is`, {
      status,
    });
  }
  const whole = await readAtMost(body, DETAIL_MAX_BYTES);
  const detail = whole === undefined ? '' : detailOf(whole, headers);
  const text = `${server} answered ${status}${detail === '' ? '' : `: ${detail}`}`;
  if (status === 404) return new AttemptError('not-found', 'never', text, { status });
  if (status === 429 || status === 408 || status >= 500) {
    return new AttemptError('server', 'always', text, { status, retryAfterMs: retryAfterMs(headers) });
  }
  return new AttemptError('refused', 'never', text, { status });
}
