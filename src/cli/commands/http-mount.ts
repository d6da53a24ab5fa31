// `scorpio http-mount`: one plain request to the Antares API, whatever server it is.
import { STATUS_CODES } from 'node:http';
import { createContext, type GlobalOptions } from '../cli-context.ts';
import { CliError } from '../cli-error.ts';
import { ExitCode } from '../exit-codes.ts';
import { findDaemon, urlOfAddress } from '../find-daemon.ts';
import { printJson } from '../output.ts';
import { requestJson, type HttpAnswer } from '../request-json.ts';

const TIMEOUT_MS = 120_000;

/** Options of the command. */
export interface HttpMountOptions {
  readonly jobId?: string;
  readonly cl?: string;
  readonly endpoint?: string;
}

async function send(endpoint: string, body: unknown): Promise<HttpAnswer> {
  const url = `${endpoint.replace(/\/+$/u, '')}/mounts`;
  try {
    return await requestJson({ method: 'POST', url, body, timeoutMs: TIMEOUT_MS });
  } catch (error) {
    throw new CliError(`http mount request failed: ${(error as Error).message}`, ExitCode.internal, {
      cause: error,
    });
  }
}

/** Sends the request and prints the answer. Throws CliError. */
export async function runHttpMount(
  globals: GlobalOptions,
  path: string,
  options: HttpMountOptions,
): Promise<number> {
  const { config } = await createContext(globals);
  const endpoint =
    options.endpoint ?? `${(await findDaemon(config))?.url ?? urlOfAddress(config.httpAddr)}/antares`;
  const { status, text } = await send(endpoint, {
    cl: options.cl ?? null,
    job_id: options.jobId ?? null,
    path,
  });
  if (status < 200 || status > 299) {
    const phrase = STATUS_CODES[status];
    throw new CliError(
      `http mount failed: status=${status}${phrase === undefined ? '' : ` ${phrase}`} body=${text}`,
      ExitCode.mount,
    );
  }
  try {
    printJson(JSON.parse(text));
  } catch (error) {
    throw new CliError(`failed to parse response json: ${(error as Error).message}`, ExitCode.internal, {
      cause: error,
    });
  }
  return ExitCode.ok;
}
