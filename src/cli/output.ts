// What commands print: results on stdout, notes and errors on stderr.
import { printable } from '../util/printable.ts';

/** As it may be shown: what servers and files say may have control characters. Several lines stay several. */
const shown = (text: string): string => text.split('\n').map(printable).join('\n');

/** A line of the result. */
export function print(line: string): void {
  process.stdout.write(`${shown(line)}\n`);
}

/** A line for the user that is not part of the result. */
export function note(line: string): void {
  process.stderr.write(`${shown(line)}\n`);
}

function sortKeys(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sortKeys);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).map(([key, inner]): [string, unknown] => [key, sortKeys(inner)]);
  return Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** The result as JSON: indented by two, keys in alphabetical order. */
export function printJson(value: unknown): void {
  print(JSON.stringify(sortKeys(value), undefined, 2));
}
