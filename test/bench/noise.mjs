// Whether the samples agree with each other: a busy machine is to be seen in the result.

/** Samples of one cell that differ more than this were taken on a machine that did something else, too. */
const NOISY_TIMES = 2;

/** A sentence about the cells whose samples disagree; undefined where hardly any do. */
export function describeNoise({ rows }) {
  const cells = rows.flatMap(({ samples }) => Object.values(samples)).filter((list) => list.length > 1);
  const noisy = cells.filter((list) => Math.max(...list) > NOISY_TIMES * Math.min(...list)).length;
  if (noisy <= cells.length / 10) return undefined;
  return `NOISY: in ${noisy} of ${cells.length} cells one sample is more than ${NOISY_TIMES} times another. Run it again when the machine is idle.`;
}
