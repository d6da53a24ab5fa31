// Starts a daemon in the background, and waits until it answers.
import { spawn, type ChildProcess } from 'node:child_process';
import { open, readFile, stat } from 'node:fs/promises';
import { createConnection } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseAddress } from '../config/check-value.ts';
import { prepareFolders } from '../config/prepare-folders.ts';
import { configFailure, type CliContext } from './cli-context.ts';
import { CliError } from './cli-error.ts';
import { ExitCode } from './exit-codes.ts';
import { findRecordedDaemon, type Daemon } from './find-daemon.ts';
import { note } from './output.ts';

const START_TIMEOUT_MS = 15_000;
/** Looking costs one small file; a daemon is there after some hundred milliseconds. */
const POLL_INTERVAL_MS = 10;
/** Another `mount` may have started a daemon at the same time: it wins, ours ends, and this is how long we look for it. */
const RIVAL_TIMEOUT_MS = 5000;
const PROBE_TIMEOUT_MS = 1000;
const TAIL_LINES = 15;
const LEAST_HEAP_MB = 256;

const LAUNCHER = fileURLToPath(new URL('../../bin/scorpio.js', import.meta.url));

async function isPortTaken(address: string): Promise<boolean> {
  const parsed = parseAddress(address);
  if (parsed === undefined) return false;
  return new Promise((done) => {
    const socket = createConnection({ ...parsed, timeout: PROBE_TIMEOUT_MS });
    const finish = (taken: boolean) => (): void => {
      socket.destroy();
      done(taken);
    };
    socket.once('connect', finish(true)).once('error', finish(false)).once('timeout', finish(true));
  });
}

async function daemonArguments({ globals, loaded, config }: CliContext): Promise<string[]> {
  const options: [string, string | undefined][] = [
    ['--config-path', loaded.file],
    ['--http-addr', globals.httpAddr],
    ['--log-level', globals.logLevel],
    ['--upper-root', globals.upperRoot],
    ['--cl-root', globals.clRoot],
    ['--mount-root', globals.mountRoot],
    ['--state-file', globals.stateFile],
  ];
  const source = loaded.settings.find((setting) => setting.key.flat === 'http_addr')?.source;
  // Somebody else's daemon has the usual port. Nobody asked for that port, so ours need not have it.
  if (source === 'default' && (await isPortTaken(config.httpAddr)))
    options[1] = ['--http-addr', '127.0.0.1:0'];
  return options.flatMap(([name, value]) => (value === undefined ? [] : [name, value]));
}

async function tailOf(path: string, from: number): Promise<string> {
  const text = await readFile(path).catch(() => Buffer.alloc(0));
  const lines = text.subarray(from).toString().trimEnd().split('\n').slice(-TAIL_LINES);
  return lines.map((line) => `  ${line}`).join('\n');
}

async function sizeOf(path: string): Promise<number> {
  return stat(path).then(
    (stats) => stats.size,
    () => 0,
  );
}

/** Whether a process holds a lock on a file. It is not tried: that could keep out a daemon that starts just now. */
async function isLocked(path: string): Promise<boolean> {
  const [locks, file] = await Promise.all([
    readFile('/proc/locks', 'utf8').catch(() => ''),
    stat(path).catch(() => undefined),
  ]);
  return file !== undefined && locks.includes(`:${file.ino} `);
}

/**
 * Limit of Node's heap. The budget is kept long before; the limit is above what it leaves to the heap, since reaching it
 * ends the process.
 */
function heapMegabytes(budget: number): number {
  return Math.max(LEAST_HEAP_MB, Math.round(budget / 2 ** 20));
}

/**
 * What Node's heap for young objects begins with. With the usual size, the buffers of a transfer are mostly collected by
 * marking all of the heap again and again, which takes as much processor time as the transfer.
 */
const YOUNG_HEAP_MB = 8;

async function spawnDaemon(context: CliContext, logFile: string): Promise<ChildProcess> {
  const log = await open(logFile, 'a', 0o600);
  try {
    const child = spawn(
      process.execPath,
      [
        `--max-old-space-size=${heapMegabytes(context.config.memoryBudget)}`,
        `--min-semi-space-size=${YOUNG_HEAP_MB}`,
        LAUNCHER,
        'serve',
        '--background',
        ...(await daemonArguments(context)),
      ],
      {
        detached: true,
        stdio: ['ignore', log.fd, log.fd],
      },
    );
    child.on('error', () => undefined);
    child.unref();
    return child;
  } finally {
    await log.close();
  }
}

async function waitForDaemon(
  context: CliContext,
  deadline: number,
  isOver: () => boolean | Promise<boolean>,
): Promise<Daemon | undefined> {
  while (Date.now() < deadline && !(await isOver())) {
    const daemon = await findRecordedDaemon(context.config);
    if (daemon) return daemon;
    await sleep(POLL_INTERVAL_MS);
  }
  return undefined;
}

/**
 * Starts `scorpio serve` with the same configuration, in a session of its own, writing to `<store_path>/daemon.log`,
 * and resolves when it answers. Throws CliError with the end of that log when it does not within 15 s.
 */
export async function startDaemon(context: CliContext): Promise<Daemon> {
  await prepareFolders(context.config).catch((error: unknown) => {
    throw configFailure(error);
  });
  const logFile = join(context.config.storePath, 'daemon.log');
  const logStart = await sizeOf(logFile);
  const child = await spawnDaemon(context, logFile);
  const hasEnded = (): boolean =>
    child.exitCode !== null || child.signalCode !== null || child.pid === undefined;
  const deadline = Date.now() + START_TIMEOUT_MS;
  let daemon = await waitForDaemon(context, deadline, hasEnded);
  if (!daemon && child.exitCode === ExitCode.bind) {
    const lockFile = join(context.config.storePath, 'daemon.lock');
    daemon = await waitForDaemon(
      context,
      Date.now() + RIVAL_TIMEOUT_MS,
      async () => !(await isLocked(lockFile)),
    );
  }
  if (daemon) {
    if (daemon.pid === child.pid) note(`note: started a daemon (pid ${child.pid}), which logs to ${logFile}`);
    return daemon;
  }
  const what = hasEnded() ? 'ended at once' : `does not answer after ${START_TIMEOUT_MS / 1000} s`;
  if (!hasEnded()) child.kill('SIGTERM');
  throw new CliError(
    `cannot start the daemon: it ${what}. The end of ${logFile}:\n${await tailOf(logFile, logStart)}\n` +
      'try it in the foreground with: scorpio serve',
    child.exitCode !== null && child.exitCode > 0 && child.exitCode <= ExitCode.bind
      ? child.exitCode
      : ExitCode.internal,
  );
}
