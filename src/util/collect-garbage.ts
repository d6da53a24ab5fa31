// Collecting garbage now, where much was given up and nothing may be allocated for long.
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

let collect: (() => void) | undefined;

/**
 * Collects all garbage, and so gives the memory of unreachable buffers back. Holds the process up, some 30 ms for a
 * heap of 30 MB: for after a great change only. V8 would come to it by itself only when it allocates again.
 */
export function collectGarbage(): void {
  if (collect === undefined) {
    setFlagsFromString('--expose-gc');
    collect = runInNewContext('gc') as () => void;
  }
  collect();
}
