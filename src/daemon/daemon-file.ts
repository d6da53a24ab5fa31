// One daemon for each store: the locks that see to it, and the file that says where it listens.
import { mkdirSync, readFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { atomicWrite } from '../util/atomic-write.ts';
import { tryLockFile, type FileLock } from '../util/file-lock.ts';
import { AlreadyRunningError } from './bind-error.ts';

/** Content of `<store_path>/daemon.json`: how commands find the daemon. */
export interface DaemonInfo {
  readonly pid: number;
  /** `host:port`. */
  readonly address: string;
  /** ISO 8601. */
  readonly startedAt: string;
  readonly version: string;
}

/** What the daemon has to itself. */
export interface DaemonPlace {
  /** Tells commands that the daemon listens. */
  announce(info: DaemonInfo): Promise<void>;
  /** Takes the announcement back, and lets another daemon in. */
  release(): Promise<void>;
}

/**
 * Takes the store and the state file for this process; the locks end with it, however it ends. Throws
 * AlreadyRunningError when another daemon has one of them.
 */
export function takePlace(storePath: string, stateFile: string): DaemonPlace {
  const infoPath = join(storePath, 'daemon.json');
  const locks: FileLock[] = [];
  const releaseLocks = (): void => {
    for (const lock of locks) lock.release();
  };
  const wanted = [
    { path: join(storePath, 'daemon.lock'), what: `the store ${storePath}` },
    { path: `${stateFile}.lock`, what: `the state file ${stateFile}` },
  ];
  for (const { path, what } of wanted) {
    mkdirSync(dirname(path), { recursive: true });
    const lock = tryLockFile(path);
    if (lock === undefined) {
      releaseLocks();
      throw new AlreadyRunningError(`${describe(readInfo(infoPath))} uses ${what} already; ${WAY_OUT}`);
    }
    locks.push(lock);
  }
  return {
    announce: (info) => atomicWrite(infoPath, `${JSON.stringify(info, undefined, 2)}\n`),
    async release() {
      await rm(infoPath, { force: true });
      releaseLocks();
    },
  };
}

const WAY_OUT =
  'stop it first (kill PID), or give this one a store_path and an antares_state_file of its own';

function describe(info: DaemonInfo | undefined): string {
  return info === undefined ? 'another daemon' : `another daemon (pid ${info.pid}, http://${info.address})`;
}

function readInfo(path: string): DaemonInfo | undefined {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as DaemonInfo;
  } catch {
    return undefined;
  }
}
