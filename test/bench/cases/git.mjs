// git in a mounted folder: a new repository over everything that is there.
import { row } from '../rows.mjs';

const STEPS = [
  { title: 'git init', args: ['init', '-q', '.'] },
  { title: 'git add -A', args: ['-c', 'core.looseCompression=0', 'add', '-A'] },
  { title: 'git status', args: ['status', '--porcelain'] },
  { title: 'git status, again', args: ['status', '--porcelain'] },
];

/** Each step once, on files that are fetched already. */
export async function git(stage) {
  const repository = await stage.smallFiles(stage.quick ? 1000 : 100_000);
  const path = '/part-00';
  const count = repository.paths.filter((name) => name.startsWith('part-00/')).length;
  const measure = async (root) => {
    const times = [];
    for (const { args } of STEPS) times.push(await stage.time('git', args, { cwd: root }));
    return times;
  };
  // A copy of its own: git writes into it.
  const local = stage.freshFolder('git');
  const tar = 'git -C "$0" archive HEAD:part-00 | tar -x -C "$1"';
  await stage.time('sh', ['-c', tar, repository.directory, local]);
  const disk = await measure(local);
  const mount = await stage.withMount({ url: repository.url, path }, async (root) => {
    // Fetching is measured elsewhere.
    await stage.time('sh', ['-c', 'find "$0" -type f -exec cat {} +', root]);
    return measure(root);
  });
  return STEPS.map(({ title }, at) => row(`${title}, ${count} files`, [mount[at]], 'local disk', [disk[at]]));
}
