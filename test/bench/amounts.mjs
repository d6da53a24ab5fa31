// Amounts as people read them.

/** Milliseconds or bytes with three digits and a unit; a count as it is. */
export function showAmount(value, unit) {
  if (unit === 'bytes') return `${(value / 1e6).toFixed(value < 1e7 ? 1 : 0)} MB`;
  if (unit === 'count') return value.toFixed(0);
  if (value >= 10_000) return `${(value / 1000).toFixed(1)} s`;
  if (value >= 1000) return `${(value / 1000).toFixed(2)} s`;
  return `${value.toFixed(value < 10 ? 1 : 0)} ms`;
}

/** A ratio with two or three digits. */
export const showRatio = (ratio) => `${ratio.toFixed(ratio < 10 ? 2 : ratio < 100 ? 1 : 0)}x`;

/** A count with its thousands apart: 1,000,000. */
export const showCount = (count) => count.toLocaleString('en');
