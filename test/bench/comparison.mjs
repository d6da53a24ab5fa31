// Lets every contender do the same work by turns, A B C A B C, so that what disturbs the machine disturbs all of them.
import { withDeadline } from './deadline.mjs';

/** Does one step of one contender. What fails is noted in the rows, and ends this contender's part in the comparison. */
async function step(stage, rows, runner, work) {
  stage.beginStep();
  try {
    await withDeadline(stage.stepDeadlineMs, () => stage.endHanging(runner.place), work);
  } catch (error) {
    if (stage.isClosing) throw error;
    runner.failed = true;
    const text = error instanceof Error ? error.message : String(error);
    stage.log(`  ${runner.contender.title} failed: ${text}`);
    for (const entry of rows) entry.failures[runner.contender.id] ??= text;
  }
}

/**
 * Fills the rows with `turns` samples of every contender. `begin` makes the place that a contender keeps over its turns;
 * `sample` does the work of one turn there, and tells `record(row, amount)` what it took; `end` undoes `begin`. A step
 * that fails, or does not end in time, ends the part of that contender alone.
 */
export async function compare(stage, rows, options) {
  const {
    turns,
    contenders = stage.contenders,
    begin,
    sample,
    end = (place) => stage.leave(place),
  } = options;
  const runners = contenders.map((contender) => ({ contender, place: undefined, failed: false }));
  for (const runner of runners) {
    await step(stage, rows, runner, async () => {
      runner.place = await begin(runner.contender);
    });
  }
  for (let turn = 0; turn < turns; turn++) {
    for (const runner of runners.filter(({ failed }) => !failed)) {
      const { id } = runner.contender;
      const record = (entry, amount) => (entry.samples[id] ??= []).push(amount);
      await step(stage, rows, runner, () => sample(runner.place, record, runner.contender, turn));
    }
  }
  for (const runner of runners.filter(({ place }) => place !== undefined)) {
    await step(stage, rows, runner, () => end(runner.place));
  }
}

/** As `compare` where nothing is kept: every sample has a place of its own, or several. */
export async function compareAfresh(stage, rows, { turns, contenders, sample }) {
  await compare(stage, rows, {
    turns,
    contenders,
    begin: async () => undefined,
    sample: (_place, record, contender) => sample(contender, record),
  });
}
