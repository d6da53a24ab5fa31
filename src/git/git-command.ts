// Starts the git program: with the user's environment, less what would point it at another repository.
import { spawn } from 'node:child_process';
import type { ChildProcessWithoutNullStreams } from 'node:child_process';
import { GitError } from './git-error.ts';

/** Variables by which a hook or an alias that started us would redirect git; `git rev-parse --local-env-vars`. */
const REPOSITORY_VARIABLES = [
  'GIT_ALTERNATE_OBJECT_DIRECTORIES',
  'GIT_COMMON_DIR',
  'GIT_CONFIG',
  'GIT_CONFIG_COUNT',
  'GIT_CONFIG_PARAMETERS',
  'GIT_DIR',
  'GIT_GRAFT_FILE',
  'GIT_IMPLICIT_WORK_TREE',
  'GIT_INDEX_FILE',
  'GIT_INTERNAL_SUPER_PREFIX',
  'GIT_NAMESPACE',
  'GIT_OBJECT_DIRECTORY',
  'GIT_PREFIX',
  'GIT_REPLACE_REF_BASE',
  'GIT_SHALLOW_FILE',
  'GIT_WORK_TREE',
];

const ERROR_TEXT_CHARACTERS = 2000;

function gitEnvironment(): NodeJS.ProcessEnv {
  const environment: NodeJS.ProcessEnv = { ...process.env };
  for (const name of REPOSITORY_VARIABLES) delete environment[name];
  environment['LC_ALL'] = 'C';
  environment['GIT_TERMINAL_PROMPT'] = '0';
  environment['GIT_OPTIONAL_LOCKS'] = '0';
  // A replaced object does not hash to the id it is served under.
  environment['GIT_NO_REPLACE_OBJECTS'] = '1';
  return environment;
}

/** A running git. */
export interface GitProcess {
  readonly child: ChildProcessWithoutNullStreams;
  /** The end of its standard error so far. */
  errorText(): string;
  /** Kills it at once; it may have ended. */
  kill(): void;
}

/** How to start git. */
export interface GitSpawnOptions {
  /** Variables on top of the user's. */
  readonly environment?: Readonly<Record<string, string>>;
  /** For a git that starts others (fetch, upload-pack): `kill` ends them all. */
  readonly ownGroup?: boolean;
}

/**
 * Starts git. The caller handles the child's `error` event ({@link spawnError} turns it into a GitError), reads its
 * standard output, and kills it when it is not needed any more; nothing else ends a git that waits for a reader.
 */
export function spawnGit(args: readonly string[], options: GitSpawnOptions = {}): GitProcess {
  const { environment = {}, ownGroup = false } = options;
  const env = { ...gitEnvironment(), ...environment };
  const child = spawn('git', args, { env, stdio: 'pipe', detached: ownGroup });
  let errors = '';
  child.stderr.setEncoding('utf8');
  child.stderr.on('data', (text: string) => {
    errors = (errors + text).slice(-ERROR_TEXT_CHARACTERS);
  });
  // Writing to a git that has ended fails with EPIPE; its exit tells more, and every caller sees that.
  child.stdin.on('error', () => {});
  return {
    child,
    errorText: () => errors.trim(),
    kill: () => {
      if (!ownGroup || !killGroup(child.pid)) child.kill('SIGKILL');
      child.stdout.destroy();
    },
  };
}

/** Kills a process and those that it started; false when there is no such group. */
function killGroup(pid: number | undefined): boolean {
  if (pid === undefined) return false;
  try {
    process.kill(-pid, 'SIGKILL');
    return true;
  } catch {
    return false;
  }
}

/** The GitError for an `error` event of a child. */
export function spawnError(error: Error): GitError {
  return (error as NodeJS.ErrnoException).code === 'ENOENT'
    ? new GitError(
        'git-missing',
        'cannot find the "git" program; install Git and make sure that it is in PATH',
        {
          cause: error,
        },
      )
    : new GitError('failed', `cannot start git: ${error.message}`, { cause: error });
}

/** How a git ended that ran to its end. */
export interface GitResult {
  /** Exit code; null when a signal ended it. */
  readonly code: number | null;
  readonly output: string;
  readonly errorText: string;
}

/**
 * Runs git to its end and collects what it prints (little: nothing bounds it). Rejects with GitError of kind
 * `git-missing`, or `failed` when it takes longer than `timeoutMs`.
 */
export function runGit(
  args: readonly string[],
  timeoutMs: number,
  options: GitSpawnOptions & { readonly input?: string } = {},
): Promise<GitResult> {
  return new Promise((resolve, reject) => {
    const git = spawnGit(args, options);
    git.child.stdin.end(options.input);
    let output = '';
    git.child.stdout.setEncoding('utf8');
    git.child.stdout.on('data', (text: string) => {
      output += text;
    });
    const timer = setTimeout(() => {
      git.kill();
      reject(new GitError('failed', `git ${args.join(' ')} did not answer within ${timeoutMs} ms`));
    }, timeoutMs);
    git.child.on('error', (error) => {
      clearTimeout(timer);
      reject(spawnError(error));
    });
    git.child.on('close', (code) => {
      clearTimeout(timer);
      resolve({ code, output, errorText: git.errorText() });
    });
  });
}
