// Reading and writing whole ranges of local files.
import { fdatasync, fsync, readSync, write, writeSync } from 'node:fs';
import { promisify } from 'node:util';
import { type MakeRoom, withRoom } from './full-disk.ts';

const writeAsync = promisify(write);

/** fsync(2), in the thread pool. */
export const fsyncAsync: (fd: number) => Promise<void> = promisify(fsync);
/** fdatasync(2), in the thread pool. */
export const fdatasyncAsync: (fd: number) => Promise<void> = promisify(fdatasync);

/** Reads what there is of a range; less than asked for only at the end of the file. */
export function readAll(fd: number, target: Uint8Array, position: number): number {
  // A regular file gives less than it was asked for only at its end.
  return target.length === 0 ? 0 : readSync(fd, target, 0, target.length, position);
}

/**
 * Writes all of the data, or as much as fits on the disk. Throws when that is nothing.
 */
export function writeAll(
  fd: number,
  data: Uint8Array,
  position: number,
  makeRoom: MakeRoom | undefined,
): number {
  let done = 0;
  const writeRest = (): number => writeSync(fd, data, done, data.length - done, position + done);
  while (done < data.length) {
    try {
      done += withRoom(makeRoom, writeRest) as number;
    } catch (error) {
      // What fitted on the disk was written and is reported; the next write reports the error.
      if (done > 0) return done;
      throw error;
    }
  }
  return done;
}

/** Writes all of the data to the disk (`dataOnly`: as fdatasync(2)). That waits, so it is done in the thread pool. */
export async function writeDurably(
  fd: number,
  data: Uint8Array,
  position: number,
  { dataOnly, makeRoom }: { readonly dataOnly: boolean; readonly makeRoom: MakeRoom | undefined },
): Promise<number> {
  let done = 0;
  const writeRest = () => writeAsync(fd, data, done, data.length - done, position + done);
  while (done < data.length) {
    const { bytesWritten } = await withRoom(makeRoom, writeRest);
    done += bytesWritten;
  }
  await (dataOnly ? fdatasyncAsync(fd) : fsyncAsync(fd));
  return done;
}
