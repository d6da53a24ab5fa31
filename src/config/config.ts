// The resolved configuration: what every other part sees of it.
import type { DiskAmount } from '../util/byte-size.ts';

/** All settings, checked, with defaults filled in. Paths are absolute. Keys of the file are the snake_case forms. */
export interface Config {
  /** Mega server. */
  readonly baseUrl: string;
  /** Git LFS server; undefined: found by itself. */
  readonly lfsUrl: string | undefined;
  /** Bearer token, or `user:password`, for the LFS server. Secret. */
  readonly lfsToken: string | undefined;
  /** Folder for legacy workspace mounts. */
  readonly workspace: string;
  /** Local store: objects, metadata. */
  readonly storePath: string;
  /** How much disk the store may take; 0: no limit. */
  readonly storeLimit: DiskAmount;
  /** How much of the disk the store leaves free. */
  readonly storeKeepFree: DiskAmount;
  readonly gitAuthor: string;
  readonly gitEmail: string;
  /** Runtime state of legacy mounts (`works`). */
  readonly configFile: string;
  readonly logLevel: string;
  /** Where the daemon listens, `host:port`. */
  readonly httpAddr: string;
  readonly upperRoot: string;
  readonly clRoot: string;
  readonly mountRoot: string;
  readonly stateFile: string;
  /** Deadline of one request for metadata, and of silence while a body arrives; seconds. */
  readonly fetchTimeoutSecs: number;
  readonly connectTimeoutSecs: number;
  /** Attempts of one request, first one included. */
  readonly fetchMaxRetries: number;
  /** Requests at once. */
  readonly fetchConcurrency: number;
  /** What the serving process may take, in bytes. */
  readonly memoryBudget: number;
  /** Globs of what is prefetched in the background, and how often, in seconds; 0: never. */
  readonly prefetchPaths: readonly string[];
  readonly prefetchIntervalSecs: number;
  /** Let other users into the mounts; undefined: as root yes, else no. */
  readonly allowOther: boolean | undefined;
  /** How mounts are served. */
  readonly fuseBinding: 'auto' | 'kernel' | 'fuse-native';
  /** Whether the kernel asks for each file that is opened. */
  readonly openRequests: 'auto' | 'always' | 'never';
  readonly lfs: LfsConfig;
}

/** What to do about a file that is opened for writing and should not be. */
export type LockRule = 'refuse' | 'warn' | 'off';

/** Settings for large files. */
export interface LfsConfig {
  /** Which pointers read as the large file. */
  readonly smudge: 'attributes' | 'any-pointer' | 'off';
  /** Globs of paths of the monorepo; empty: all, none. */
  readonly include: readonly string[];
  readonly exclude: readonly string[];
  /** Above this size only ranges are fetched; bytes. */
  readonly rangesAbove: number;
  /** Transfers at once. */
  readonly concurrency: number;
  /** Files that are lockable and that the user has not locked; files that somebody else has locked. */
  readonly lockable: LockRule;
  readonly locked: LockRule;
  /** 0: only when a command needs them. */
  readonly locksRefreshSecs: number;
}
