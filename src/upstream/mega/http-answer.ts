// What the answer of a failed request says.
import { headerOf, retryAfterMs } from '../../util/http-headers.ts';
import type { AnswerHeaders } from '../../util/http-headers.ts';
import { readAtMost } from '../../util/read-at-most.ts';
import { AttemptError } from './attempt-error.ts';

const DETAIL_MAX_BYTES = 16 * 1024;
const DETAIL_MAX_CHARACTERS = 300;

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
