// Turns the text of a setting into its value, and says what is wrong with it.
import { isIP } from 'node:net';
import { resolve } from 'node:path';
import { parseByteSize, parseDiskAmount } from '../util/byte-size.ts';
import type { ConfigKey } from './config-key.ts';

/** A checked value. A whole number that a JavaScript number cannot hold exactly is a bigint. */
export type SettingValue = string | number | bigint | boolean;

/** A value, or what is wrong. */
export type Checked = { readonly value: SettingValue } | { readonly problem: string };

const quote = (text: string): string => JSON.stringify(text);

const WORD_MAX = 2n ** 64n - 1n;
const NUMBER_MAX: Readonly<Record<string, bigint>> = { u32: 2n ** 32n - 1n, u64: WORD_MAX, usize: WORD_MAX };

function checkNumber(key: ConfigKey, text: string): Checked {
  const invalid = (reason: string): Checked => ({
    problem: `Invalid value for '${key.flat}': ${quote(text)} is not a valid ${key.type} (${reason})`,
  });
  if (!/^\+?\d+$/u.test(text)) return invalid('invalid digit found in string');
  const value = BigInt(text.replace('+', ''));
  if (value > (NUMBER_MAX[key.type] ?? WORD_MAX)) return invalid('number too large to fit in target type');
  return { value: value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : value };
}

function checkBoolean(key: ConfigKey, text: string): Checked {
  const lower = text.toLowerCase();
  if (lower === 'true' || lower === 'false') return { value: lower === 'true' };
  return { problem: `Invalid boolean for '${key.flat}': expected 'true' or 'false', got ${quote(text)}` };
}

function checkAutoBoolean(key: ConfigKey, text: string): Checked {
  const lower = text.toLowerCase();
  if (lower === 'auto') return { value: 'auto' };
  if (lower === 'true' || lower === 'false') return { value: lower === 'true' };
  return {
    problem: `Invalid value for '${key.flat}': expected 'auto', 'true' or 'false', got ${quote(text)}`,
  };
}

function checkStatMode(key: ConfigKey, text: string): Checked {
  const lower = text.toLowerCase();
  if (lower === 'fast' || lower === 'accurate') return { value: lower };
  return {
    problem: `Invalid stat mode for '${key.flat}': expected 'fast' or 'accurate', got ${quote(text)}`,
  };
}

function checkBinding(key: ConfigKey, text: string): Checked {
  const lower = text.toLowerCase();
  if (lower === 'auto' || lower === 'kernel' || lower === 'fuse-native') return { value: lower };
  return {
    problem: `Invalid binding for '${key.flat}': expected 'auto', 'kernel' or 'fuse-native', got ${quote(text)}`,
  };
}

function checkOpenRequests(key: ConfigKey, text: string): Checked {
  const lower = text.toLowerCase();
  if (lower === 'auto' || lower === 'always' || lower === 'never') return { value: lower };
  return {
    problem: `Invalid value for '${key.flat}': expected 'auto', 'always' or 'never', got ${quote(text)}`,
  };
}

function checkChoice(key: ConfigKey, text: string): Checked {
  const lower = text.toLowerCase();
  const choices = key.choices ?? [];
  if (choices.includes(lower)) return { value: lower };
  return {
    problem: `Invalid value for '${key.flat}': expected one of ${choices.join(', ')}, got ${quote(text)}`,
  };
}

/** A text that should have been a URL, without what may be a user name and a password in it. */
const quoteUrl = (text: string): string => quote(text.replace(/^(.*?\/\/)?.*@/su, '$1***@'));

function checkUrl(key: ConfigKey, text: string): Checked {
  const scheme = /^([a-z][a-z0-9+.-]*):/iu.exec(text)?.[1]?.toLowerCase();
  if (scheme === undefined) {
    return { problem: `Invalid URL for '${key.flat}': ${quoteUrl(text)} (relative URL without a base)` };
  }
  if (scheme !== 'http' && scheme !== 'https') {
    return {
      problem: `Invalid URL scheme for '${key.flat}': expected http/https, got ${quote(scheme)} in ${quoteUrl(text)}`,
    };
  }
  if (/^https?:[/\\]*(?:[?#:@].*)?$/iu.test(text)) {
    return { problem: `Invalid URL for '${key.flat}': missing host in ${quoteUrl(text)}` };
  }
  if (!URL.canParse(text)) {
    return { problem: `Invalid URL for '${key.flat}': ${quoteUrl(text)} (not a valid URL)` };
  }
  return { value: text };
}

function checkSecret(key: ConfigKey, text: string): Checked {
  // The text itself goes into no message.
  if (!/\p{Cc}/u.test(text)) return { value: text };
  return { problem: `Invalid value for '${key.flat}': it has control characters` };
}

/** The parts of `IP:PORT` (an IPv6 address in brackets), or undefined when `text` is not that. */
export function parseAddress(text: string): { host: string; port: number } | undefined {
  const match = /^(?:\[(?<six>[^\]]+)\]|(?<four>[^:]+)):(?<port>\d{1,5})$/u.exec(text);
  const { six, four, port } = match?.groups ?? {};
  const host = six ?? four;
  if (host === undefined || isIP(host) !== (six === undefined ? 4 : 6) || Number(port) > 65_535)
    return undefined;
  return { host, port: Number(port) };
}

function checkAddress(key: ConfigKey, text: string): Checked {
  if (parseAddress(text)) return { value: text };
  return {
    problem: `Invalid address for '${key.flat}': expected IP:PORT as 127.0.0.1:2725, got ${quote(text)}`,
  };
}

function checkByteSize(key: ConfigKey, text: string): Checked {
  const bytes = parseByteSize(text);
  if (bytes !== undefined) return { value: bytes };
  return {
    problem: `Invalid value for '${key.flat}': expected bytes as 512MiB or 2GB, got ${quote(text)}`,
  };
}

function checkDiskAmount(key: ConfigKey, text: string): Checked {
  if (parseDiskAmount(text) !== undefined) return { value: text };
  return {
    problem: `Invalid size for '${key.flat}': expected bytes as 20GB or 512MiB, or a share of the disk as 30%, got ${quote(text)}`,
  };
}

/** Checks the type of a value. `text` is not blank. Paths become absolute, from `cwd`. */
export function checkValue(key: ConfigKey, text: string, cwd: string): Checked {
  switch (key.type) {
    case 'usize':
    case 'u64':
    case 'u32':
      return checkNumber(key, text);
    case 'bool':
      return checkBoolean(key, text);
    case 'auto-bool':
      return checkAutoBoolean(key, text);
    case 'stat-mode':
      return checkStatMode(key, text);
    case 'fuse-binding':
      return checkBinding(key, text);
    case 'open-requests':
      return checkOpenRequests(key, text);
    case 'choice':
      return checkChoice(key, text);
    case 'auto-url':
      return text.toLowerCase() === 'auto' ? { value: 'auto' } : checkUrl(key, text);
    case 'url':
      return checkUrl(key, text);
    case 'address':
      return checkAddress(key, text);
    case 'byte-size':
      return checkByteSize(key, text);
    case 'disk-amount':
      return checkDiskAmount(key, text);
    case 'path':
      return { value: resolve(cwd, text) };
    case 'string':
      return { value: text };
    case 'secret':
      return checkSecret(key, text);
  }
}

/** What is wrong with the range of a value that has the right type; undefined when nothing is. */
export function checkRange(key: ConfigKey, value: SettingValue): string | undefined {
  if (key.min === undefined || (typeof value !== 'number' && typeof value !== 'bigint')) return undefined;
  return value < key.min ? `Invalid config '${key.flat}': must be >= ${key.min}, got ${value}` : undefined;
}
