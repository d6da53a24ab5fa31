// Copying the content of one open file to another without blocking the event loop.
import { read, write, writeSync } from 'node:fs';
import { promisify } from 'node:util';
import { copyFileRangeAsync } from './syscall.ts';
import { readStart } from './read-start.ts';

const readAsync = promisify(read);
const writeAsync = promisify(write);

/** Up to this size copying at once is cheaper than a trip through the thread pool. Bytes. */
const SMALL_BYTES = 256 * 1024;
/** What one call in the thread pool copies at most. Bytes. */
const RANGE_BYTES = 64 * 1024 * 1024;
const BUFFER_BYTES = 1024 * 1024;

/** Copies the first `size` bytes of `source` to the same positions of `target`; shares blocks where the disk can. */
export async function copyContent(source: number, target: number, size: number): Promise<void> {
  let done = 0;
  while (size > SMALL_BYTES && done < size) {
    const count = await copyFileRangeAsync(source, done, target, done, Math.min(RANGE_BYTES, size - done));
    // Not between these two filesystems, or an error that the plain copy below will meet and name.
    if (count <= 0) break;
    done += count;
  }
  if (size <= SMALL_BYTES) copySmall(source, target, size);
  else await copyRest(source, target, done, size);
}

function copySmall(source: number, target: number, size: number): void {
  const content = readStart(source, Buffer.allocUnsafe(size));
  for (let done = 0; done < content.length;) {
    done += writeSync(target, content, done, content.length - done, done);
  }
}

async function copyRest(source: number, target: number, from: number, size: number): Promise<void> {
  const buffer = Buffer.allocUnsafe(BUFFER_BYTES);
  for (let done = from; done < size;) {
    const { bytesRead } = await readAsync(source, buffer, 0, Math.min(BUFFER_BYTES, size - done), done);
    if (bytesRead === 0) return;
    for (let written = 0; written < bytesRead;) {
      const { bytesWritten } = await writeAsync(target, buffer, written, bytesRead - written, done + written);
      written += bytesWritten;
    }
    done += bytesRead;
  }
}
