// `scorpio config init`: writes a configuration file to start from.
import { writeFile } from 'node:fs/promises';
import { renderTemplate } from '../../config/render-config.ts';
import { atomicWrite } from '../../util/atomic-write.ts';
import { describeError } from '../../util/system-error.ts';
import { CliError } from '../cli-error.ts';
import { ExitCode } from '../exit-codes.ts';
import { print } from '../output.ts';

/** Writes the template to `path`; an existing file only with `force`. Throws CliError with exit code 2. */
export async function runConfigInit(path: string, options: { force?: boolean }): Promise<number> {
  const template = renderTemplate(process.env);
  try {
    if (options.force) await atomicWrite(path, template);
    else await writeFile(path, template, { flag: 'wx' });
  } catch (error) {
    const message =
      (error as NodeJS.ErrnoException).code === 'EEXIST'
        ? `refusing to overwrite existing '${path}' (use --force)`
        : `failed to write '${path}': ${describeError(error)}`;
    throw new CliError(message, ExitCode.config, { cause: error });
  }
  print(`wrote config template to ${path}`);
  print(`edit base_url/lfs_url, then: scorpio --config-path ${path} doctor`);
  return ExitCode.ok;
}
