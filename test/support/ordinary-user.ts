// Runs programs as an ordinary user who may open /dev/fuse, also where the tests run as root.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, chownSync, mkdirSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { LAUNCHER, type Stage } from './stage.ts';
import { plainEnvironment, type ProgramResult, runProgram } from './run-program.ts';

/** Debian's user `nobody`. */
const NOBODY = 65_534;
const IDENTITY = ['setpriv', `--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups'];
const PROJECT = resolve(dirname(LAUNCHER), '..');

/** The device for everybody, the checkout where this user can go, and a process that holds both as long as we live. */
const NAMESPACE = `
mknod -m 666 "$1/fuse" c 10 229
mount --bind "$1/fuse" /dev/fuse
mount --bind "$2" "$1/checkout"
echo ready
exec cat
`;

/** An ordinary user of a stage. */
export interface OrdinaryUser extends AsyncDisposable {
  readonly uid: number;
  /** Runs a program as this user, in a folder of theirs. */
  run(command: string, ...args: string[]): Promise<ProgramResult>;
  /** Runs a command of Scorpio as this user, with the configuration of the stage. */
  scorpio(...args: string[]): Promise<ProgramResult>;
  /** Runs a program as root where the mounts of this user are seen; as the user where the tests are not root. */
  runAsRoot(command: string, ...args: string[]): Promise<ProgramResult>;
}

/** Makes the stage's folder that user's. Where the tests do not run as root, it is who runs them. */
export async function createOrdinaryUser(stage: Stage): Promise<OrdinaryUser> {
  const uid = process.getuid?.() ?? 0;
  if (uid !== 0) {
    const run = (command: string, ...args: string[]): Promise<ProgramResult> =>
      runProgram(command, args, { cwd: stage.folder });
    return createUser(stage, { uid, launcher: LAUNCHER, run, runAsRoot: run, close: async () => {} });
  }
  for (const path of [stage.folder, stage.path('scorpio.toml')]) chownSync(path, NOBODY, NOBODY);
  chmodSync(stage.folder, 0o755);
  mkdirSync(stage.path('checkout'));
  const namespace = await enterNamespace(stage.folder);
  // Entering a mount namespace loses the current folder.
  const enter = ['--mount', `--target=${namespace.pid}`, `--wd=${stage.folder}`];
  return createUser(stage, {
    uid: NOBODY,
    launcher: join(stage.path('checkout'), 'bin/scorpio.js'),
    run: (command, ...args) => runProgram('nsenter', [...enter, ...IDENTITY, command, ...args]),
    runAsRoot: (command, ...args) => runProgram('nsenter', [...enter, command, ...args]),
    close: async () => {
      namespace.stdin?.end();
      if (namespace.exitCode === null) await once(namespace, 'exit');
    },
  });
}

async function enterNamespace(folder: string): Promise<ChildProcess> {
  const args = ['--mount', 'sh', '-euc', NAMESPACE, 'sh', folder, PROJECT];
  const child = spawn('unshare', args, { env: plainEnvironment(), stdio: ['pipe', 'pipe', 'inherit'] });
  const [first] = await Promise.race([once(child.stdout, 'data'), once(child, 'exit')]);
  if (String(first).trim() !== 'ready') throw new Error('cannot make a mount namespace for an ordinary user');
  return child;
}

interface Parts {
  readonly uid: number;
  readonly launcher: string;
  readonly run: OrdinaryUser['run'];
  readonly runAsRoot: OrdinaryUser['runAsRoot'];
  readonly close: () => Promise<void>;
}

function createUser(stage: Stage, { uid, launcher, run, runAsRoot, close }: Parts): OrdinaryUser {
  return {
    uid,
    run,
    runAsRoot,
    scorpio: (...args) =>
      run(process.execPath, launcher, '--config-path', stage.path('scorpio.toml'), ...args),
    async [Symbol.asyncDispose]() {
      for (const pid of stage.daemonPids()) await stage.end(pid, 'SIGTERM');
      await close();
    },
  };
}
