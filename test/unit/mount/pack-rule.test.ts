// When a folder is fetched as one pack.
import { expect, test } from 'vitest';
import { isPackWorthwhile } from '../../../src/mount/prefetch/pack-rule.ts';

const evidence = { missingTrees: 60, missingBlobs: 40, storedTrees: 0, storedBlobs: 0, batchesBlobs: false };

test.each([
  ['where a hundred objects are missing, and each costs a request', {}, true],
  ['but not for fewer', { missingBlobs: 39 }, false],
  ['nor where half of it and more is here', { storedTrees: 50, storedBlobs: 51 }, false],
  ['but up to there', { storedTrees: 50, storedBlobs: 50 }, true],
  ['and never where objects come in batches', { missingBlobs: 100_000, batchesBlobs: true }, false],
])('a pack is worthwhile %s', (_when, differing, expected) => {
  expect(isPackWorthwhile({ ...evidence, ...differing })).toBe(expected);
});
