// Writing: a real archive of many small files, removing them, and one large file.
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { showCount } from '../amounts.mjs';
import { compare } from '../comparison.mjs';
import { row } from '../row.mjs';
import { fasterThan } from '../targets.mjs';

const MIB = 2 ** 20;
/** Larger ones are programs, and there the disk is measured. */
const LARGEST_FILE_BYTES = 128 * 1024;
const modules = join(import.meta.dirname, '..', '..', '..');

/** The small files of node_modules, up to `most`, in order: what npm installed, so the same on every machine. */
function packageFiles(most) {
  const names = readdirSync(join(modules, 'node_modules'), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(modules.length + 1))
    .filter((name) => !name.startsWith('node_modules/.'));
  return names
    .sort()
    .filter((name) => statSync(join(modules, name)).size <= LARGEST_FILE_BYTES)
    .slice(0, most);
}

/** Everything that was written before is on the disk when a sample begins. */
export async function write(stage) {
  const names = packageFiles(stage.quick ? 1000 : 6000);
  const size = (stage.quick ? 64 : 256) * MIB;
  const archive = stage.fresh('archive');
  await stage.time('tar', ['-cf', archive, '-C', modules, '-T', stage.list(names)]);
  const repository = await stage.smallFiles(1000);

  const target = fasterThan('fuse-overlayfs');
  const untar = row(`untar of ${showCount(names.length)} files of npm packages`, { target, readme: true });
  const remove = row('rm -rf of them', { readme: true });
  const sync = row(`write ${size / MIB} MiB and fsync`, { readme: true });
  const rows = [untar, remove, sync];
  await compare(stage, rows, {
    turns: 3,
    begin: (contender) => stage.enter(contender, repository, { writable: true }),
    sample: async ({ root }, record, _contender, turn) => {
      const folder = join(root, `untarred-${turn}`);
      await stage.time('mkdir', [folder]);
      await stage.flush();
      record(untar, await stage.time('tar', ['-xf', archive, '-C', folder]));
      await stage.flush();
      record(remove, await stage.time('rm', ['-rf', folder]));
      const file = join(root, `written-${turn}`);
      await stage.flush();
      record(sync, await stage.client('write', { file, size, sync: true }));
      await stage.time('rm', [file]);
    },
  });
  stage.remove(archive);
  return rows;
}
