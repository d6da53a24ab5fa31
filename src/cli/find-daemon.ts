// Finds the daemon that serves our store.
import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { parseAddress } from '../config/check-value.ts';
import type { Config } from '../config/config.ts';
import { CliError } from './cli-error.ts';
import { ExitCode } from './exit-codes.ts';
import { parseJson, requestJson, TransportError } from './request-json.ts';

const HEALTH_TIMEOUT_MS = 3000;

/** A daemon that answers. */
export interface Daemon {
  /** `http://host:port`, without a slash at the end. */
  readonly url: string;
  readonly pid: number | undefined;
  /** The Mega server that it asks, where it says so. */
  readonly server?: string;
}

/** The URL to reach a daemon at that listens on `address`: one that listens everywhere is asked over loopback. */
export function urlOfAddress(address: string): string {
  const parsed = parseAddress(address);
  if (parsed === undefined) return `http://${address}`;
  const host = { '0.0.0.0': '127.0.0.1', '::': '::1' }[parsed.host] ?? parsed.host;
  return `http://${host.includes(':') ? `[${host}]` : host}:${parsed.port}`;
}

/** Whether a process exists, whoever owns it. */
function isProcessAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

async function readDaemonFile(config: Config): Promise<{ pid: number; address: string } | undefined> {
  const text = await readFile(join(config.storePath, 'daemon.json'), 'utf8').catch(() => '');
  const value = parseJson(text) as { pid?: unknown; address?: unknown } | null | undefined;
  if (typeof value?.pid !== 'number' || typeof value.address !== 'string') return undefined;
  return { pid: value.pid, address: value.address };
}

/** The body of /health, or undefined when what answers there is not a daemon. */
async function askHealth(url: string): Promise<Record<string, unknown> | undefined> {
  const answer = await requestJson({ method: 'GET', url: `${url}/health`, timeoutMs: HEALTH_TIMEOUT_MS });
  const body = parseJson(answer.text);
  return answer.status === 200 && typeof body === 'object' && body !== null ? { ...body } : undefined;
}

/** The daemon that `daemon.json` names, if it lives and answers. Throws CliError when it lives and does not answer. */
export async function findRecordedDaemon(config: Config): Promise<Daemon | undefined> {
  const recorded = await readDaemonFile(config);
  if (!recorded || !isProcessAlive(recorded.pid)) return undefined;
  const url = urlOfAddress(recorded.address);
  try {
    const health = await askHealth(url);
    return health && servesStore(health, config, true)
      ? { url, pid: recorded.pid, ...serverOf(health) }
      : undefined;
  } catch (error) {
    // Anything but silence: it is on its way out, or the number belongs to another process by now.
    if (error instanceof TransportError && error.reason !== 'timeout') return undefined;
    throw new CliError(
      `the daemon (pid ${recorded.pid}) does not answer: ${(error as Error).message}; ` +
        `see ${join(config.storePath, 'daemon.log')}, or end it with: kill ${recorded.pid}`,
      ExitCode.internal,
      { cause: error },
    );
  }
}

/**
 * The daemon of this store: the recorded one, else what listens at `http_addr` if it says that it serves this store.
 * Throws CliError when the recorded one lives and does not answer.
 */
export async function findDaemon(config: Config): Promise<Daemon | undefined> {
  const recorded = await findRecordedDaemon(config);
  if (recorded) return recorded;
  const url = urlOfAddress(config.httpAddr);
  const health = await askHealth(url).catch(() => undefined);
  return health && servesStore(health, config, false)
    ? { url, pid: undefined, ...serverOf(health) }
    : undefined;
}

/** As `findDaemon`; throws CliError where there is none. */
export async function requireDaemon(config: Config): Promise<Daemon> {
  const daemon = await findDaemon(config);
  if (daemon !== undefined) return daemon;
  throw new CliError('no daemon is running; mount first, or start one: scorpio serve', ExitCode.internal);
}

function serverOf({ server }: Record<string, unknown>): { server?: string } {
  return typeof server === 'string' ? { server } : {};
}

function servesStore(health: Record<string, unknown>, config: Config, whenSilent: boolean): boolean {
  const store = health['store_path'];
  return typeof store === 'string' ? resolve(store) === config.storePath : whenSilent;
}
