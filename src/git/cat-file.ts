// One long-lived `git cat-file --batch` or `--batch-check`: questions are pipelined, answers come in order.
import { spawnError, spawnGit } from './git-command.ts';
import type { GitProcess } from './git-command.ts';
import { GitError } from './git-error.ts';
import type { GitObjectType } from '../util/git-hash.ts';
import type { Logger } from '../util/logger.ts';
import type { ObjectId } from '../util/types.ts';

/** What Git says about an object. */
export interface ObjectHeader {
  readonly id: ObjectId;
  readonly type: GitObjectType;
  /** Size of the payload in bytes. */
  readonly size: number;
}

/** The answer for one object; without a header the repository does not have it. */
export interface CatFileAnswer {
  readonly header: ObjectHeader | undefined;
  /** The payload, where the process gives contents and the caller wanted this one. */
  readonly payload: Buffer | undefined;
}

interface Question {
  readonly specs: readonly string[];
  readonly wants: (header: ObjectHeader) => boolean;
  readonly resolve: (answers: CatFileAnswer[]) => void;
  readonly reject: (error: GitError) => void;
  answers: CatFileAnswer[];
  attempts: number;
}

/** Git ended while it worked on a question: it may have been killed, so the question is asked once more. */
const ATTEMPTS_MAX = 2;
const SILENCE_TIMEOUT_MS = 30_000;
/** Questions that git may have in its input; more wait here, so that a dying git has little to repeat. */
const PIPELINE_DEPTH = 64;
const HEADER_BYTES_MAX = 64 * 1024;
const LINE_FEED = 0x0a;
const HEADER = /^([0-9a-f]{40}) (blob|tree|commit|tag) (\d+)$/u;

/** One cat-file process, started at the first question and again after it died. */
export class CatFile {
  readonly #gitDirectory: string;
  readonly #mode: '--batch' | '--batch-check';
  readonly #log: Logger | undefined;
  #waiting: Question[] = [];
  #asked: Question[] = [];
  #process: GitProcess | undefined;
  #closed = false;
  #silence: NodeJS.Timeout | undefined;
  /** Pieces of output that arrived: a sign of life. */
  #chunks = 0;

  // The answer that is being read.
  #line: Buffer = Buffer.alloc(0);
  #header: ObjectHeader | undefined;
  #payload: Buffer | undefined;
  #payloadRead = 0;

  /** `--batch` answers with contents, `--batch-check` with headers only. */
  constructor(gitDirectory: string, mode: '--batch' | '--batch-check', log: Logger | undefined) {
    this.#gitDirectory = gitDirectory;
    this.#mode = mode;
    this.#log = log;
  }

  /** Questions that are not answered yet. */
  get pending(): number {
    return this.#waiting.length + this.#asked.length;
  }

  /** Process id of the git that runs now, if one does. */
  get pid(): number | undefined {
    return this.#process?.child.pid;
  }

  /**
   * Asks for objects, by ids or expressions without line feeds (binary strings); all answers come together and in the
   * order of `specs`. Payloads are kept in memory where `wants` says so. Rejects with GitError of kind `failed`,
   * `git-missing` or `closed`.
   */
  ask(specs: readonly string[], wants: (header: ObjectHeader) => boolean): Promise<CatFileAnswer[]> {
    if (this.#closed) return Promise.reject(closedError());
    if (specs.length === 0) return Promise.resolve([]);
    return new Promise((resolve, reject) => {
      this.#waiting.push({ specs, wants, resolve, reject, answers: [], attempts: 0 });
      this.#pump();
    });
  }

  /** Ends the process; open questions are rejected. */
  close(): void {
    this.#closed = true;
    this.#process?.kill();
    this.#process = undefined;
    clearTimeout(this.#silence);
    this.#silence = undefined;
    for (const question of this.#takeAll()) question.reject(closedError());
  }

  #pump(): void {
    if (this.#waiting.length === 0 || this.#closed) return;
    const { child } = (this.#process ??= this.#start());
    let input = '';
    while (this.#asked.length < PIPELINE_DEPTH) {
      const question = this.#waiting.shift();
      if (question === undefined) break;
      input += `${question.specs.join('\n')}\n`;
      this.#asked.push(question);
    }
    if (input === '') return;
    child.stdin.write(input, 'latin1');
    this.#silence ??= this.#watch(this.#chunks);
  }

  #start(): GitProcess {
    const git = spawnGit([
      `--git-dir=${this.#gitDirectory}`,
      // An id is never meant as a branch's name; looking for one costs file accesses for every id.
      '-c',
      'core.warnAmbiguousRefs=false',
      'cat-file',
      this.#mode,
    ]);
    const current = () => this.#process === git;
    git.child.stdout.on('data', (chunk: Buffer) => {
      if (!current()) return;
      this.#chunks++;
      this.#read(chunk);
    });
    git.child.on('error', (error) => {
      if (current()) this.#giveUp(spawnError(error));
    });
    // `close` comes when its output was read to the end.
    git.child.on('close', (code, signal) => {
      if (current()) this.#died(`git cat-file ended (${signal ?? code}): ${git.errorText()}`);
    });
    return git;
  }

  /** A git that says nothing for long (a dead network disk) is ended; it counts as having died. */
  #watch(chunksBefore: number): NodeJS.Timeout {
    return setTimeout(() => {
      this.#silence = undefined;
      if (this.#asked.length === 0) return;
      if (this.#chunks !== chunksBefore) this.#silence = this.#watch(this.#chunks);
      else this.#fail(`git cat-file said nothing for ${SILENCE_TIMEOUT_MS} ms`);
    }, SILENCE_TIMEOUT_MS).unref();
  }

  #read(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length && this.#process !== undefined) {
      at =
        this.#header === undefined ? this.#readHeader(chunk, at) : this.#readPayload(chunk, at, this.#header);
    }
  }

  #readHeader(chunk: Buffer, at: number): number {
    const end = chunk.indexOf(LINE_FEED, at);
    const piece = chunk.subarray(at, end < 0 ? undefined : end);
    this.#line = this.#line.length === 0 ? Buffer.from(piece) : Buffer.concat([this.#line, piece]);
    if (end < 0) {
      if (this.#line.length > HEADER_BYTES_MAX) this.#fail('git cat-file answered with nonsense');
      return chunk.length;
    }
    const line = this.#line.toString('latin1');
    this.#line = Buffer.alloc(0);
    const match = HEADER.exec(line);
    if (match === null) {
      if (/ (?:missing|ambiguous)$/u.test(line)) this.#answer(undefined, undefined);
      else this.#fail(`git cat-file answered with nonsense: ${line.slice(0, 200)}`);
      return end + 1;
    }
    const header: ObjectHeader = {
      id: match[1] ?? '',
      type: match[2] as GitObjectType,
      size: Number(match[3]),
    };
    if (this.#mode === '--batch-check') {
      this.#answer(header, undefined);
      return end + 1;
    }
    this.#header = header;
    this.#payloadRead = 0;
    // A buffer of its own: what is kept must not keep more alive than its size says.
    this.#payload = this.#asked[0]?.wants(header) === true ? Buffer.allocUnsafeSlow(header.size) : undefined;
    return end + 1;
  }

  #readPayload(chunk: Buffer, at: number, header: ObjectHeader): number {
    const end = Math.min(chunk.length, at + header.size - this.#payloadRead);
    this.#payload?.set(chunk.subarray(at, end), this.#payloadRead);
    this.#payloadRead += end - at;
    // A line feed follows the payload.
    if (this.#payloadRead < header.size || end === chunk.length) return end;
    this.#header = undefined;
    this.#answer(header, this.#payload);
    return end + 1;
  }

  #answer(header: ObjectHeader | undefined, payload: Buffer | undefined): void {
    const question = this.#asked[0];
    this.#payload = undefined;
    if (question === undefined) {
      this.#fail('git cat-file answered more than it was asked');
      return;
    }
    question.answers.push({ header, payload });
    if (question.answers.length < question.specs.length) return;
    this.#asked.shift();
    question.resolve(question.answers);
    this.#pump();
  }

  #fail(reason: string): void {
    this.#process?.kill();
    this.#died(reason);
  }

  #died(reason: string): void {
    this.#log?.warn(reason, { repository: this.#gitDirectory });
    this.#forgetProcess();
    const unanswered = this.#asked;
    this.#asked = [];
    for (const question of unanswered) question.answers = [];
    // Only the first can be what git died of; the others were waiting.
    const first = unanswered[0];
    if (first !== undefined && ++first.attempts >= ATTEMPTS_MAX) {
      unanswered.shift();
      first.reject(new GitError('failed', reason));
    }
    this.#waiting = [...unanswered, ...this.#waiting];
    this.#pump();
  }

  #giveUp(error: GitError): void {
    this.#forgetProcess();
    for (const question of this.#takeAll()) question.reject(error);
  }

  #forgetProcess(): void {
    this.#process = undefined;
    this.#line = Buffer.alloc(0);
    this.#header = undefined;
    this.#payload = undefined;
    clearTimeout(this.#silence);
    this.#silence = undefined;
  }

  #takeAll(): Question[] {
    const all = [...this.#asked, ...this.#waiting];
    this.#asked = [];
    this.#waiting = [];
    return all;
  }
}

function closedError(): GitError {
  return new GitError('closed', 'the repository was closed');
}
