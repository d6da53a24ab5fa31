// Runs the command line: from arguments to an exit code, with every failure in words.
import { CommanderError } from 'commander';
import { resolveLogLevel } from '../util/logger.ts';
import { CliError } from './cli-error.ts';
import { ExitCode } from './exit-codes.ts';
import { note } from './output.ts';
import { createProgram } from './program.ts';

/** A handle that somebody forgot must not keep the command from ending. */
const LINGER_TIMEOUT_MS = 2000;

function wantsDetails(): boolean {
  const level = resolveLogLevel({ env: process.env }, () => undefined);
  return level === 'debug' || level === 'trace';
}

function report(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? ExitCode.ok : ExitCode.config;
  const details = wantsDetails() && error instanceof Error ? error : undefined;
  if (error instanceof CliError) {
    note(error.message);
    if (details) note(String(details.cause instanceof Error ? details.cause.stack : details.stack));
    return error.exitCode;
  }
  if (details) {
    note(String(details.stack));
  } else {
    const message = error instanceof Error ? error.message : String(error);
    note(`error: ${message.split('\n', 1)[0]} (set SCORPIO_LOG=debug for details)`);
  }
  return ExitCode.internal;
}

async function run(argv: readonly string[]): Promise<number> {
  let code: number = ExitCode.ok;
  try {
    await createProgram((result) => {
      code = result;
    }).parseAsync([...argv]);
    return code;
  } catch (error) {
    return report(error);
  }
}

/** Runs `argv` (as process.argv) and sets the exit code of the process. Never rejects. */
export async function main(argv: readonly string[]): Promise<void> {
  // `scorpio list | head` is no failure; and a daemon whose stderr is gone goes on serving.
  process.stdout.on('error', () => process.exit());
  process.stderr.on('error', () => undefined);
  process.exitCode = await run(argv);
  setTimeout(() => process.exit(), LINGER_TIMEOUT_MS).unref();
}
