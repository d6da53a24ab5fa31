// Rows of the result: what was measured, the samples of each contender, and what is to be reached.

/** The middle of the samples. */
export function median(samples) {
  const sorted = samples.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/**
 * A row without samples. `unit` is that of the samples, `ms`, `bytes` or `count`; lower is better. `target` is one of targets.mjs.
 * `readme` says that the row is in the README's table.
 */
export function row(what, { target, unit = 'ms', readme = false } = {}) {
  return { what, unit, target, readme, samples: {}, failures: {} };
}

/** The median of a contender; undefined where it has no samples. */
export function medianOf(entry, id) {
  const samples = entry.samples[id] ?? [];
  return samples.length === 0 ? undefined : median(samples);
}

/** How many times the local disk's median a contender's is; undefined where either has none. */
export function ratioOf(entry, id) {
  const own = medianOf(entry, id);
  const local = medianOf(entry, 'local');
  return own === undefined || local === undefined || id === 'local' ? undefined : own / local;
}
