// Writing: many small files from a tar archive, removing them, and one large file.
import { join } from 'node:path';
import { row } from '../rows.mjs';

const MIB = 2 ** 20;

/** Everything that was written before is on the disk when a sample begins. */
export async function write(stage) {
  const count = stage.quick ? 1000 : 5000;
  const size = (stage.quick ? 64 : 256) * MIB;
  const samples = stage.quick ? 2 : 3;
  const repository = await stage.smallFiles(stage.quick ? 1000 : 100_000);
  const local = await stage.localCopy(repository);
  const archive = stage.fresh('archive');
  const list = stage.list(repository.paths.slice(0, count));
  await stage.time('tar', ['-cf', archive, '-C', local, '-T', list]);

  const { url } = await stage.smallFiles(1000);
  const measure = async (root) => {
    const of = { untar: [], remove: [], write: [], sync: [] };
    for (let turn = 0; turn < samples; turn++) {
      const folder = join(root, `untarred-${turn}`);
      await stage.time('mkdir', [folder]);
      await stage.flush();
      of.untar.push(await stage.time('tar', ['-xf', archive, '-C', folder]));
      of.remove.push(await stage.time('rm', ['-rf', folder]));
      for (const sync of [false, true]) {
        const file = join(root, `written-${turn}`);
        await stage.flush();
        of[sync ? 'sync' : 'write'].push(await stage.client('write', { file, size, sync }));
        await stage.time('rm', [file]);
      }
    }
    return of;
  };
  const disk = await measure(stage.freshFolder('written'));
  const mount = await stage.withMount({ url }, measure);
  const against = 'local disk';
  return [
    row(`untar of ${count} files`, mount.untar, against, disk.untar),
    row(`rm -rf of them`, mount.remove, against, disk.remove),
    row(`writing ${size / MIB} MiB`, mount.write, against, disk.write),
    row(`writing ${size / MIB} MiB and fsync`, mount.sync, against, disk.sync),
  ];
}
