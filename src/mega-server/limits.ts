// What one request may ask for.

/** Ids in one request for sizes. */
export const BLOB_SIZES_MAX = 100_000;

/** Ids in one request for blobs. */
export const BLOB_BATCH_MAX = 10_000;

/** Ids in one request for trees. */
export const TREE_BATCH_MAX = 1_000;

/** Bytes of the body of a request with so many ids: each is 40 digits, quotes, a comma, and generous white space. */
export function idsBodyBytes(ids: number): number {
  return ids * 64 + 1024;
}

/** Blobs up to this many bytes are read into memory by the shared git processes; larger ones are streamed. */
export const SMALL_BLOB_BYTES: number = 256 * 1024;

/** The largest file that is sent as text in JSON; larger ones are to be had as bytes. */
export const TEXT_BLOB_BYTES_MAX: number = 16 * 1024 * 1024;
