// open, read and close of many small files.
import { row } from '../rows.mjs';

/** Cold through the server once, from the store of a new mount once, then as long as the kernel remembers. */
export async function files(stage) {
  const repository = await stage.smallFiles(stage.quick ? 20_000 : 100_000);
  const count = stage.quick ? 2000 : 10_000;
  const local = await stage.localCopy(repository);
  const list = stage.list(repository.paths.slice(0, count));
  const read = (root) => stage.client('readFiles', { root, list });
  const warms = stage.quick ? 3 : 5;

  await stage.dropCaches();
  const localCold = [await read(local)];
  const localWarm = [];
  for (let turn = 0; turn < warms; turn++) localWarm.push(await read(local));

  const folder = stage.fresh('daemon');
  const first = [];
  const stored = [];
  const warm = [];
  await stage.withMount({ url: repository.url, folder }, async (mountpoint) => {
    first.push(await read(mountpoint));
    for (let turn = 0; turn < warms; turn++) warm.push(await read(mountpoint));
  });
  await stage.dropCaches();
  await stage.withMount({ url: repository.url, folder }, async (mountpoint) => {
    stored.push(await read(mountpoint));
  });
  stage.remove(folder);
  const title = `open, read, close of ${count} files`;
  return [
    row(`${title}, first time, from the server`, first, 'local disk, cold', localCold),
    row(`${title}, new mount, stored`, stored, 'local disk, cold', localCold),
    row(`${title}, again`, warm, 'local disk, warm', localWarm),
  ];
}
