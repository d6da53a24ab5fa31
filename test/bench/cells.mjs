// What stands in a cell of the table, in the terminal and in the README alike.
import { showAmount, showRatio } from './amounts.mjs';
import { medianOf, ratioOf } from './row.mjs';
import { isMet } from './targets.mjs';

/** The parts of a cell: median, ratio to the local disk, and whether the target is met (Scorpio alone has targets). */
export function cellOf(entry, { id, kind }) {
  const own = medianOf(entry, id);
  if (own === undefined)
    return { amount: entry.failures[id] === undefined ? '' : 'failed', ratio: '', met: undefined };
  const ratio = entry.unit === 'ms' ? ratioOf(entry, id) : undefined;
  return {
    amount: showAmount(own, entry.unit),
    ratio: ratio === undefined ? '' : showRatio(ratio),
    met: kind === 'scorpio' ? isMet(entry, id) : undefined,
  };
}

/** A sign for whether a target is met. */
export const mark = (met) => (met === undefined ? '' : met ? '✓' : '✗');
