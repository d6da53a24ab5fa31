// A Python process that performs the models' operations on folders. Should a mount hang, it hangs, and not the tests.
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';

const ANSWER_TIMEOUT_MS = 30_000;

/** Performs operations. */
export interface FolderAgent extends AsyncDisposable {
  /** Performs one operation on a folder; `tree` describes all of it, `closeAll` closes what operations opened. */
  perform<Answer>(root: string, operation: object): Promise<Answer>;
}

/** Starts the process. */
export function createFolderAgent(): FolderAgent {
  const child: ChildProcessByStdio<Writable, Readable, null> = spawn(
    'python3',
    [join(import.meta.dirname, 'folder-agent.py')],
    { stdio: ['pipe', 'pipe', 'inherit'] },
  );
  const answers = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const ended = new Promise<void>((done) => child.once('exit', () => done()));
  return {
    perform: async (root, operation) => {
      child.stdin.write(`${JSON.stringify({ ...operation, root })}\n`);
      const timer = setTimeout(() => child.kill('SIGKILL'), ANSWER_TIMEOUT_MS);
      const answer = await answers.next();
      clearTimeout(timer);
      if (answer.done === true) throw new Error(`${JSON.stringify(operation)} on ${root} was never answered`);
      return JSON.parse(answer.value) as never;
    },
    [Symbol.asyncDispose]: async () => {
      child.stdin.end();
      const timer = setTimeout(() => child.kill('SIGKILL'), ANSWER_TIMEOUT_MS);
      await ended;
      clearTimeout(timer);
    },
  };
}
