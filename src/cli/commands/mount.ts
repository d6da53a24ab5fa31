// `scorpio mount`: asks the daemon to mount, and starts one when there is none.
import { realpath } from 'node:fs/promises';
import { resolve } from 'node:path';
import { withoutCredentials } from '../../util/without-credentials.ts';
import { createContext, type GlobalOptions } from '../cli-context.ts';
import { CliError } from '../cli-error.ts';
import { createDaemonClient, type DaemonClient, type MountRequest } from '../daemon-client.ts';
import { ExitCode } from '../exit-codes.ts';
import { type Daemon, findDaemon } from '../find-daemon.ts';
import { print, printJson } from '../output.ts';
import { TransportError } from '../request-json.ts';
import { startDaemon } from '../start-daemon.ts';

/** Options of the command. */
export interface MountOptions {
  readonly path?: string;
  readonly cl?: string;
  readonly mountpoint?: string;
  readonly json?: boolean;
  /** Seconds. */
  readonly timeout: number;
}

/** A path of the monorepo with one slash at the start and none at the end. */
function normalizePath(path: string): string {
  return `/${path.split('/').filter(Boolean).join('/')}`;
}

/** What to mount and under which id: `target` is a path of the monorepo when it starts with a slash, else a job id. */
export function resolveTarget(target: string, path: string | undefined): { jobId: string; path: string } {
  if (target.trim() === '') {
    throw new CliError('error: the path or job id is empty; / is the whole repository', ExitCode.config);
  }
  if (!target.startsWith('/')) return { jobId: target, path: normalizePath(path ?? '/') };
  if (path !== undefined) {
    throw new CliError(
      `error: ${target} is a path already; with --path the first argument is a job id, as in: scorpio mount my-job --path ${path}`,
      ExitCode.config,
    );
  }
  const normal = normalizePath(target);
  return { jobId: normal === '/' ? 'root' : normal.slice(1).replaceAll('/', '-'), path: normal };
}

/** Who the files belong to: the user, also behind sudo. */
export function resolveOwner(env: NodeJS.ProcessEnv, uid: number, gid: number): { uid: number; gid: number } {
  const behind = (name: string, own: number): number =>
    uid === 0 && /^\d+$/u.test(env[name] ?? '') ? Number(env[name]) : own;
  return { uid: behind('SUDO_UID', uid), gid: behind('SUDO_GID', gid) };
}

async function isSameFolder(a: string, b: string): Promise<boolean> {
  const [left, right] = await Promise.all([a, b].map((path) => realpath(path).catch(() => resolve(path))));
  return left === right;
}

async function sendRequest(
  client: DaemonClient,
  request: MountRequest,
  timeoutMs: number,
): Promise<{ mount_id: string; mountpoint: string }> {
  const result = await client.mount(request, timeoutMs);
  const { mountpoint: wanted, job_id: job, path } = request;
  // A request for a job that is mounted already is answered with that mount, wherever it is.
  if (wanted !== undefined && !(await isSameFolder(wanted, result.mountpoint))) {
    throw new Error(
      `it is mounted at ${result.mountpoint} already; for a second mount choose another job id: ` +
        `scorpio mount ${job}-2 ${wanted} --path ${path}`,
    );
  }
  return result;
}

/** A daemon keeps the server that it was started with: files of another one than is configured now would surprise. */
function requireSameServer({ server, pid }: Daemon, baseUrl: string): void {
  const wanted = withoutCredentials(baseUrl);
  if (server === undefined || server === wanted) return;
  const stop = pid === undefined ? 'stop it' : `stop it with: kill ${pid}`;
  throw new CliError(
    `the daemon that runs asks the server ${server}, and base_url is ${wanted} now; ${stop} - its mounts come back with the next mount`,
    ExitCode.mount,
  );
}

/** Mounts. Throws CliError with exit code 3 when that fails. */
export async function runMount(
  globals: GlobalOptions,
  target: string,
  mountpoint: string | undefined,
  options: MountOptions,
): Promise<number> {
  const { jobId, path } = resolveTarget(target, options.path);
  const folder = options.mountpoint ?? mountpoint;
  const context = await createContext(globals);
  const daemon = (await findDaemon(context.config)) ?? (await startDaemon(context));
  requireSameServer(daemon, context.config.baseUrl);
  const request: MountRequest = {
    path,
    job_id: jobId,
    cl: options.cl ?? null,
    ...(folder === undefined ? {} : { mountpoint: resolve(folder) }),
    ...resolveOwner(process.env, process.getuid?.() ?? 0, process.getgid?.() ?? 0),
  };
  try {
    const result = await sendRequest(createDaemonClient(daemon), request, options.timeout * 1000);
    if (options.json) printJson({ ...result, job_id: jobId, path, cl: request.cl });
    else print(`mounted job ${jobId} at ${result.mountpoint}`);
    return ExitCode.ok;
  } catch (error) {
    if (error instanceof CliError) throw error;
    // The request is under way, and other clients may be waiting for the same mount.
    const isLate = error instanceof TransportError && error.reason === 'timeout';
    const hint = isLate ? '; the daemon goes on trying, to be seen with: scorpio list' : '';
    throw new CliError(`failed to mount job ${jobId}: ${(error as Error).message}${hint}`, ExitCode.mount, {
      cause: error,
    });
  }
}
