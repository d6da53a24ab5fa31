// `scorpio mega-server`: a Mega-compatible server over a local Git repository.
import { resolve } from 'node:path';
import { parseAddress } from '../../config/check-value.ts';
import type { GlobalOptions } from '../cli-context.ts';
import { CliError } from '../cli-error.ts';
import { ExitCode } from '../exit-codes.ts';
import { print } from '../output.ts';

const DEFAULT_ADDRESS = '127.0.0.1:8000';

async function untilSignal(): Promise<void> {
  await new Promise<void>((done) => {
    process.once('SIGINT', () => done());
    process.once('SIGTERM', () => done());
  });
}

/** Serves until a signal. Throws CliError when the repository cannot be served, or the address not be bound. */
export async function runMegaServer(
  globals: GlobalOptions,
  options: { repo: string; branch?: string },
): Promise<number> {
  const text = globals.httpAddr?.trim() || DEFAULT_ADDRESS;
  const address = parseAddress(text);
  if (!address) throw new CliError(`error: ${text} is not IP:PORT`, ExitCode.config);
  const repo = resolve(options.repo);
  const { createMegaServer } = await import('../../mega-server/mega-server.ts');
  // From here on, so that a signal during the start ends the server in order, too.
  const stopped = untilSignal();
  const server = await createMegaServer({
    repo,
    ...address,
    ...(options.branch === undefined ? {} : { branch: options.branch }),
  }).catch((error: NodeJS.ErrnoException) => {
    const cannotBind =
      error.code === 'EADDRINUSE' || error.code === 'EACCES' || error.code === 'EADDRNOTAVAIL';
    const message = cannotBind
      ? `cannot listen on ${text}: ${error.message}`
      : `cannot serve ${repo}: ${error.message}`;
    throw new CliError(message, cannotBind ? ExitCode.bind : ExitCode.internal, { cause: error });
  });
  print(`serving ${repo} at ${server.url}`);
  await stopped;
  await server.close();
  return ExitCode.ok;
}
