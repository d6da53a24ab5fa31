// The scenarios of system calls in posix/*.py, run in a folder by a process of its own.
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { randomBytes } from './random.ts';
import { seedFile, type SeedNode, seedSymlink, type SeedTree } from './seed-tree.ts';

const run = promisify(execFile);
const PROGRAM = join(import.meta.dirname, 'posix/main.py');
const TIMEOUT_MS = 240_000;
const MAX_OUTPUT_BYTES = 256 * 1024 * 1024;

/** What scenarios find in their folder. */
const template: Readonly<Record<string, SeedNode>> = {
  f: seedFile('hello, world\n'),
  x: seedFile('#!/bin/sh\nexit 7\n', { executable: true }),
  z: seedFile(''),
  big: seedFile(randomBytes(300_000, 7)),
  l: seedSymlink('f'),
  dl: seedSymlink('d'),
  broken: seedSymlink('nowhere'),
  loop: seedSymlink('loop'),
  'd/a': seedFile('a\n'),
  'd/b/c': seedFile('c\n'),
  'e/k': seedFile('k\n'),
};

/** What a scenario recorded: labels, each with what came of it. */
export type ScenarioLog = readonly (readonly [label: string, outcome: unknown])[];

/** Names of all scenarios, each with each origin of its folder: `origin-scenario`. */
export async function listScenarios(): Promise<string[]> {
  const { stdout } = await run('python3', [PROGRAM, '--list'], { timeout: TIMEOUT_MS });
  return JSON.parse(stdout) as string[];
}

/** A folder with the template for each of them. */
export function scenarioSeed(names: readonly string[]): SeedTree {
  const entries = Object.entries(template);
  return Object.fromEntries(
    names.flatMap((name) => entries.map(([path, node]) => [`${name}/${path}`, node] as const)),
  );
}

/** Runs the scenarios whose names contain `only` in a folder that holds the seed. */
export async function runScenarios(root: string, only = ''): Promise<Record<string, ScenarioLog>> {
  const options = { timeout: TIMEOUT_MS, killSignal: 'SIGKILL', maxBuffer: MAX_OUTPUT_BYTES } as const;
  const { stdout } = await run('python3', [PROGRAM, root, only], options);
  return JSON.parse(stdout) as Record<string, ScenarioLog>;
}
