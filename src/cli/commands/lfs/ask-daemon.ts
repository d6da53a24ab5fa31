// Requests of the commands about large files, and what is wrong in words.
import { CliError } from '../../cli-error.ts';
import { failureOf } from '../../daemon-client.ts';
import { ExitCode } from '../../exit-codes.ts';
import { parseJson, requestJson, type HttpAnswer, type JsonRequest } from '../../request-json.ts';

/** The LFS server may be slow, and is asked again and again before the daemon gives up. */
const ANSWER_TIMEOUT_MS = 300_000;

/** The failure that an answer tells of. */
export function lfsFailure(answer: HttpAnswer): CliError {
  if (answer.status === 404 && answer.text === '') {
    return new CliError(
      'error: the daemon knows no large files: it is of an earlier version; end it, and mount again',
      ExitCode.internal,
    );
  }
  if (answer.status === 413) {
    return new CliError('error: too many paths for one command; name their folder', ExitCode.config);
  }
  const { message, status } = failureOf(answer);
  return new CliError(`error: ${message}`, exitCodeOf(status));
}

function exitCodeOf(status: number): number {
  if (status === 404) return ExitCode.mount;
  return status >= 400 && status < 500 && status !== 409 && status !== 403
    ? ExitCode.config
    : ExitCode.internal;
}

/** Asks, and takes any answer in JSON. Throws CliError for one that is not of the given statuses. */
export async function askDaemon<T>(
  request: Omit<JsonRequest, 'timeoutMs'> & { readonly timeoutMs?: number },
  accepted: readonly number[] = [200, 201, 202],
): Promise<T> {
  const answer = await requestJson({ timeoutMs: ANSWER_TIMEOUT_MS, ...request });
  if (!accepted.includes(answer.status)) throw lfsFailure(answer);
  return parseJson(answer.text) as T;
}
