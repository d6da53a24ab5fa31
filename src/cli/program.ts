// The commands and their options. What a command does is imported when it runs, so that all start fast.
import { Command, InvalidArgumentError, Option } from 'commander';
import { parseAddress } from '../config/check-value.ts';
import { parseByteSize } from '../util/byte-size.ts';
import { nearest } from '../util/nearest.ts';
import { scorpioVersion } from '../util/version.ts';
import type { GlobalOptions } from './cli-context.ts';
import { ExitCode } from './exit-codes.ts';
import type { Finish } from './finish.ts';
import { addLfsCommands } from './lfs-program.ts';
import { note } from './output.ts';

const MOUNT_TIMEOUT_SECS = 120;
const MAX_TIMEOUT_SECS = 86_400;

function parseAddressOption(value: string): string {
  if (value.trim() === '' || parseAddress(value) !== undefined) return value;
  throw new InvalidArgumentError('It is not IP:PORT, such as 127.0.0.1:2725.');
}

function parseSeconds(value: string): number {
  const seconds = Number(value);
  if (/^\d+(\.\d+)?$/u.test(value) && seconds > 0 && seconds <= MAX_TIMEOUT_SECS) return seconds;
  throw new InvalidArgumentError(`It is not a number of seconds from 1 to ${MAX_TIMEOUT_SECS}.`);
}

function parseSize(value: string): number {
  const bytes = parseByteSize(value);
  if (bytes !== undefined) return bytes;
  throw new InvalidArgumentError('It is not a number of bytes, such as 20GB or 512MiB.');
}

const timeoutOption = (): Option =>
  new Option('--timeout <SECS>', 'give up after this time')
    .argParser(parseSeconds)
    .default(MOUNT_TIMEOUT_SECS);

function addGlobalOptions(program: Command): void {
  program
    .option('-c, --config-path <FILE>', 'configuration file')
    .addOption(
      new Option('--http-addr <IP:PORT>', 'address of the server that the command starts').argParser(
        parseAddressOption,
      ),
    )
    .option('--log-level <LEVEL>', 'off, error, warn, info, debug or trace')
    .option('--upper-root <DIR>', 'overrides antares_upper_root')
    .option('--cl-root <DIR>', 'overrides antares_cl_root')
    .option('--mount-root <DIR>', 'overrides antares_mount_root')
    .option('--state-file <FILE>', 'overrides antares_state_file');
}

function addMountCommands(program: Command, globals: () => GlobalOptions, finish: Finish): void {
  program
    .command('mount')
    .description('mount a path of the monorepo; starts a daemon when none runs')
    .argument('<job_or_path>', 'a path of the monorepo, from /, or a job id')
    .argument('[mountpoint]', 'the folder to mount at, empty or new (default: one below antares_mount_root)')
    .option('--path <PATH>', 'the path, when the first argument is a job id (default: /)')
    .option('--cl <CL>', 'change list to lay over it')
    .option('--mountpoint <DIR>', 'the same as the second argument')
    .option('--json', 'print the result as JSON')
    .addOption(timeoutOption())
    .action(async (target: string, mountpoint: string | undefined, options) => {
      finish(await (await import('./commands/mount.ts')).runMount(globals(), target, mountpoint, options));
    });
  program
    .command('umount')
    .description('end a mount')
    .argument('<job>', 'its job id, mount id or mount point')
    .option('--purge', 'remove what was written in it, too')
    .option('-l, --lazy', 'detach a busy mount now; it ends when the processes that use it do')
    .option('--json', 'print the final status as JSON')
    .addOption(timeoutOption())
    .action(async (name: string, options) => {
      finish(await (await import('./commands/umount.ts')).runUmount(globals(), name, options));
    });
  program
    .command('list')
    .description('print the mounts')
    .option('--json', 'print them as JSON')
    .action(async (options) => {
      finish(await (await import('./commands/list.ts')).runList(globals(), options));
    });
  program
    .command('http-mount')
    .description('mount through the HTTP API of a daemon, and print its answer')
    .argument('<path>', 'path of the monorepo')
    .option('--job-id <ID>', 'job id')
    .option('--cl <CL>', 'change list to lay over it')
    .option('--endpoint <URL>', 'the API (default: http://<http_addr>/antares)')
    .action(async (path: string, options) => {
      finish(await (await import('./commands/http-mount.ts')).runHttpMount(globals(), path, options));
    });
}

const collect = (value: string, earlier: readonly string[] = []): string[] => [...earlier, value];

function parseDepth(value: string): number {
  if (/^\d{1,6}$/u.test(value)) return Number(value);
  throw new InvalidArgumentError('It is not a number of levels, such as 0 or 3.');
}

function addPrefetch(program: Command, globals: () => GlobalOptions, finish: Finish): void {
  program
    .command('prefetch')
    .description('fetch a folder of a mount ahead of need')
    .argument('<path>', 'the folder, in a mount')
    .option('--job <JOB>', 'the mount by its job id or mount id; the path then starts at its root')
    .option('--depth <N>', 'levels of folders below it; 0: only its own files (default: all)', parseDepth)
    .option('--include <GLOB>', 'only what matches, as in .gitignore; may be repeated', collect)
    .option('--exclude <GLOB>', 'not what matches; may be repeated', collect)
    .addOption(
      new Option('--pack <WHEN>', 'fetch the folder as one pack over Git')
        .choices(['auto', 'always', 'never'])
        .default('auto'),
    )
    .option('--dry-run', 'only count what would be fetched')
    .option('--json', 'print the events as JSON, one a line')
    .option('-q, --quiet', 'print errors only')
    .action(async (path: string, options) => {
      finish(await (await import('./commands/prefetch.ts')).runPrefetch(globals(), path, options));
    });
}

function addConfigCommands(program: Command, globals: () => GlobalOptions, finish: Finish): void {
  const config = program.command('config').description('write, check or print the configuration');
  config
    .command('init')
    .description('write a configuration file to start from')
    .argument('[path]', 'the file', 'scorpio.toml')
    .option('--force', 'overwrite an existing file')
    .action(async (path: string, options) => {
      finish(await (await import('./commands/config-init.ts')).runConfigInit(path, options));
    });
  config
    .command('validate')
    .description('print everything that is wrong with the configuration')
    .action(async () => {
      finish(await (await import('./commands/config-validate.ts')).runConfigValidate(globals()));
    });
  config
    .command('show')
    .description('print the configuration as it applies, as TOML')
    .option('--json', 'print it as JSON')
    .action(async (options) => {
      finish(await (await import('./commands/config-show.ts')).runConfigShow(globals(), options));
    });
}

function addStoreCommands(program: Command, globals: () => GlobalOptions, finish: Finish): void {
  const store = program.command('store').description('look at the local store, or make it smaller');
  store
    .command('status')
    .description('print what the store takes, and what it may take')
    .option('--json', 'print it as JSON')
    .action(async (options) => {
      finish(await (await import('./commands/store-status.ts')).runStoreStatus(globals(), options));
    });
  store
    .command('prune')
    .description('remove what was not used for longest; it is fetched again when it is needed')
    .option('--to <SIZE>', 'until the store takes this, as 5GB (default: store_limit)', parseSize)
    .option('--json', 'print the result as JSON')
    .action(async (options) => {
      finish(await (await import('./commands/store-prune.ts')).runStorePrune(globals(), options));
    });
}

function addServers(program: Command, globals: () => GlobalOptions, finish: Finish): void {
  program
    .command('serve')
    .description('run the daemon until SIGINT or SIGTERM')
    .addOption(new Option('--background', 'leave the folder that it was started in').hideHelp())
    .action(async (options) => {
      finish(await (await import('./commands/serve.ts')).runServe(globals(), options));
    });
  program
    .command('mega-server')
    .description("serve a local Git repository with Mega's read API (--http-addr, default 127.0.0.1:8000)")
    .requiredOption('--repo <DIR>', 'the repository, bare or not')
    .option('--branch <BRANCH>', 'what to serve as the head (default: HEAD)')
    .option('--lfs-root <DIR>', 'folder of large files and their locks (default: lfs in the Git directory)')
    .action(async (options) => {
      finish(await (await import('./commands/mega-server.ts')).runMegaServer(globals(), options));
    });
}

function addHelpers(program: Command, globals: () => GlobalOptions, finish: Finish): void {
  program
    .command('doctor')
    .description('check whether this machine can mount')
    .action(async () => {
      finish(await (await import('./commands/doctor.ts')).runDoctor(globals()));
    });
  program
    .command('completions')
    .description('print a completion script')
    .argument('<shell>', 'bash, zsh or fish')
    .action(async (shell: string) => {
      finish((await import('./commands/completions.ts')).runCompletions(program, shell));
    });
}

function refuseExcessArguments(command: Command): void {
  command.allowExcessArguments(false);
  for (const nested of command.commands) refuseExcessArguments(nested);
}

/** Builds the command line. Commands report their exit code to `finish`; parsing throws CommanderError. */
export function createProgram(finish: Finish): Command {
  const program = new Command('scorpio');
  const globals = (): GlobalOptions => program.opts();
  program
    .description('Mounts a path of a monorepo as an ordinary folder.')
    .version(`scorpio ${scorpioVersion()}`)
    .exitOverride()
    .configureHelp({ showGlobalOptions: true })
    .showHelpAfterError('(--help explains the options)')
    .allowExcessArguments();
  addGlobalOptions(program);
  addServers(program, globals, finish);
  addMountCommands(program, globals, finish);
  addPrefetch(program, globals, finish);
  addLfsCommands(program, globals, finish);
  addConfigCommands(program, globals, finish);
  addStoreCommands(program, globals, finish);
  addHelpers(program, globals, finish);
  for (const command of program.commands) refuseExcessArguments(command);
  program.action(async () => {
    const [unknown] = program.args;
    if (unknown !== undefined) {
      const near = nearest(
        unknown,
        program.commands.map((command) => command.name()),
      );
      const hint = near === undefined ? '' : ` (did you mean ${near}?)`;
      program.error(`error: unrecognized subcommand '${unknown}'${hint}`, { exitCode: ExitCode.config });
    }
    note('note: running `scorpio` without a subcommand is deprecated; use `scorpio serve`');
    finish(await (await import('./commands/serve.ts')).runServe(globals(), {}));
  });
  return program;
}
