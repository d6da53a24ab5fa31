// Walking a whole repository that is stored: names and types, then with attributes; first with empty caches, then again.
import { showCount } from '../amounts.mjs';
import { compare } from '../comparison.mjs';
import { row } from '../row.mjs';

const WALKS = [
  { title: 'find', what: ['-type', 'f'] },
  { title: 'find with sizes and times', what: ['-type', 'f', '-printf', '%s %T@\n'] },
];

/** With `find`, a process of its own that lists, and stats each file where attributes are asked for. */
export async function tree(stage) {
  const count = stage.quick ? 10_000 : 100_000;
  const repository = await stage.smallFiles(count);
  const walks = WALKS.map(({ title, what }) => ({
    what,
    first: row(`${title}, ${showCount(count)} files, new mount`, { readme: true }),
    again: row(`${title}, ${showCount(count)} files, again`, { readme: true }),
  }));
  const memory = row('memory of the serving process after it', { unit: 'bytes', readme: true });
  const rows = [...walks.flatMap(({ first, again }) => [first, again]), memory];
  const find = (root, what) => stage.time('find', [root, ...what]);
  await compare(stage, rows, {
    turns: 3,
    begin: async (contender) => {
      const place = await stage.enter(contender, repository);
      // Fetching is measured elsewhere.
      await find(place.root, WALKS[1].what);
      return place;
    },
    sample: async (place, record) => {
      for (const { what, first, again } of walks) {
        await place.remount();
        await stage.dropCaches();
        record(first, await find(place.root, what));
        record(again, await find(place.root, what));
      }
      if (place.memory !== undefined) record(memory, place.memory);
    },
  });
  return rows;
}
