// Maps of ranges against a plain list of positions.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { RangeMap } from '../../../../src/lfs/download/range-map.ts';

const SIZE = 40;
const ranges = fc.array(fc.tuple(fc.nat(SIZE), fc.nat(SIZE)), { maxLength: 20 });

describe('RangeMap', () => {
  test('agrees with a list of positions, however ranges are added', () => {
    fc.assert(
      fc.property(ranges, fc.nat(SIZE), fc.nat(SIZE), (added, start, end) => {
        const map = new RangeMap(added);
        const there = Array.from({ length: SIZE + 1 }, (_, at) =>
          added.some(([from, to]) => at >= from && at < to),
        );
        expect(map.bytes).toBe(there.filter(Boolean).length);
        expect(map.has(start, end)).toBe(there.slice(start, Math.max(start, end)).every(Boolean));
        const firstGap = there.indexOf(false, start);
        const afterGap = there.indexOf(true, firstGap);
        expect(map.endOf(start)).toBe(firstGap);
        expect(map.gap(start, end)).toEqual(
          firstGap >= end ? undefined : [firstGap, afterGap < 0 ? end : Math.min(afterGap, end)],
        );
      }),
      { numRuns: 2000 },
    );
  });

  test('keeps ranges sorted, apart from each other, and as few as there are', () => {
    fc.assert(
      fc.property(ranges, (added) => {
        const kept = [...new RangeMap(added)];
        for (const [nth, [start, end]] of kept.entries()) {
          expect(end).toBeGreaterThan(start);
          expect(start).toBeGreaterThan(kept[nth - 1]?.[1] ?? -1);
        }
        expect([...new RangeMap(kept)]).toEqual(kept);
      }),
    );
  });

  test('does not lose count where positions pass 2^32', () => {
    const map = new RangeMap([
      [0, 2 ** 40],
      [2 ** 41, 2 ** 42],
    ]);
    expect(map.bytes).toBe(2 ** 40 + 2 ** 41);
    expect(map.gap(5, 2 ** 43)).toEqual([2 ** 40, 2 ** 41]);
    map.clear();
    expect([...map, map.bytes]).toEqual([0]);
  });
});
