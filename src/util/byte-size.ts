// Amounts of bytes as people write and read them.

const UNITS: Readonly<Record<string, number>> = { '': 0, K: 1, M: 2, G: 3, T: 4, P: 5 };

/** Bytes, or a share of the disk in percent. */
export type DiskAmount = { readonly bytes: number } | { readonly percent: number };

/**
 * Reads `20GB`, `1.5 GiB`, `500M` or `4096`: with `B` the steps are of 1000, with `iB` or the letter alone of 1024.
 * Undefined when it is nothing of the kind, or beyond 2^53.
 */
export function parseByteSize(text: string): number | undefined {
  const match = /^(?<number>\d+(?:\.\d+)?)\s*(?<unit>[kmgtp]?)(?<step>i?b|)$/iu.exec(text.trim());
  const { number = '', unit = '', step = '' } = match?.groups ?? {};
  const power = UNITS[unit.toUpperCase()];
  if (match === null || power === undefined || (unit === '' && step.length === 2)) return undefined;
  const bytes = Math.round(Number(number) * (step.toLowerCase() === 'b' ? 1000 : 1024) ** power);
  return bytes <= Number.MAX_SAFE_INTEGER ? bytes : undefined;
}

/** As `parseByteSize`, and `30%` for a share of the disk. Undefined above 100 %. */
export function parseDiskAmount(text: string): DiskAmount | undefined {
  const share = /^(\d+(?:\.\d+)?)\s*%$/u.exec(text.trim())?.[1];
  if (share !== undefined) return Number(share) <= 100 ? { percent: Number(share) } : undefined;
  const bytes = parseByteSize(text);
  return bytes === undefined ? undefined : { bytes };
}

/** An amount for reading: `0 B`, `1.5 kB`, `20 GB`. */
export function formatByteSize(bytes: number): string {
  let value = bytes;
  let unit = 'B';
  for (const next of ['kB', 'MB', 'GB', 'TB', 'PB']) {
    if (value < 999.5) break;
    value /= 1000;
    unit = next;
  }
  return `${unit === 'B' || value >= 100 ? Math.round(value) : Number(value.toPrecision(3))} ${unit}`;
}
