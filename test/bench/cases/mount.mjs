// From asking for a mount to the listing of its root: must not depend on the size of the repository.
import { timeToFirstListing } from '../daemon.mjs';
import { row } from '../rows.mjs';

/** Every sample has a daemon that never fetched anything; starting that is not measured. */
export async function mount(stage) {
  const sizes = [1000, stage.quick ? 20_000 : 100_000];
  const samples = stage.quick ? 3 : 7;
  const results = new Map(sizes.map((count) => [count, []]));
  for (const count of sizes) await stage.smallFiles(count);
  for (let turn = 0; turn < samples; turn++) {
    for (const count of sizes) {
      const { url } = await stage.smallFiles(count);
      const daemon = await stage.startDaemon(url);
      results.get(count).push(await timeToFirstListing(daemon, stage.freshFolder('mount')));
      await stage.stopDaemon(daemon);
    }
  }
  const node = [];
  for (let turn = 0; turn < samples; turn++) node.push(await stage.time(process.execPath, ['-e', '0']));
  const [few, many] = sizes.map((count) => results.get(count));
  return [
    row(
      `\`scorpio mount\` to the first ls, ${sizes[1]} files`,
      many.map(({ total }) => total),
      `the same, ${sizes[0]} files`,
      few.map(({ total }) => total),
    ),
    row(
      '  of which the ls',
      many.map(({ listing }) => listing),
      'the same, 1000 files',
      few.map(({ listing }) => listing),
    ),
    row(
      `\`scorpio mount\` to the first ls, ${sizes[0]} files`,
      few.map(({ total }) => total),
      'node -e 0',
      node,
    ),
  ];
}
