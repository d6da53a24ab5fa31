// Content that arrives at random: what is read is there at once, soon or a little later, and the rest is zeros.
import { closeSync, ftruncateSync, openSync, unlinkSync, writeSync } from 'node:fs';
import { setImmediate as immediate, setTimeout as sleep } from 'node:timers/promises';
import type { ArrivingContent } from '../../src/util/arriving-content.ts';
import { ErrnoError } from '../../src/util/errno.ts';

/** What comes at a time. Bytes. */
const BLOCK_BYTES = 512;

/** A view of such content in a new file at a path, which has no name afterwards. */
export function openRandomArrival(file: string, content: Buffer, random: () => number): ArrivingContent {
  const writer = openSync(file, 'wx+');
  const fd = openSync(file, 'r');
  unlinkSync(file);
  ftruncateSync(writer, content.length);
  const missing = new Set(
    Array.from({ length: Math.ceil(content.length / BLOCK_BYTES) }, (_, block) => block),
  );
  let isOpen = true;
  const arrive = (block: number): void => {
    const start = block * BLOCK_BYTES;
    if (isOpen && missing.delete(block)) {
      writeSync(writer, content, start, Math.min(BLOCK_BYTES, content.length - start), start);
    }
  };
  const arriveLater = async (blocks: readonly number[], signal: AbortSignal): Promise<void> => {
    await (random() < 0.9 ? immediate() : sleep(random() * 3));
    if (signal.aborted) throw new ErrnoError('EINTR');
    for (const block of blocks) arrive(block);
  };
  return {
    fd,
    size: content.length,
    get isComplete() {
      return missing.size === 0;
    },
    ready: (position, length, request) => {
      const from = Math.floor(position / BLOCK_BYTES);
      const blocks = [...missing].filter((block) => block >= from && block * BLOCK_BYTES < position + length);
      if (blocks.length > 0 && random() < 0.7) return arriveLater(blocks, request.signal);
      for (const block of blocks) arrive(block);
      return undefined;
    },
    onDiscarded: () => undefined,
    close: () => {
      if (!isOpen) throw new Error('closed twice');
      isOpen = false;
      closeSync(writer);
      closeSync(fd);
    },
  };
}
