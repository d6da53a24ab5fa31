// What Scorpio is to reach, and whether a contender did.
import { showAmount } from './amounts.mjs';
import { medianOf, ratioOf } from './row.mjs';

/** At most so many times what the local disk takes. */
export const atMostTimes = (times) => ({ kind: 'times', times });
/** At least this part of the local disk's speed. */
export const atLeastSpeed = (speed) => ({ kind: 'speed', speed });
/** Less than so many milliseconds. */
export const below = (ms) => ({ kind: 'below', ms });
/** At most so much, in the row's unit. */
export const atMost = (amount) => ({ kind: 'at-most', amount });
/** Less than another contender takes, in the same run. */
export const fasterThan = (id) => ({ kind: 'faster', id });

/** The target of a row as a few characters. */
export function describeTarget({ target, unit }) {
  switch (target?.kind) {
    case 'times':
      return `<= ${target.times}x`;
    case 'speed':
      return `>= ${target.speed} of the speed`;
    case 'below':
      return target.ms >= 1000 ? `< ${target.ms / 1000} s` : `< ${target.ms} ms`;
    case 'at-most':
      return `<= ${showAmount(target.amount, unit)}`;
    case 'faster':
      return `< ${target.id}`;
    default:
      return '';
  }
}

/** Whether a contender reached the row's target; undefined where that cannot be said. */
export function isMet({ target, ...entry }, id) {
  const own = medianOf(entry, id);
  if (own === undefined || target === undefined) return undefined;
  const ratio = ratioOf(entry, id);
  const other = target.kind === 'faster' ? medianOf(entry, target.id) : undefined;
  switch (target.kind) {
    case 'times':
      return ratio === undefined ? undefined : ratio <= target.times;
    case 'speed':
      return ratio === undefined ? undefined : medianOf(entry, 'local') / own >= target.speed;
    case 'below':
      return own < target.ms;
    case 'at-most':
      return own <= target.amount;
    default:
      return other === undefined ? undefined : own < other;
  }
}
