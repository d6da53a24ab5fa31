// What Scorpio is to reach, and whether a contender did.
import { medianOf, ratioOf } from './row.mjs';

/** At most so many times what the local disk takes. */
export const atMostTimes = (times) => ({ kind: 'times', times });
/** At least this part of the local disk's speed. */
export const atLeastSpeed = (speed) => ({ kind: 'speed', speed });
/** Less than so many milliseconds. */
export const below = (ms) => ({ kind: 'below', ms });
/** Less than another contender takes, in the same run. */
export const fasterThan = (id) => ({ kind: 'faster', id });

/** The target as a few characters. */
export function describeTarget(target) {
  switch (target?.kind) {
    case 'times':
      return `<= ${target.times}x`;
    case 'speed':
      return `>= ${target.speed} of the speed`;
    case 'below':
      return target.ms >= 1000 ? `< ${target.ms / 1000} s` : `< ${target.ms} ms`;
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
    default:
      return other === undefined ? undefined : own < other;
  }
}
