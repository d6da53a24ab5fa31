// Transfers of large files as the HTTP API spells them.
import type { TransferFailure, TransferStatus } from '../../mount/lfs/mount-lfs.ts';

/** Transfers that are under way, and what failed lately, newest last. */
export interface TransfersJson {
  readonly transfers: readonly {
    readonly oid: string;
    readonly path: string;
    readonly size: number;
    readonly bytes: number;
    readonly readers: number;
  }[];
  readonly failures: readonly {
    readonly oid: string;
    readonly path: string;
    readonly reason: string;
    readonly at_epoch_ms: number;
  }[];
}

/** The JSON form of both. */
export function toTransfersJson(status: {
  readonly transfers: readonly TransferStatus[];
  readonly failures: readonly TransferFailure[];
}): TransfersJson {
  return {
    transfers: status.transfers.map(({ oid, path, size, bytes, readers }) => ({
      oid,
      path,
      size,
      bytes,
      readers,
    })),
    failures: status.failures.map(({ oid, path, reason, atMs }) => ({
      oid,
      path,
      reason,
      at_epoch_ms: atMs,
    })),
  };
}
