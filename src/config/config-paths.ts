// Where the configuration and the data of a user are when nobody says otherwise.
import { homedir } from 'node:os';
import { isAbsolute, join } from 'node:path';

/** Environment variables. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** Folder of root's data. */
export const SYSTEM_DATA_FOLDER = '/var/lib/scorpio';

function baseFolder(value: string | undefined, ...fallback: readonly string[]): string {
  // The XDG specification: a relative path is invalid and to be ignored.
  return value !== undefined && isAbsolute(value) ? value : join(...fallback);
}

const home = (env: Environment): string => baseFolder(env['HOME'], homedir());

/** The data folder: `/var/lib/scorpio` for root, else `$XDG_DATA_HOME/scorpio`. */
export function dataFolder(env: Environment, isRoot: boolean = process.getuid?.() === 0): string {
  if (isRoot) return SYSTEM_DATA_FOLDER;
  return join(baseFolder(env['XDG_DATA_HOME'], home(env), '.local', 'share'), 'scorpio');
}

/** Where a configuration file is looked for, first one first (a relative one from the current folder), when neither `-c` nor SCORPIO_CONFIG names one. */
export function configCandidates(env: Environment): readonly string[] {
  return [
    'scorpio.toml',
    join(baseFolder(env['XDG_CONFIG_HOME'], home(env), '.config'), 'scorpio', 'scorpio.toml'),
    '/etc/scorpio/scorpio.toml',
  ];
}
