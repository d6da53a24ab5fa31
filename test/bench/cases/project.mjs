// A day's work on this very project: installing its packages, compiling it, cleaning up.
import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { compare } from '../comparison.mjs';
import { row } from '../row.mjs';
import { fasterThan } from '../targets.mjs';

const checkout = join(import.meta.dirname, '..', '..', '..');
const NAMES = ['src', 'package.json', 'package-lock.json', '.npmrc', 'tsconfig.json', 'tsconfig.build.json'];
const QUIET = ['--no-audit', '--no-fund', '--no-update-notifier', '--logs-max=0', '--loglevel=error'];

/** Scripts of packages would compile better-sqlite3: that measures a compiler. */
const install = (stage, root, network) =>
  stage.time('npm', ['ci', '--ignore-scripts', network, ...QUIET], { cwd: root });

/** Fills npm's cache with what is not there yet, so that nothing comes over the network afterwards. */
async function fillCache(stage) {
  const scratch = stage.freshFolder('scratch');
  for (const name of ['package.json', 'package-lock.json', '.npmrc']) {
    cpSync(join(checkout, name), join(scratch, name));
  }
  await install(stage, scratch, '--prefer-offline');
  stage.remove(scratch);
}

/** Every turn starts from the bare sources. */
export async function project(stage) {
  const repository = await stage.someFiles(checkout, NAMES);
  await fillCache(stage);
  const target = fasterThan('fuse-overlayfs');
  const npm = row('npm ci of this project, offline', { target, readme: true });
  const compile = row('tsc build of this project', { readme: true });
  const clean = row('rm -rf node_modules dist', {});
  const rows = [npm, compile, clean];
  await compare(stage, rows, {
    turns: stage.quick ? 1 : 3,
    begin: (contender) => stage.enter(contender, repository, { writable: true }),
    sample: async ({ root }, record) => {
      await stage.flush();
      record(npm, await install(stage, root, '--offline'));
      await stage.flush();
      record(
        compile,
        await stage.time('node_modules/.bin/tsc', ['-p', 'tsconfig.build.json'], { cwd: root }),
      );
      await stage.flush();
      record(clean, await stage.time('rm', ['-rf', 'node_modules', 'dist'], { cwd: root }));
    },
  });
  return rows;
}
