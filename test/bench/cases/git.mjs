// git in a folder: a new repository over everything that is there, and its state.
import { join } from 'node:path';
import { showCount } from '../amounts.mjs';
import { compare } from '../comparison.mjs';
import { row } from '../row.mjs';
import { fasterThan } from '../targets.mjs';

/** All files are stored and were read before; every turn makes the repository anew. */
export async function git(stage) {
  const count = stage.quick ? 1000 : 10_000;
  const repository = await stage.smallFiles(count);
  const target = fasterThan('fuse-overlayfs');
  const add = row(`git add of ${showCount(count)} files`, { readme: true });
  const status = row(`git status, ${showCount(count)} files`, { target, readme: true });
  const again = row(`git status, ${showCount(count)} files, again`, { target, readme: true });
  const rows = [add, status, again];
  const inside = (root, ...args) => stage.time('git', args, { cwd: root });
  await compare(stage, rows, {
    turns: 3,
    begin: async (contender) => {
      const place = await stage.enter(contender, repository, { writable: true });
      await stage.time('sh', ['-c', 'find "$0" -type f -exec cat {} +', place.root]);
      return place;
    },
    sample: async ({ root }, record) => {
      await inside(root, 'init', '-q', '.');
      await stage.flush();
      record(add, await inside(root, '-c', 'core.looseCompression=0', 'add', '-A'));
      record(status, await inside(root, 'status', '--porcelain'));
      record(again, await inside(root, 'status', '--porcelain'));
      await stage.time('rm', ['-rf', join(root, '.git')]);
    },
  });
  return rows;
}
