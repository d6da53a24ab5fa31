// What most commands start from: the configuration, with the global options applied, and a logger.
import { ConfigError } from '../config/config-error.ts';
import type { Config } from '../config/config.ts';
import { loadConfig, type LoadedConfig } from '../config/load-config.ts';
import { createLogger, resolveLogLevel, type Logger } from '../util/logger.ts';
import { CliError } from './cli-error.ts';
import { ExitCode } from './exit-codes.ts';
import { note } from './output.ts';

/** Options that stand before or after the subcommand. */
export interface GlobalOptions {
  readonly configPath?: string;
  readonly httpAddr?: string;
  readonly logLevel?: string;
  readonly upperRoot?: string;
  readonly clRoot?: string;
  readonly mountRoot?: string;
  readonly stateFile?: string;
}

/** The flat keys that options override. */
const OVERRIDES: Readonly<Record<string, keyof GlobalOptions>> = {
  http_addr: 'httpAddr',
  antares_upper_root: 'upperRoot',
  antares_cl_root: 'clRoot',
  antares_mount_root: 'mountRoot',
  antares_state_file: 'stateFile',
};

/** What a command works with. */
export interface CliContext {
  readonly globals: GlobalOptions;
  readonly loaded: LoadedConfig;
  readonly config: Config;
  readonly log: Logger;
}

/** Loads the configuration as the options and the environment say. Throws ConfigError. */
export async function loadCliConfig(globals: GlobalOptions): Promise<LoadedConfig> {
  const overrides = Object.fromEntries(
    Object.entries(OVERRIDES).map(([key, option]) => [key, globals[option]]),
  );
  return loadConfig({ file: globals.configPath, env: process.env, overrides });
}

/** The error that a command ends with when the configuration is unusable. */
export function configFailure(error: unknown): unknown {
  if (!(error instanceof ConfigError)) return error;
  return new CliError(`Failed to load config: ${error.message}`, ExitCode.config, { cause: error });
}

/** Everything that a command needs. Throws CliError with exit code 2 when the configuration is unusable. */
export async function createContext(globals: GlobalOptions): Promise<CliContext> {
  try {
    const loaded = await loadCliConfig(globals);
    const directives = { option: globals.logLevel, env: process.env, config: loaded.config.logLevel };
    const log = createLogger(resolveLogLevel(directives, note));
    return { globals, loaded, config: loaded.config, log };
  } catch (error) {
    throw configFailure(error);
  }
}
