// Reading one large file, from its start to its end and in random pages.
import { join } from 'node:path';
import { row } from '../rows.mjs';

const MIB = 2 ** 20;

/** The baseline of what is read from a cache is the same file, cached, on the local disk. */
export async function large(stage) {
  const size = (stage.quick ? 64 : 512) * MIB;
  const repository = await stage.largeFile(size);
  const samples = stage.quick ? 2 : 4;
  const pages = { size, count: stage.quick ? 5000 : 20_000 };
  const localFile = join(await stage.localCopy(repository), repository.path);
  const name = `${size / MIB} MiB`;
  const through = (file) => stage.client('readThrough', { file });
  const results = { first: [], download: [] };

  for (let turn = 0; turn < (stage.quick ? 1 : 2); turn++) {
    const copy = stage.fresh('download');
    results.download.push(
      await stage.client('download', { url: repository.url + repository.blob, file: copy }),
    );
    stage.remove(copy);
    const folder = stage.fresh('daemon');
    await stage.withMount({ url: repository.url, folder }, async (mountpoint) => {
      results.first.push(await through(join(mountpoint, repository.path)));
    });
    stage.remove(folder);
  }

  const reads = await stage.withMount({ url: repository.url }, async (mountpoint) => {
    const file = join(mountpoint, repository.path);
    await through(file);
    const measured = {};
    for (const [place, target] of [
      ['local', localFile],
      ['mount', file],
    ]) {
      const of = { cold: [], uncached: [], cached: [], pages: [], coldPages: [] };
      for (let turn = 0; turn < samples; turn++) {
        await stage.dropCaches();
        of.cold.push(await through(target));
        if (place === 'mount') {
          // The pages of the stored file stay: the daemon has to copy, and nothing has to come from the disk.
          await stage.dropFile(target);
          of.uncached.push(await through(target));
          await stage.dropFile(target);
          of.coldPages.push(await stage.client('readPages', { file: target, ...pages }));
          await through(target);
        }
        of.cached.push(await through(target));
        of.pages.push(await stage.client('readPages', { file: target, ...pages }));
      }
      measured[place] = of;
    }
    return measured;
  });
  const { mount, local } = reads;
  return [
    row(`first read of ${name}, from the server`, results.first, 'copying it over HTTP', results.download),
    row(`read of ${name}, stored, all caches empty`, mount.cold, 'local disk, cold', local.cold),
    row(
      `read of ${name}, stored, in the cache of the disk only`,
      mount.uncached,
      'local disk, warm',
      local.cached,
    ),
    row(`read of ${name}, again`, mount.cached, 'local disk, warm', local.cached),
    row(
      `${pages.count} random pages, in the cache of the disk only`,
      mount.coldPages,
      'local disk, warm',
      local.pages,
    ),
    row(`${pages.count} random pages, again`, mount.pages, 'local disk, warm', local.pages),
  ];
}
