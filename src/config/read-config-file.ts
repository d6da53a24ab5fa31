// Finds and reads the configuration file.
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { describeError } from '../util/system-error.ts';
import { ConfigError } from './config-error.ts';
import { configCandidates, type Environment } from './config-paths.ts';
import { parseToml, type TomlTable } from './toml.ts';

/** A configuration file. */
export interface ConfigFile {
  /** As it was named; undefined when there is none. */
  readonly path: string | undefined;
  readonly table: TomlTable;
}

async function readText(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw new ConfigError([`Cannot read config file '${path}': ${describeError(error)}`], path);
  }
}

function parseFile(path: string, text: string): ConfigFile {
  try {
    return { path, table: parseToml(text) };
  } catch (error) {
    throw new ConfigError([`Invalid config format in '${path}': ${describeError(error)}`], path);
  }
}

/**
 * Reads `named`, else the file that SCORPIO_CONFIG names, else the first that exists of the usual places; without any
 * the table is empty. Throws ConfigError when a named file is missing, and when a file cannot be read or parsed.
 */
export async function readConfigFile(
  named: string | undefined,
  env: Environment,
  cwd: string,
): Promise<ConfigFile> {
  const path = named ?? (env['SCORPIO_CONFIG']?.trim() || undefined);
  if (path !== undefined) {
    const text = await readText(resolve(cwd, path));
    if (text !== undefined) return parseFile(path, text);
    throw new ConfigError(
      [`Config file not found at '${path}': No such file or directory (os error 2)`],
      path,
    );
  }
  for (const candidate of configCandidates(env)) {
    const text = await readText(resolve(cwd, candidate));
    if (text !== undefined) return parseFile(candidate, text);
  }
  return { path: undefined, table: {} };
}
