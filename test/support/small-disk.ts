// A small filesystem of its own, to fill up.
import { execFileSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, rmdirSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Whether this process may make one. */
export const CAN_MOUNT_DISKS: boolean = process.getuid?.() === 0;

const PIECE = Buffer.alloc(4096, 'full');

/** A mounted tmpfs. */
export interface SmallDisk extends Disposable {
  readonly path: string;
  /** Writes a file until nothing fits any more. */
  fill(): void;
  /** Removes that file. */
  empty(): void;
}

/** Mounts a disk of so many bytes; disposing removes it. Needs root. */
export function createSmallDisk(bytes: number): SmallDisk {
  const path = mkdtempSync(join(tmpdir(), 'scorpio-disk-'));
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${bytes}`, 'scorpio-test', path]);
  const filler = join(path, 'filler');
  return {
    path,
    fill() {
      const fd = openSync(filler, 'a');
      try {
        for (;;) writeSync(fd, PIECE);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
      } finally {
        closeSync(fd);
      }
    },
    empty: () => rmSync(filler, { force: true }),
    [Symbol.dispose]() {
      execFileSync('umount', ['-l', path]);
      rmdirSync(path);
    },
  };
}
