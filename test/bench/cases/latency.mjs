// What nobody fetched yet, from a server that is near and from one that is far: walking, and small files.
import { showCount } from '../amounts.mjs';
import { compareAfresh } from '../comparison.mjs';
import { row } from '../row.mjs';
import { below } from '../targets.mjs';

const ROUND_TRIPS_MS = { full: [0, 20, 80], quick: [20] };
const READERS = [1, 8, 32];
/** By round trip and readers, for 1,000 files; milliseconds. */
const TARGETS_MS = new Map([
  ['20 1', 6000],
  ['20 8', 3000],
]);

function rowsAt(roundTripMs, walked, count, quick) {
  const find = row(`find, ${showCount(walked)} files, nothing stored, ${roundTripMs} ms away`, {
    readme: true,
  });
  const readers = READERS.map((many) => {
    const ms = quick ? undefined : TARGETS_MS.get(`${roundTripMs} ${many}`);
    const what = `${showCount(count)} cold files, ${roundTripMs} ms away, ${many} ${many === 1 ? 'reader' : 'readers'}`;
    const target = ms === undefined ? undefined : below(ms);
    return { many, entry: row(what, { target, readme: target !== undefined }) };
  });
  return { find, readers };
}

/** Every sample has a daemon that never fetched anything. There is nothing to compare it with but the target. */
export async function latency(stage) {
  const walked = stage.quick ? 1000 : 10_000;
  const count = stage.quick ? 200 : 1000;
  const repository = await stage.smallFiles(walked);
  const list = stage.list(repository.paths.slice(0, count));
  const contenders = stage.contenders.filter(({ kind }) => kind === 'scorpio');
  const rows = [];
  for (const roundTripMs of stage.quick ? ROUND_TRIPS_MS.quick : ROUND_TRIPS_MS.full) {
    const url = roundTripMs === 0 ? repository.url : await stage.slowly(repository.url, roundTripMs);
    const { find, readers } = rowsAt(roundTripMs, walked, count, stage.quick);
    const these = [find, ...readers.map(({ entry }) => entry)];
    rows.push(...these);
    const inNewMount = async (contender, entry, record, measure) => {
      const place = await stage.enter(contender, repository, { url });
      record(entry, await measure(place.root));
      await stage.leave(place);
    };
    await compareAfresh(stage, these, {
      turns: 3,
      contenders,
      sample: async (contender, record) => {
        await inNewMount(contender, find, record, (root) => stage.time('find', [root, '-type', 'f']));
        for (const { many, entry } of readers) {
          const read = (root) => stage.client('readFilesTogether', { root, list, readers: many });
          await inNewMount(contender, entry, record, read);
        }
      },
    });
  }
  return rows;
}
