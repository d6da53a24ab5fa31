// Fetches one branch of a remote repository into a new bare one, as a single pack.
import { setTimeout as delay } from 'node:timers/promises';
import { runGit, spawnError, spawnGit } from './git-command.ts';
import { GitError } from './git-error.ts';

const INIT_TIMEOUT_MS = 20_000;
/** How long a fetch may go without any sign of life: a server may be silent while it makes the pack. */
const SILENCE_TIMEOUT_MS = 120_000;
const WATCH_INTERVAL_MS = 1000;

/** How far a fetch has come. */
export interface PackProgress {
  /** Objects received, and how many there are. */
  readonly objects: number;
  readonly totalObjects: number;
  /** Bytes received. */
  readonly bytes: number;
}

/** What to fetch, and where to. */
export interface FetchPackOptions {
  /** Without credentials. */
  readonly url: string;
  /** A ref of the remote. */
  readonly ref: string;
  /** The repository to make; the folder must not exist. */
  readonly directory: string;
  /** Whether the remote can leave out the history. */
  readonly shallow: boolean;
  /** Value of an Authorization header. It is handed over where only this user sees it. */
  readonly authorization?: string | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: PackProgress) => void) | undefined;
}

const SETTINGS = [
  'protocol.version=0',
  'credential.helper=',
  'core.askPass=',
  // As the requests beside this one: to this server alone, and no way round.
  'http.followRedirects=false',
  'http.proxy=',
  // However small, it stays one pack, and nothing is tidied up behind our back.
  'fetch.unpackLimit=1',
  'gc.auto=0',
  'maintenance.auto=false',
];

const UNITS: Readonly<Record<string, number>> = { bytes: 1, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30 };
const RECEIVING = /Receiving objects:\s+\d+% \((\d+)\/(\d+)\)(?:, ([\d.]+) (bytes|[KMG]iB))?/gu;

/** The last progress in what git prints, or undefined. */
export function parsePackProgress(text: string): PackProgress | undefined {
  const match = [...text.matchAll(RECEIVING)].at(-1);
  if (match === undefined) return undefined;
  const [, objects, total, amount = '0', unit = 'bytes'] = match;
  return {
    objects: Number(objects),
    totalObjects: Number(total),
    bytes: Math.round(Number(amount) * (UNITS[unit] ?? 1)),
  };
}

/**
 * Fetches. Settles when git and all that it started have ended. Rejects with GitError, or with the signal's reason; the
 * folder may then hold anything.
 */
export async function fetchPack(options: FetchPackOptions): Promise<void> {
  const { url, ref, directory, shallow, authorization, signal, onProgress } = options;
  signal?.throwIfAborted();
  const made = await runGit(['init', '--bare', '--quiet', '--template=', directory], INIT_TIMEOUT_MS, {
    environment: environmentOf(undefined),
  });
  if (made.code !== 0) throw new GitError('failed', `git init: ${made.errorText}`);
  signal?.throwIfAborted();
  const git = spawnGit(
    [
      `--git-dir=${directory}`,
      ...SETTINGS.flatMap((setting) => ['-c', setting]),
      'fetch',
      '--progress',
      '--no-tags',
      ...(shallow ? ['--depth=1'] : []),
      '--',
      url,
      `+${ref}:refs/heads/fetched`,
    ],
    { environment: environmentOf(authorization), ownGroup: true },
  );
  git.child.stdin.end();
  git.child.stdout.resume();
  let lastSign = performance.now();
  let isSilent = false;
  git.child.stderr.on('data', (text: string) => {
    lastSign = performance.now();
    const progress = parsePackProgress(text);
    if (progress !== undefined) onProgress?.(progress);
  });
  const watch = setInterval(() => {
    if (performance.now() - lastSign < SILENCE_TIMEOUT_MS) return;
    isSilent = true;
    git.kill();
  }, WATCH_INTERVAL_MS);
  const onAbort = (): void => git.kill();
  signal?.addEventListener('abort', onAbort, { once: true });
  try {
    const code = await new Promise<number | null>((resolve, reject) => {
      git.child.once('error', (error) => reject(spawnError(error)));
      git.child.once('close', resolve);
    });
    signal?.throwIfAborted();
    if (isSilent) throw new GitError('failed', `git fetch said nothing for ${SILENCE_TIMEOUT_MS / 1000} s`);
    if (code !== 0) throw new GitError('failed', `git fetch failed: ${reasonOf(git.errorText())}`);
  } finally {
    clearInterval(watch);
    signal?.removeEventListener('abort', onAbort);
    git.kill();
    // What was killed may be about to make one more file.
    if (git.child.exitCode !== 0) await delay(50);
  }
}

/** The user's settings stay out: they may send the request elsewhere, or run programs. */
function environmentOf(authorization: string | undefined): Record<string, string> {
  const plain = { GIT_CONFIG_GLOBAL: '/dev/null', GIT_CONFIG_NOSYSTEM: '1', GIT_DEFAULT_HASH: 'sha1' };
  if (authorization === undefined) return plain;
  return {
    ...plain,
    GIT_CONFIG_COUNT: '1',
    GIT_CONFIG_KEY_0: 'http.extraHeader',
    GIT_CONFIG_VALUE_0: `Authorization: ${authorization}`,
  };
}

/** The line that says what went wrong: what follows it are consequences. */
function reasonOf(text: string): string {
  const lines = text.split(/[\r\n]+/u).filter((line) => line !== '');
  return lines.find((line) => /^(?:error|fatal): /u.test(line)) ?? lines.at(-1) ?? 'it said nothing';
}
