// The daemon's HTTP API, as commands use it.
import { CliError } from './cli-error.ts';
import { ExitCode } from './exit-codes.ts';
import type { Daemon } from './find-daemon.ts';
import { parseJson, requestJson, type HttpAnswer } from './request-json.ts';

const LIST_TIMEOUT_MS = 30_000;

/** A process that holds a mount. */
export interface HoldingProcess {
  readonly pid: number;
  readonly command: string;
  readonly use: string;
}

/** A mount, as the API describes it. */
export interface MountStatus {
  readonly mount_id: string;
  readonly job_id: string | null;
  readonly path: string;
  readonly cl: string | null;
  readonly mountpoint: string;
  readonly layers: { readonly upper: string; readonly cl: string | null };
  readonly state: string | { readonly Failed: { readonly reason: string } };
  /** How it is served, and what that cannot do; null while it is not. */
  readonly binding?: { readonly name: string; readonly limits: readonly { readonly name: string }[] } | null;
  /** Why the last request failed, for users. */
  readonly error?: string;
  readonly users?: readonly HoldingProcess[];
  /** What the user should know although it went well. */
  readonly warning?: string;
}

/** A request to mount. */
export interface MountRequest {
  readonly path: string;
  readonly job_id: string;
  readonly cl: string | null;
  readonly mountpoint?: string;
  readonly uid: number;
  readonly gid: number;
}

/** A daemon that can be asked. All methods throw TransportError, or Error with what the daemon says is wrong. */
export interface DaemonClient {
  list(): Promise<readonly MountStatus[]>;
  mount(request: MountRequest, timeoutMs: number): Promise<{ mount_id: string; mountpoint: string }>;
  /** Removes what was written in a job that is not mounted; false when there is none. */
  purgeJob(jobId: string, timeoutMs: number): Promise<boolean>;
  /** The final status; undefined when there is no such mount. */
  unmount(
    mountId: string,
    options: { lazy: boolean; purge: boolean; timeoutMs: number },
  ): Promise<MountStatus | undefined>;
}

/** An answer that says what is wrong. */
class AnswerError extends Error {
  override readonly name = 'AnswerError';
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/** What an answer says is wrong; its `status` is that of the answer. */
export function failureOf({ status, text }: HttpAnswer): Error & { readonly status: number } {
  const body = parseJson(text) as { error?: unknown } | null | undefined;
  const said = typeof body?.error === 'string' ? body.error : text.trim();
  return new AnswerError(status, said === '' ? `the daemon answered with status ${status}` : said);
}

function bodyOf<T>(answer: HttpAnswer): T {
  if (answer.status < 200 || answer.status > 299) throw failureOf(answer);
  const body = parseJson(answer.text);
  if (typeof body !== 'object' || body === null) {
    throw new CliError('the daemon did not answer in JSON: is it a scorpio daemon?', ExitCode.internal);
  }
  return body as T;
}

/** A client of `daemon`. */
export function createDaemonClient(daemon: Daemon): DaemonClient {
  const mounts = `${daemon.url}/antares/mounts`;
  return {
    async list() {
      const answer = await requestJson({ method: 'GET', url: mounts, timeoutMs: LIST_TIMEOUT_MS });
      return bodyOf<{ mounts: readonly MountStatus[] }>(answer).mounts;
    },
    async mount(body, timeoutMs) {
      return bodyOf(await requestJson({ method: 'POST', url: mounts, body, timeoutMs }));
    },
    async purgeJob(jobId, timeoutMs) {
      const url = `${mounts}/by-job/${encodeURIComponent(jobId)}?purge=true`;
      const answer = await requestJson({ method: 'DELETE', url, timeoutMs });
      if (answer.status === 404) return false;
      bodyOf<MountStatus>(answer);
      return true;
    },
    async unmount(mountId, { lazy, purge, timeoutMs }) {
      const wishes = [...(lazy ? ['lazy=true'] : []), ...(purge ? ['purge=true'] : [])];
      const query = wishes.length === 0 ? '' : `?${wishes.join('&')}`;
      const url = `${mounts}/${encodeURIComponent(mountId)}${query}`;
      const answer = await requestJson({ method: 'DELETE', url, timeoutMs });
      return answer.status === 404 ? undefined : bodyOf<MountStatus>(answer);
    },
  };
}
