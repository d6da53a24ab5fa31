// The file `ranges` beside a large file that is arriving: which parts of it are there, for the next start.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { readBootTag } from '../../util/boot-tag.ts';
import { RangeMap } from './range-map.ts';

interface RangeRecord {
  readonly size: number;
  /** Tag of the boot in which it was written. */
  readonly boot: number;
  /** What was written, and what of that was synced as well. */
  readonly ranges: [number, number][];
  readonly synced: [number, number][];
}

const digestOf = (json: string): string => createHash('sha256').update(json).digest('hex').slice(0, 16);

const toPairs = (map: RangeMap): [number, number][] => [...map].map(([start, end]) => [start, end]);

/** The content of the file. */
export function formatRangeRecord(size: number, ranges: RangeMap, synced: RangeMap): string {
  const record: RangeRecord = {
    size,
    boot: readBootTag(),
    ranges: toPairs(ranges),
    synced: toPairs(synced),
  };
  const json = JSON.stringify(record);
  return `${digestOf(json)}\n${json}\n`;
}

/**
 * What the file says of an object of this size: after a new start of the machine only what was synced. Nothing where it
 * is missing, damaged, or about something else: that costs a download.
 */
export function readRangeRecord(path: string, size: number): { ranges: RangeMap; synced: RangeMap } {
  try {
    const [digest, json = ''] = readFileSync(path, 'utf8').split('\n');
    if (digest === digestOf(json)) {
      const record = JSON.parse(json) as RangeRecord;
      if (record.size === size) {
        const synced = new RangeMap(record.synced);
        return {
          ranges: record.boot === readBootTag() ? new RangeMap(record.ranges) : new RangeMap(synced),
          synced,
        };
      }
    }
  } catch {
    // As if there were none.
  }
  return { ranges: new RangeMap(), synced: new RangeMap() };
}
