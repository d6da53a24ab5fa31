// The version of this program, as package.json says it.
import { readFileSync } from 'node:fs';

let cached: string | undefined;

/** For example `0.1.0`. */
export function scorpioVersion(): string {
  cached ??= (
    JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string }
  ).version;
  return cached;
}
