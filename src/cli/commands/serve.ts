// `scorpio serve`: the daemon, in this process.
import { prepareFolders } from '../../config/prepare-folders.ts';
import { BindError } from '../../daemon/bind-error.ts';
import { MountError } from '../../mount/mount-error.ts';
import { configFailure, createContext, type GlobalOptions } from '../cli-context.ts';
import { CliError } from '../cli-error.ts';
import { ExitCode } from '../exit-codes.ts';

/** Serves until a signal. Resolves with the exit code. */
export async function runServe(globals: GlobalOptions, options: { background?: boolean }): Promise<number> {
  const { config, loaded, log } = await createContext(globals);
  for (const warning of loaded.warnings) log.warn(warning);
  await prepareFolders(config).catch((error: unknown) => {
    throw configFailure(error);
  });
  // All paths are absolute by now; a daemon must not keep the folder busy that somebody started it in.
  if (options.background) process.chdir('/');
  const { serve } = await import('../../daemon/serve.ts');
  try {
    return await serve(config, { log });
  } catch (error) {
    if (error instanceof BindError) throw new CliError(error.message, ExitCode.bind, { cause: error });
    if (error instanceof MountError) throw new CliError(error.message, ExitCode.mount, { cause: error });
    throw configFailure(error);
  }
}
