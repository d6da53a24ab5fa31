// The content of an upload: read from a descriptor, hashed on the way, and never complete when it is wrong.
import { createHash } from 'node:crypto';
import { close, read } from 'node:fs';
import { promisify } from 'node:util';
import { LfsError } from '../lfs-error.ts';
import type { UploadSource } from './lfs-client.ts';

const CHUNK_BYTES = 256 * 1024;

const readAt = promisify(read);

/** A body, and what became of it. */
export interface UploadBody {
  readonly chunks: AsyncIterable<Uint8Array>;
  /** Bytes that were handed out. */
  readonly sent: number;
  /** Why it ended early. */
  readonly failure: LfsError | undefined;
}

/**
 * Opens the source and reads its `size` bytes; those before `from`, which the server has, are hashed only. The last piece is held back until the hash of all is known to be right, so
 * that a server, which knows the length, never gets a complete object with other bytes. Closes the descriptor at the end.
 */
export function createUploadBody(
  source: UploadSource,
  from: number,
  onBytes: (bytes: number) => void,
): UploadBody {
  let sent = 0;
  let failure: LfsError | undefined;
  const changed = (): LfsError =>
    new LfsError('invalid', `${source.path} changed while it was uploaded (${source.oid})`);

  async function* chunks(): AsyncGenerator<Uint8Array> {
    let fd: number;
    try {
      fd = source.open();
    } catch (error) {
      failure = asFailure(error);
      throw failure;
    }
    try {
      const hash = createHash('sha256');
      for (let at = 0; at < source.size;) {
        // A new buffer each time: the connection keeps those that it could not send yet.
        const length = Math.min(CHUNK_BYTES, (at < from ? from : source.size) - at);
        const { bytesRead, buffer } = await readAt(fd, Buffer.allocUnsafe(length), 0, length, at);
        if (bytesRead === 0) throw changed();
        const chunk = buffer.subarray(0, bytesRead);
        hash.update(chunk);
        at += bytesRead;
        if (at === source.size && hash.digest('hex') !== source.oid) throw changed();
        if (at <= from) continue;
        yield chunk;
        sent += bytesRead;
        onBytes(bytesRead);
      }
    } catch (error) {
      failure = asFailure(error);
      throw failure;
    } finally {
      close(fd, () => undefined);
    }
  }

  function asFailure(error: unknown): LfsError {
    if (error instanceof LfsError) return error;
    const reason = error instanceof Error ? error.message : String(error);
    return new LfsError('invalid', `cannot read ${source.path}: ${reason}`, { cause: error });
  }

  return {
    chunks: chunks(),
    get sent() {
      return sent;
    },
    get failure() {
      return failure;
    },
  };
}
