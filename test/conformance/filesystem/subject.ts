// What the conformance suite runs on, and how its tests get one.
import type { Filesystem } from '../../../src/fuse/filesystem.ts';
import type { FilesystemClient } from '../../support/filesystem-client.ts';
import type { SeedTree } from '../../support/seed-tree.ts';

/** A filesystem under test. */
export interface FilesystemSubject {
  readonly filesystem: Filesystem;
  /** Destroys the filesystem and opens it again over what it left on the disk. */
  reopen?(): Promise<Filesystem>;
  /** Destroys the filesystem and removes what it left; throws when it kept hold of something. */
  dispose(): Promise<void>;
}

/** Makes the filesystems under test, each with the given tree in it (in its read-only layer if it has one). */
export interface FilesystemFactory {
  /** Whether subjects offer `reopen`. */
  readonly persists: boolean;
  /** Whether what lay in the read-only layer has the same inode number after `reopen`. */
  readonly keepsLowerInodeNumbers: boolean;
  create(seed: SeedTree): Promise<FilesystemSubject>;
}

/** What a test works with; the suite disposes of it after the test. */
export interface Session {
  readonly fs: FilesystemClient;
  /** Closes and opens again; the old client is of no use then. */
  readonly reopen: () => Promise<FilesystemClient>;
}

/** Starts a filesystem for a test: empty, or with a tree. */
export type Start = (seed?: SeedTree) => Promise<Session>;
