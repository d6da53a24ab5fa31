// Files that something failed for, in words.
import { plural } from './plural.ts';
import { printable } from '../util/printable.ts';

const SHOWN_FAILURES = 20;

/** `count` of them, of which some are known: `2 files could not be fetched:` and a line for each. */
export function failureList(
  count: number,
  what: string,
  failures: readonly { readonly path: string; readonly reason: string }[],
): string {
  const shown = failures.slice(0, SHOWN_FAILURES);
  const lines = shown.map(({ path, reason }) => `  ${printable(path)}: ${printable(reason)}`);
  if (count > shown.length) lines.push(`  and ${count - shown.length} more`);
  return [`${plural(count, 'file')} could not be ${what}:`, ...lines].join('\n');
}
