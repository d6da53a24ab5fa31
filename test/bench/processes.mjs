// Child processes of the benchmarks: short ones that are timed, and servers that run until they are stopped.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { performance } from 'node:perf_hooks';
import { createInterface } from 'node:readline';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';

const COMMAND_TIMEOUT_MS = 600_000;
const START_TIMEOUT_MS = 20_000;
const STOP_TIMEOUT_MS = 20_000;
const LOG_TAIL_CHARACTERS = 4000;
const BYTES_PER_KB = 1024;

/** Children that are alive, so that none outlives the benchmarks. */
const commands = new Set();
const services = new Set();

/** Ends a child with all that it started: each is the leader of a group of its own. */
function killGroup(child) {
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch {
    // It has just ended.
  }
}

/** Ends the commands that run now, and leaves the services. */
export function killCommands() {
  commands.forEach(killGroup);
}

/** Ends every child at once: for an end that cannot wait. */
export function killAll() {
  killCommands();
  services.forEach(killGroup);
}

function follow(child, alive) {
  alive.add(child);
  child.once('exit', () => alive.delete(child));
  return child;
}

/**
 * Runs a command to its end. Resolves with its output and its time in milliseconds, from starting it to its end.
 * Rejects when it fails, or takes longer than ten minutes. With `output: false` what it prints goes to /dev/null.
 */
export async function runCommand(command, args, { cwd, env, input, output = true } = {}) {
  const began = performance.now();
  const child = follow(
    spawn(command, args, {
      cwd,
      env: { ...process.env, ...env },
      // A group of its own: Ctrl-C is for the script that cleans up.
      detached: true,
      stdio: [input === undefined ? 'ignore' : 'pipe', output ? 'pipe' : 'ignore', 'pipe'],
    }),
    commands,
  );
  const timer = setTimeout(() => killGroup(child), COMMAND_TIMEOUT_MS);
  let stdout = '';
  let stderr = '';
  let ms = 0;
  child.stdout?.setEncoding('utf8').on('data', (text) => (stdout += text));
  child.stderr
    .setEncoding('utf8')
    .on('data', (text) => (stderr = (stderr + text).slice(-LOG_TAIL_CHARACTERS)));
  child.once('exit', () => (ms = performance.now() - began));
  if (input !== undefined) void feed(child.stdin, input);
  const [code, signal] = await once(child, 'close').finally(() => clearTimeout(timer));
  if (code !== 0) {
    throw new Error(`${command} ${args.join(' ')} ended with ${code ?? signal}: ${stderr.trim()}`);
  }
  return { stdout, stderr, ms };
}

async function feed(stdin, chunks) {
  // When the child ends early its exit code tells.
  await pipeline(Readable.from(chunks), stdin).catch(() => undefined);
}

/** A program that runs until it is stopped. */
export class Service {
  #child;
  #log = '';
  #name;

  /** Starts a command; `name` is for messages. */
  constructor(name, command, args) {
    this.#name = name;
    this.#child = follow(
      spawn(command, args, { detached: true, stdio: ['ignore', 'pipe', 'pipe'] }),
      services,
    );
    // A command that cannot be started is told by `until`.
    this.#child.once('error', (error) => (this.#log += error.message));
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream
        .setEncoding('utf8')
        .on('data', (text) => (this.#log = (this.#log + text).slice(-LOG_TAIL_CHARACTERS)));
    }
  }

  /** Its process id. */
  get pid() {
    return this.#child.pid;
  }

  /** Resident memory in bytes. */
  get memory() {
    const status = readFileSync(`/proc/${this.pid}/status`, 'utf8');
    return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1]) * BYTES_PER_KB;
  }

  get #hasEnded() {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  /** The first line that it prints. Rejects when it ends before, or takes too long. */
  async firstLine() {
    const lines = createInterface(this.#child.stdout);
    return this.until(async () => {
      const [line] = await once(lines, 'line');
      return line;
    });
  }

  /** Resolves with the result of `wait`. Rejects when the service ends before, or it takes too long. */
  async until(wait) {
    const ended = once(this.#child, 'exit').then(() => {
      throw new Error(`${this.#name} ended while it was started: ${this.#log.trim()}`);
    });
    let timer;
    const late = new Promise((_resolve, reject) => {
      timer = setTimeout(
        () => reject(new Error(`${this.#name} did not start in time: ${this.#log.trim()}`)),
        START_TIMEOUT_MS,
      );
    });
    ended.catch(() => undefined);
    return Promise.race([wait(), ended, late]).finally(() => clearTimeout(timer));
  }

  /** Ends it in order, or by force when that takes too long. */
  async stop() {
    if (this.#hasEnded) return;
    const ended = once(this.#child, 'exit');
    this.#child.kill('SIGTERM');
    const timer = setTimeout(() => killGroup(this.#child), STOP_TIMEOUT_MS);
    await ended.finally(() => clearTimeout(timer));
  }
}
