// Tells files written since this boot from older ones, without trusting any clock.
import { readFileSync } from 'node:fs';
import { randomBytes } from 'node:crypto';

// Modification times that every filesystem stores: whole seconds below 2^31.
const TAG_LIMIT = 2 ** 31 - 2;

/** The tag of a file whose bytes were read back from the disk and synced: no power cut can tear it any more. */
export const PROVEN_TAG = 1;

function readBootId(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'latin1');
  } catch {
    // Without /proc every process has a tag of its own: it verifies what others wrote.
    return randomBytes(4).toString('hex');
  }
}

/** A whole number of seconds, above PROVEN_TAG and below 2^31, that is the same until the machine boots again. */
export function readBootTag(): number {
  return (Number.parseInt(readBootId().slice(0, 8), 16) % (TAG_LIMIT - PROVEN_TAG)) + PROVEN_TAG + 1;
}
