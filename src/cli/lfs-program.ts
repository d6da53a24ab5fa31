// The commands of `scorpio lfs` and their options.
import { InvalidArgumentError, Option, type Command } from 'commander';
import type { GlobalOptions } from './cli-context.ts';
import type { Finish } from './finish.ts';

function parseLimit(value: string): number {
  if (/^[1-9]\d{0,8}$/u.test(value)) return Number(value);
  throw new InvalidArgumentError('It is not a number from 1 on.');
}

function withMount(command: Command): Command {
  return command
    .addOption(
      new Option(
        '--mount <MOUNT>',
        'the mount by job id, mount id or mount point; paths then start at its root',
      ).conflicts('job'),
    )
    .option('--job <JOB>', 'the same');
}

function withTask(command: Command): Command {
  return command
    .option('--json', 'print the events as JSON, one a line')
    .option('-q, --quiet', 'print errors only');
}

function addTransfers(lfs: Command, globals: () => GlobalOptions, finish: Finish): void {
  withTask(
    withMount(
      lfs
        .command('checkout')
        .description('fetch the large files of folders, and keep them fetched from now on')
        .argument('[path...]', 'the folders (default: the current one)')
        .option('--deactivate', 'do not keep them fetched any more'),
    ),
  ).action(async (paths: string[], options) => {
    const { runFetch } = await import('./commands/lfs/fetch.ts');
    finish(await runFetch(globals(), 'checkout', paths, options));
  });
  withTask(
    withMount(
      lfs
        .command('fetch')
        .description('fetch large files once')
        .argument('[path...]', 'files and folders (default: the current folder)'),
    ),
  ).action(async (paths: string[], options) => {
    const { runFetch } = await import('./commands/lfs/fetch.ts');
    finish(await runFetch(globals(), 'fetch', paths, options));
  });
  withTask(
    withMount(
      lfs
        .command('push')
        .description('upload the large files that are new or modified')
        .argument('[path...]', 'files and folders (default: the current folder)'),
    ),
  ).action(async (paths: string[], options) => {
    finish(await (await import('./commands/lfs/push.ts')).runPush(globals(), paths, options));
  });
}

function addStatus(lfs: Command, globals: () => GlobalOptions, finish: Finish): void {
  withMount(
    lfs
      .command('status')
      .description('print which large files are new, modified or gone')
      .argument('[path...]', 'files and folders (default: the current folder)')
      .option('--json', 'print it as JSON')
      .option('--no-wait', 'neither wait for hashes nor ask the server'),
  ).action(async (paths: string[], options) => {
    finish(await (await import('./commands/lfs/status.ts')).runStatus(globals(), paths, options));
  });
}

function addCare(lfs: Command, globals: () => GlobalOptions, finish: Finish): void {
  withTask(
    lfs
      .command('prune')
      .description('remove large files from the local store that can be fetched again')
      .option('--dry-run', 'only count what would be removed')
      .option('--no-verify-remote', 'do not ask the server whether it has them'),
  ).action(async (options) => {
    finish(await (await import('./commands/lfs/care.ts')).runPrune(globals(), options));
  });
  withTask(
    lfs
      .command('dedup')
      .description('share files with the stores of git-lfs in repositories on the same disk')
      .argument('<repository...>', 'folders of Git repositories'),
  ).action(async (repositories: string[], options) => {
    finish(await (await import('./commands/lfs/care.ts')).runDedup(globals(), repositories, options));
  });
}

function addLocks(lfs: Command, globals: () => GlobalOptions, finish: Finish): void {
  withMount(
    lfs
      .command('lock')
      .description('lock files on the LFS server, so that nobody else changes them')
      .argument('<path...>', 'the files')
      .option('--json', 'print the result as JSON'),
  ).action(async (paths: string[], options) => {
    finish(await (await import('./commands/lfs/lock.ts')).runLock(globals(), paths, options));
  });
  withMount(
    lfs
      .command('unlock')
      .description('give locks up')
      .argument('[path...]', 'the files')
      .option('--id <ID>', 'the lock by its id, instead of files')
      .option('--force', "also another's lock")
      .option('--json', 'print the result as JSON'),
  ).action(async (paths: string[], options) => {
    finish(await (await import('./commands/lfs/lock.ts')).runUnlock(globals(), paths, options));
  });
  withMount(
    lfs
      .command('locks')
      .description('print the locks of the LFS server')
      .option('--verify', "tell one's own from others'")
      .option('--cached', 'what the daemon knows, without asking the server')
      .option('--path <PATH>', 'only that of a file')
      .option('--id <ID>', 'only that of an id')
      .option('--limit <N>', 'at most so many', parseLimit)
      .option('--json', 'print them as JSON'),
  ).action(async (options) => {
    finish(await (await import('./commands/lfs/locks.ts')).runLocks(globals(), options));
  });
}

/** Adds `lfs` to the program. */
export function addLfsCommands(program: Command, globals: () => GlobalOptions, finish: Finish): void {
  const lfs = program.command('lfs').description('large files: fetch, push, look at and lock them');
  addTransfers(lfs, globals, finish);
  addStatus(lfs, globals, finish);
  addCare(lfs, globals, finish);
  addLocks(lfs, globals, finish);
}
