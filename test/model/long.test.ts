// A long run of random operations on a mount and a plain folder, while the daemon is killed again and again.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createGitRepository, type GitRepository } from '../support/git-repository.ts';
import { toGitFiles } from '../support/mount-fixture.ts';
import { randomBytes } from '../support/random.ts';
import { seedFile, type SeedNode, seedSymlink, type SeedTree, writeSeed } from '../support/seed-tree.ts';
import { createStage, type Stage } from '../support/stage.ts';

/** Operations of one run; a million take about an hour. */
const OPERATIONS = Number(process.env['SCORPIO_MODEL_OPERATIONS'] ?? 4000);
/** Operations between two crashes. */
const CRASH_EVERY = Number(process.env['SCORPIO_MODEL_CRASH_EVERY'] ?? 900);
const SEED = Number(process.env['SCORPIO_MODEL_SEED'] ?? Math.floor(Math.random() * 1_000_000));
/** As in model/main.py. */
const OPERATIONS_PER_EPOCH = 2000;
const MOUNTED_AGAIN = { timeout: 30_000, interval: 20 };
const START_TIMEOUT_MS = 60_000;
const TIMEOUT_MS = START_TIMEOUT_MS + OPERATIONS * 20;
const PROGRAM = join(import.meta.dirname, '../support/model/main.py');

/** What each epoch begins with. */
const template: Readonly<Record<string, SeedNode>> = {
  a: seedFile('lower a\n'),
  'b/a': seedFile('lower b/a\n', { executable: true }),
  'b/c/a': seedFile('lower b/c/a\n'),
  'b/c/b': seedSymlink('a'),
  'b/c/d/a': seedFile(randomBytes(40_000, 3)),
  'b/\xe9': seedFile(randomBytes(9000, 4)),
  c: seedSymlink('b'),
  'd/a/b/c': seedFile(''),
  'd/b': seedFile('lower d/b\n'),
  'd/c': seedFile(randomBytes(300_000, 5)),
  '\xe9/a/b': seedFile('lower\n'),
};

let stage: Stage;
let repository: GitRepository;
let daemon: ChildProcess;
let mountpoint: string;
let plain: string;

beforeEach(async () => {
  const epochs = Array.from({ length: Math.ceil(OPERATIONS / OPERATIONS_PER_EPOCH) }, (_, index) =>
    String(index).padStart(4, '0'),
  );
  const seed: SeedTree = Object.fromEntries(
    epochs.flatMap((epoch) => Object.entries(template).map(([path, node]) => [`${epoch}/${path}`, node])),
  );
  stage = createStage();
  repository = await createGitRepository({ files: toGitFiles(seed) });
  stage.configure({ base_url: await stage.serveRepository(repository.path) });
  daemon = await stage.serve();
  mountpoint = stage.path('mnt');
  await stage.succeed('mount', '/', mountpoint);
  plain = stage.path('plain');
  mkdirSync(plain);
  writeSeed(plain, seed);
}, START_TIMEOUT_MS);

afterEach(async () => {
  await stage?.dispose();
  await repository?.remove();
});

const crash = (): Promise<void> => stage.end(daemon, 'SIGKILL');

async function serveAgain(): Promise<void> {
  daemon = await stage.serve();
  await expect.poll(() => stage.succeed('list'), MOUNTED_AGAIN).toMatch(/^job_id=root (?!.*state=)/);
}

interface Message {
  readonly crash?: number;
  readonly wait?: boolean;
  readonly dead?: boolean;
  readonly done?: number;
  readonly failed?: string;
}

test(
  'a mount whose daemon is killed over and over keeps what it acknowledged, as a plain folder has it',
  async () => {
    const args = [PROGRAM, mountpoint, plain, String(SEED), String(OPERATIONS), String(CRASH_EVERY)];
    const model = spawn('python3', args, { stdio: ['pipe', 'pipe', 'inherit'] });
    const timer = setTimeout(() => model.kill('SIGKILL'), TIMEOUT_MS - START_TIMEOUT_MS / 2);
    let last: Message = {};
    let crashing: Promise<void> = Promise.resolve();
    try {
      for await (const line of createInterface({ input: model.stdout })) {
        last = JSON.parse(line) as Message;
        if (last.crash !== undefined) crashing = sleep(last.crash).then(crash);
        if (last.wait === true) await crashing.then(() => model.stdin.write('\n'));
        if (last.dead === true) {
          await crashing;
          await serveAgain();
          model.stdin.write('\n');
        }
      }
    } finally {
      clearTimeout(timer);
      if (model.exitCode === null && model.signalCode === null) {
        model.kill('SIGKILL');
        await once(model, 'exit');
      }
      await crashing;
    }
    expect({ seed: SEED, ...last }).toMatchObject({ done: OPERATIONS });
  },
  TIMEOUT_MS,
);
