// `scorpio mega-server`: a Mega-compatible server over a local Git repository.
import { resolve } from 'node:path';
import { parseAddress } from '../../config/check-value.ts';
import { createLogger, resolveLogLevel } from '../../util/logger.ts';
import type { GlobalOptions } from '../cli-context.ts';
import { CliError } from '../cli-error.ts';
import { ExitCode } from '../exit-codes.ts';
import { note, print } from '../output.ts';

const DEFAULT_ADDRESS = '127.0.0.1:8000';

/** Options of the command. */
export interface MegaServerCommandOptions {
  readonly repo: string;
  readonly branch?: string;
  readonly lfsRoot?: string;
}

async function untilSignal(): Promise<void> {
  await new Promise<void>((done) => {
    process.once('SIGINT', () => done());
    process.once('SIGTERM', () => done());
  });
}

async function startServer(
  address: { host: string; port: number },
  repo: string,
  options: MegaServerCommandOptions,
  globals: GlobalOptions,
) {
  const [{ createMegaServer }, { MegaServerError }] = await Promise.all([
    import('../../mega-server/mega-server.ts'),
    import('../../mega-server/mega-server-error.ts'),
  ]);
  const log = createLogger(resolveLogLevel({ option: globals.logLevel, env: process.env }, note));
  const branch = options.branch === undefined ? {} : { branch: options.branch };
  const lfs = options.lfsRoot === undefined ? {} : { lfs: { root: resolve(options.lfsRoot) } };
  try {
    return await createMegaServer({ repo, ...address, ...branch, ...lfs, log });
  } catch (error) {
    if (!(error instanceof MegaServerError)) throw error;
    const code = { 'address-in-use': ExitCode.bind, address: ExitCode.bind, repository: ExitCode.config };
    throw new CliError(error.message, code[error.kind as keyof typeof code] ?? ExitCode.internal, {
      cause: error,
    });
  }
}

/** Serves until a signal. Throws CliError when the repository cannot be served, or the address not be bound. */
export async function runMegaServer(
  globals: GlobalOptions,
  options: MegaServerCommandOptions,
): Promise<number> {
  const text = globals.httpAddr?.trim() || DEFAULT_ADDRESS;
  const address = parseAddress(text);
  if (!address) throw new CliError(`error: ${text} is not IP:PORT`, ExitCode.config);
  const repo = resolve(options.repo);
  // Listened for before the start, so that a signal during it ends the server in order, too.
  const stopped = untilSignal();
  const server = await startServer(address, repo, options, globals);
  print(`serving ${repo} at ${server.url}`);
  await stopped;
  await server.close();
  return ExitCode.ok;
}
