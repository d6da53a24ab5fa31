// From asking for a mount to the listing of its root: must not depend on the size of the repository.
import { showCount } from '../amounts.mjs';
import { compareAfresh } from '../comparison.mjs';
import { row } from '../row.mjs';
import { below } from '../targets.mjs';

const FEW = 1000;
const TARGET_MS = 300;

/** Every sample has a daemon that never fetched anything; starting that is not measured. */
export async function mount(stage) {
  const count = stage.quick ? 20_000 : 1_000_000;
  const target = below(TARGET_MS);
  const sizes = [
    {
      tree: await stage.smallFiles(FEW),
      row: row(`mount to first ls, ${showCount(FEW)} files`, { target, readme: true }),
    },
    // An export of so many files is no part of what is measured, so the peers have none.
    {
      tree: await stage.manyNames(count),
      row: row(`mount to first ls, ${showCount(count)} files`, { target, readme: true }),
      kinds: ['scorpio'],
    },
  ];
  const rows = sizes.map((size) => size.row);
  for (const { tree, row: entry, kinds = ['scorpio', 'peer'] } of sizes) {
    await compareAfresh(stage, [entry], {
      turns: stage.quick ? 3 : 7,
      contenders: stage.contenders.filter(({ kind }) => kinds.includes(kind)),
      sample: async (contender, record) => {
        const place = await stage.prepare(contender, tree);
        const began = performance.now();
        await place.mount();
        await stage.time('ls', [place.root]);
        record(entry, performance.now() - began);
        await stage.leave(place);
      },
    });
  }
  return rows;
}
