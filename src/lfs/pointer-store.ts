// The contract of the pointer store: which Git blobs are LFS pointers, and which pointer a mount's path had.
import type { ObjectId } from '../util/types.ts';
import type { LfsObject } from './lfs-object.ts';

/** The pointer that a path of a mount had when it was fetched. */
export interface PathPointer extends LfsObject {
  /** The Git blob that holds the pointer. */
  readonly blob: ObjectId;
}

/** Knowledge about pointers, on disk. All of it can be learned again from the trees and blobs. */
export interface PointerStore {
  /** What a blob stands for; `none`: it is no pointer; undefined: not known. At once, from memory or the database. */
  blob(id: ObjectId): LfsObject | 'none' | undefined;
  /** Notes what blobs are; written soon, together. */
  noteBlobs(blobs: Iterable<readonly [ObjectId, LfsObject | 'none']>): void;
  /** The pointer that a path of a mount had when it was fetched. Paths are latin1, without a leading slash. */
  path(mountId: string, path: string): Promise<PathPointer | undefined>;
  notePath(mountId: string, path: string, pointer: PathPointer): void;
  /** All paths of a mount below a folder (`''`: all), in the order of their bytes. */
  paths(mountId: string, folder: string): AsyncIterable<readonly [string, PathPointer]>;
  /** Forgets a mount that is gone. */
  forgetMount(mountId: string): Promise<void>;
  /** Until the database is open: what it knows is not known before this resolves. It never rejects. */
  readonly opening: Promise<void> | undefined;
  /** Set when the database was damaged and had to be begun anew: what it knew has to be learned again. */
  readonly wasRebuilt: boolean;
  close(): Promise<void>;
}
