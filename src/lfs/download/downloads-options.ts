// What downloads of large files are made of: options, and what they ask of the store that they belong to.
import type { LfsOid } from '../lfs-object.ts';

/** The store's bookkeeping: what large files take counts against its limit, and it decides which of them go. */
export interface LargeFileRoom {
  /** A complete object of so many bytes was stored; what was noted of its download is no more. */
  stored(oid: LfsOid, bytes: number): void;
  /** A complete object was opened. */
  used(oid: LfsOid): void;
  /** So many bytes of an object have arrived by now; 0: what had arrived was thrown away. */
  arrived(oid: LfsOid, bytes: number): void;
  /** Complete objects were removed. */
  removed(oids: readonly LfsOid[]): void;
  /** The disk is full: removes something. Whether it is worth another attempt. */
  makeRoom(): boolean;
}

/** Options of createLfsDownloads. */
export interface LfsDownloadsOptions {
  /** The store's folder; all is kept in its subfolder `lfs`. One process at a time may download into it. */
  readonly directory: string;
  /** Of objects above this size only the parts that are read are fetched. Bytes. */
  readonly rangesAbove: number;
  /** Objects that are transferred as a whole at once. */
  readonly concurrency: number;
  /** Default: no bookkeeping. */
  readonly room?: LargeFileRoom;
  /** Called with what the user should know: wrong bytes, a damaged file. */
  readonly onWarning?: (message: string) => void;
}
