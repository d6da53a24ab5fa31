// `scorpio config show`: the configuration as it applies.
import { renderObject, renderToml } from '../../config/render-config.ts';
import { createContext, type GlobalOptions } from '../cli-context.ts';
import { ExitCode } from '../exit-codes.ts';
import { note, printJson } from '../output.ts';

/** Prints TOML that can be loaded again, or JSON by flat key. */
export async function runConfigShow(globals: GlobalOptions, options: { json?: boolean }): Promise<number> {
  const { loaded } = await createContext(globals);
  for (const warning of loaded.warnings) note(`warning: ${warning}`);
  if (options.json) printJson(renderObject(loaded.settings));
  else process.stdout.write(renderToml(loaded.settings));
  return ExitCode.ok;
}
