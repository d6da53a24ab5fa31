// Walking a whole repository: names and types, then attributes; and what that leaves in the memory of the daemon.
import { row } from '../rows.mjs';

const WALKS = [
  { title: 'find', what: ['-type', 'f'] },
  { title: 'find with attributes', what: ['-type', 'f', '-printf', '%s %m %T@\n'] },
];

async function repeat(count, measure) {
  const samples = [];
  for (let turn = 0; turn < count; turn++) samples.push(await measure());
  return samples;
}

const find = (stage, root, what) => stage.time('find', [root, ...what]);

/** A mount of a daemon that fetched nothing yet, then one that finds everything in its store. */
async function walkMount(stage, { url, what, colds, warms }) {
  const walked = { first: [], stored: [], warm: [], before: [], after: [] };
  for (let turn = 0; turn < colds; turn++) {
    const folder = stage.fresh('daemon');
    await stage.dropCaches();
    await stage.withMount({ url, folder }, async (mountpoint, daemon) => {
      walked.before.push(daemon.memory);
      walked.first.push(await find(stage, mountpoint, what));
      walked.after.push(daemon.memory);
    });
    await stage.dropCaches();
    await stage.withMount({ url, folder }, async (mountpoint) => {
      walked.stored.push(await find(stage, mountpoint, what));
      if (turn === colds - 1) walked.warm = await repeat(warms, () => find(stage, mountpoint, what));
    });
    stage.remove(folder);
  }
  return walked;
}

/** With `find`, a process of its own that lists, and stats each file where attributes are asked for. */
export async function tree(stage) {
  const count = stage.quick ? 20_000 : 100_000;
  const repository = await stage.smallFiles(count);
  const local = await stage.localCopy(repository);
  const colds = stage.quick ? 1 : 2;
  const warms = stage.quick ? 3 : 5;
  const rows = [];
  for (const { title, what } of WALKS) {
    const cold = await repeat(colds, async () => {
      await stage.dropCaches();
      return find(stage, local, what);
    });
    const warm = await repeat(warms, () => find(stage, local, what));
    const walked = await walkMount(stage, { url: repository.url, what, colds, warms });
    rows.push(
      row(`${title}, ${count} files, first time, from the server`, walked.first, 'local disk, cold', cold),
      row(`${title}, ${count} files, new mount, stored`, walked.stored, 'local disk, cold', cold),
      row(`${title}, ${count} files, again`, walked.warm, 'local disk, warm', warm),
    );
    const memory = `memory of the daemon after the first ${title}`;
    rows.push(row(memory, walked.after, 'before it', walked.before, 'bytes'));
  }
  return rows;
}
