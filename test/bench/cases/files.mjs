// stat, and open, read and close, of many small files that the kernel knows.
import { showCount } from '../amounts.mjs';
import { compare } from '../comparison.mjs';
import { row } from '../row.mjs';
import { atMostTimes } from '../targets.mjs';

const TARGET_TIMES = 1.3;

/**
 * Every contender has read all files once before the first sample. The first stat after a file came from the daemon asks
 * for its time of access, so it has a row of its own.
 */
export async function files(stage) {
  const repository = await stage.smallFiles(stage.quick ? 10_000 : 100_000);
  const count = stage.quick ? 2000 : 50_000;
  const list = stage.list(repository.paths.slice(0, count));
  const target = atMostTimes(TARGET_TIMES);
  const coldRead = row(`open, read, close of ${showCount(count)} files, new mount`, { readme: true });
  const firstStat = row(`stat of ${showCount(count)} files, after it`);
  const stat = row(`stat of ${showCount(count)} files, again`, { target, readme: true });
  const read = row(`open, read, close of ${showCount(count)} files, again`, { target, readme: true });
  const rows = [coldRead, firstStat, stat, read];
  await compare(stage, rows, {
    turns: 3,
    begin: async (contender) => {
      const place = await stage.enter(contender, repository);
      // Fetching is measured elsewhere.
      await stage.client('readFiles', { root: place.root, list });
      return place;
    },
    sample: async (place, record) => {
      const of = { root: place.root, list };
      await place.remount();
      await stage.dropCaches();
      record(coldRead, await stage.client('readFiles', of));
      record(firstStat, await stage.client('statFiles', of));
      for (let again = 0; again < 2; again++) {
        record(stat, await stage.client('statFiles', of));
        record(read, await stage.client('readFiles', of));
      }
    },
  });
  return rows;
}
