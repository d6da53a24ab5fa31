// Memory of the serving process while more files are walked than it may know at once, and afterwards.
import { setTimeout as delay } from 'node:timers/promises';
import { showCount } from '../amounts.mjs';
import { compare } from '../comparison.mjs';
import { row } from '../row.mjs';

const LOOK_MS = 50;
/** How long the daemon waits until it gives memory back to the system, and more. */
const SETTLE_MS = 5000;

/** The most that a place takes while something is done there. */
async function mostWhile(place, work) {
  let most = place.memory;
  let isOver = false;
  const working = work().finally(() => {
    isOver = true;
  });
  while (!isOver) {
    most = Math.max(most, place.memory);
    await delay(LOOK_MS);
  }
  await working;
  return most;
}

/** Resident memory alone, so only of those who serve the files in a process of their own. */
export async function memory(stage) {
  const count = stage.quick ? 100_000 : 1_000_000;
  const tree = await stage.shapes(count);
  const inBytes = (what, options) => row(what, { unit: 'bytes', ...options });
  const before = inBytes('memory of the serving process, just mounted');
  const works = [
    {
      entry: inBytes(`most while find reads ${showCount(count)} sizes and times`, { readme: true }),
      run: (root) => stage.time('find', [root, '-printf', '%s %T@\n']),
    },
    {
      entry: inBytes(`most while ls -l lists a folder of ${showCount(count / 10)}`),
      run: (root) => stage.time('ls', ['-l', `${root}/large`]),
    },
    {
      entry: inBytes('most while a hundredth of them is read'),
      run: (root) =>
        stage.time('find', [root, '-name', '*7.txt', '-path', '*9/*', '-exec', 'cat', '{}', '+']),
    },
  ];
  const after = inBytes('memory after the kernel forgot its names', { readme: true });
  const rows = [before, ...works.map(({ entry }) => entry), after];
  await compare(stage, rows, {
    turns: 1,
    contenders: stage.contenders.filter(({ kind }) => kind === 'scorpio'),
    begin: (contender) => stage.enter(contender, tree),
    sample: async (place, record) => {
      record(before, place.memory);
      for (const { entry, run } of works) record(entry, await mostWhile(place, () => run(place.root)));
      stage.dropNames();
      await delay(SETTLE_MS);
      record(after, place.memory);
    },
  });
  return rows;
}
