// TOML: the only file that knows the parser.
import { parse, stringify, TomlError } from 'smol-toml';

/** A parsed table: strings, numbers, bigints where numbers are not exact, booleans, dates, arrays, tables. */
export type TomlTable = Readonly<Record<string, unknown>>;

/** Parses a document. Throws an Error whose message is one line and tells line and column. */
export function parseToml(text: string): TomlTable {
  try {
    return parse(text, { integersAsBigInt: 'asNeeded' });
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    const reason = (error.message.split('\n', 1)[0] ?? '').replace(/^Invalid TOML document: /u, '');
    throw new Error(`${reason} at line ${error.line}, column ${error.column}`, { cause: error });
  }
}

/** Writes a document; keys whose value is undefined are left out. Throws a TypeError for values that TOML has not. */
export function stringifyToml(table: TomlTable): string {
  return stringify(table);
}

/** Whether a parsed value is a table (not an array, not a date). */
export function isTomlTable(value: unknown): value is TomlTable {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date);
}
