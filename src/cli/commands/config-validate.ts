// `scorpio config validate`: everything that is wrong with the configuration, at once.
import { ConfigError } from '../../config/config-error.ts';
import { resolveLogLevel } from '../../util/logger.ts';
import { loadCliConfig, type GlobalOptions } from '../cli-context.ts';
import { CliError } from '../cli-error.ts';
import { ExitCode } from '../exit-codes.ts';
import { note, print } from '../output.ts';

const WITHOUT_FILE = '(no config file: defaults and environment)';

/** Checks, creates nothing. Throws CliError with exit code 2. */
export async function runConfigValidate(globals: GlobalOptions): Promise<number> {
  try {
    const { file, warnings, config } = await loadCliConfig(globals);
    for (const warning of warnings) note(`warning: ${warning}`);
    // What the daemon will say of the level when it starts.
    resolveLogLevel({ option: globals.logLevel, env: process.env, config: config.logLevel }, (warning) =>
      note(`warning: ${warning}`),
    );
    print(`${file ?? WITHOUT_FILE}: OK`);
    return ExitCode.ok;
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    const { file, problems, warnings } = error;
    for (const warning of warnings) note(`warning: ${warning}`);
    const lines = problems.map((problem) => `  - ${problem}`);
    throw new CliError(
      [`${file ?? WITHOUT_FILE}: ${problems.length} problem(s) found:`, ...lines].join('\n'),
      ExitCode.config,
      { cause: error },
    );
  }
}
