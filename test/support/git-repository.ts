// Makes real Git repositories for tests in temporary folders, from a description of their files.
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ObjectId } from '../../src/util/types.ts';

/** Content of a file; a string is written as UTF-8. */
export type Content = string | Uint8Array;

/** What is at a path: a file (with a mode), a symlink, a submodule, or `null` for nothing (deletes it). */
export type PathSpec =
  | Content
  | { readonly content: Content; readonly mode?: 0o100644 | 0o100755 }
  | { readonly symlink: Content }
  | { readonly submodule: ObjectId }
  | null;

/** Files by path: `/`-separated binary strings, a character a byte; for Unicode names use {@link utf8Name}. */
export type FilesSpec = Readonly<Record<string, PathSpec>> | Iterable<readonly [string, PathSpec]>;

/** Options of a commit. */
export interface CommitOptions {
  /** Message, default `commit N`. */
  readonly message?: string;
  /** Branch that moves, default the repository's first branch. Made if it does not exist. */
  readonly branch?: string;
  /** Where the branch starts or restarts. Default: the branch's own head. */
  readonly from?: string;
  /** Further parents: a merge. The files are those of the first parent and the given changes. */
  readonly merge?: readonly string[];
  /** Author and committer time in seconds, default {@link FIRST_COMMIT_TIME} and a minute more for each commit. */
  readonly time?: number;
}

/** Options of a repository. */
export interface GitRepositoryOptions {
  /** Files of the first commit; without, the repository has no commit. `{}` is a commit of the empty tree. */
  readonly files?: FilesSpec;
  /** Default true. A repository that is not bare has its working tree in `path`, checked out only on `checkout()`. */
  readonly bare?: boolean;
  /** Name of the branch that HEAD names, default `main`. */
  readonly branch?: string;
}

/** A repository in a temporary folder. */
export interface GitRepository extends AsyncDisposable {
  /** Folder of the repository (what `--repo` takes). */
  readonly path: string;
  /** Id of the last commit made; empty as long as there is none. */
  readonly head: ObjectId;
  /** Adds a commit: the given paths change, all others stay. Returns its id. */
  commit(files: FilesSpec, options?: CommitOptions): Promise<ObjectId>;
  /** Runs git in the repository and returns its standard output, without a final line feed. */
  git(args: readonly string[], input?: Content): Promise<string>;
  /** The same, as bytes. */
  gitBytes(args: readonly string[], input?: Content): Promise<Buffer>;
  /** Writes an object of any kind, valid or not (unsorted trees, odd modes). Returns its id. */
  writeObject(type: 'blob' | 'tree' | 'commit' | 'tag', payload: Content): Promise<ObjectId>;
  /** Moves the first branch to a commit made by hand. */
  setHead(commit: ObjectId): Promise<void>;
  /** Writes the files of the head into the working tree (not bare). */
  checkout(): Promise<void>;
  /** Deletes the folder. */
  remove(): Promise<void>;
}

/** Time of the first commit, in seconds: 2023-11-14T22:13:20Z. */
export const FIRST_COMMIT_TIME = 1_700_000_000;

const COMMIT_INTERVAL_SECONDS = 60;
const IDENTITY = { name: 'Ada Author', email: 'ada@example.com' };

/** The environment that keeps the user's Git configuration out of tests; author, committer and dates are fixed. */
export const GIT_TEST_ENVIRONMENT: Readonly<Record<string, string>> = {
  PATH: process.env['PATH'] ?? '/usr/bin:/bin',
  HOME: '/nonexistent',
  LC_ALL: 'C',
  GIT_CONFIG_GLOBAL: '/dev/null',
  GIT_CONFIG_NOSYSTEM: '1',
  GIT_TERMINAL_PROMPT: '0',
  GIT_AUTHOR_NAME: IDENTITY.name,
  GIT_AUTHOR_EMAIL: IDENTITY.email,
  GIT_AUTHOR_DATE: `${FIRST_COMMIT_TIME} +0000`,
  GIT_COMMITTER_NAME: IDENTITY.name,
  GIT_COMMITTER_EMAIL: IDENTITY.email,
  GIT_COMMITTER_DATE: `${FIRST_COMMIT_TIME} +0000`,
};

/** A Unicode name as the binary string of its UTF-8 bytes. */
export function utf8Name(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1');
}

/** Makes a repository. The caller disposes of it. */
export async function createGitRepository(options: GitRepositoryOptions = {}): Promise<GitRepository> {
  const path = await mkdtemp(join(tmpdir(), 'scorpio-git-'));
  const branch = options.branch ?? 'main';
  try {
    const bare = options.bare ?? true;
    await runGit(path, ['init', '--quiet', `--initial-branch=${branch}`, ...(bare ? ['--bare'] : [])]);
    const repository = new TestRepository(path, branch);
    if (options.files !== undefined) await repository.commit(options.files);
    return repository;
  } catch (error) {
    await rm(path, { recursive: true, force: true });
    throw error;
  }
}

class TestRepository implements GitRepository {
  readonly path: string;
  head: ObjectId = '';
  readonly #branch: string;
  #commits = 0;

  constructor(path: string, branch: string) {
    this.path = path;
    this.#branch = branch;
  }

  async commit(files: FilesSpec, options: CommitOptions = {}): Promise<ObjectId> {
    const number = this.#commits++;
    const time = options.time ?? FIRST_COMMIT_TIME + number * COMMIT_INTERVAL_SECONDS;
    const reference = `refs/heads/${options.branch ?? this.#branch}`;
    const from = options.from ?? (await this.#resolve(reference));
    const who = `${IDENTITY.name} <${IDENTITY.email}> ${time} +0000`;
    const parts: Buffer[] = [];
    const line = (text: string) => parts.push(Buffer.from(`${text}\n`, 'latin1'));
    if (options.from !== undefined) line(`reset ${reference}`);
    line(`commit ${reference}`);
    line('mark :1');
    line(`author ${who}`);
    line(`committer ${who}`);
    pushData(parts, options.message ?? `commit ${number + 1}`);
    if (from !== undefined) line(`from ${from}`);
    for (const parent of options.merge ?? []) line(`merge ${parent}`);
    for (const [name, spec] of entriesOf(files)) pushChange(parts, name, spec);
    line('');
    line('get-mark :1');
    line('done');
    const output = await this.git(['fast-import', '--quiet', '--done', '--force'], Buffer.concat(parts));
    this.head = output.trim();
    return this.head;
  }

  async git(args: readonly string[], input?: Content): Promise<string> {
    return (await this.gitBytes(args, input)).toString('utf8').replace(/\n$/, '');
  }

  gitBytes(args: readonly string[], input?: Content): Promise<Buffer> {
    return runGit(this.path, args, input);
  }

  writeObject(type: 'blob' | 'tree' | 'commit' | 'tag', payload: Content): Promise<ObjectId> {
    return this.git(['hash-object', '-w', '--literally', '--stdin', '-t', type], payload);
  }

  async setHead(commit: ObjectId): Promise<void> {
    await this.git(['update-ref', `refs/heads/${this.#branch}`, commit]);
    this.head = commit;
  }

  async checkout(): Promise<void> {
    await this.git(['reset', '--quiet', '--hard', 'HEAD']);
  }

  async remove(): Promise<void> {
    await rm(this.path, { recursive: true, force: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.remove();
  }

  async #resolve(reference: string): Promise<ObjectId | undefined> {
    const found = await this.git(['for-each-ref', '--format=%(objectname)', reference]);
    return found === '' ? undefined : found;
  }
}

function entriesOf(files: FilesSpec): Iterable<readonly [string, PathSpec]> {
  return Symbol.iterator in files ? (files as Iterable<readonly [string, PathSpec]>) : Object.entries(files);
}

function pushChange(parts: Buffer[], name: string, spec: PathSpec): void {
  const quoted = quotePath(name);
  const line = (text: string) => parts.push(Buffer.from(`${text}\n`, 'latin1'));
  if (spec === null) {
    line(`D ${quoted}`);
  } else if (typeof spec === 'string' || spec instanceof Uint8Array) {
    line(`M 100644 inline ${quoted}`);
    pushData(parts, spec);
  } else if ('symlink' in spec) {
    line(`M 120000 inline ${quoted}`);
    pushData(parts, spec.symlink);
  } else if ('submodule' in spec) {
    line(`M 160000 ${spec.submodule} ${quoted}`);
  } else {
    line(`M ${(spec.mode ?? 0o100644).toString(8)} inline ${quoted}`);
    pushData(parts, spec.content);
  }
}

function pushData(parts: Buffer[], content: Content): void {
  const bytes = typeof content === 'string' ? Buffer.from(content, 'utf8') : Buffer.from(content);
  parts.push(Buffer.from(`data ${bytes.length}\n`), bytes, Buffer.from('\n'));
}

/** A path in the quotes of fast-import's input: every byte that is not plain becomes an octal escape. */
function quotePath(name: string): string {
  const escaped = name.replace(/[^\w/. -]/g, (character) => {
    const code = character.charCodeAt(0);
    if (code === 0 || code > 0xff)
      throw new Error(`not a path of bytes (see utf8Name): ${JSON.stringify(name)}`);
    return `\\${code.toString(8).padStart(3, '0')}`;
  });
  return `"${escaped}"`;
}

function runGit(path: string, args: readonly string[], input?: Content): Promise<Buffer> {
  const { promise, resolve, reject } = withResolvers<Buffer>();
  const child = spawn('git', ['-C', path, ...args], { env: GIT_TEST_ENVIRONMENT, stdio: 'pipe' });
  const output: Buffer[] = [];
  const errors: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => output.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => errors.push(chunk));
  child.on('error', reject);
  child.on('close', (code, signal) => {
    if (code === 0) resolve(Buffer.concat(output));
    else
      reject(
        new Error(`git ${args.join(' ')}: ${signal ?? code}: ${Buffer.concat(errors).toString('utf8')}`),
      );
  });
  // A git that fails early closes its input; its exit code tells why.
  child.stdin.on('error', () => {});
  child.stdin.end(input ?? '');
  return promise;
}

function withResolvers<T>() {
  let resolve!: (value: T) => void;
  let reject!: (error: Error) => void;
  const promise = new Promise<T>((res, rej) => {
    resolve = res;
    reject = rej;
  });
  return { promise, resolve, reject };
}
