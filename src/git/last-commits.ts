// For the entries of a folder: the last commit that changed each, as `git log -1 -- path` finds it, in one walk.
import { isUtf8 } from 'node:buffer';
import type { Readable } from 'node:stream';
import { spawnGit } from './git-command.ts';
import type { ObjectId } from '../util/types.ts';

/** Entries of one folder at one commit: by name (a binary string) what tells two states apart, mode and id. */
export interface FolderState {
  get(name: string): string | undefined;
}

/** What the walk asks and where it starts. */
export interface LastCommitsOptions {
  readonly gitDirectory: string;
  /** Commit whose history is searched. */
  readonly commit: ObjectId;
  /** Path that holds all that is searched, a binary string without slashes at its ends; `''` is the root. */
  readonly path: string;
  /** Names that exist at `commit`; what they name is up to `stateAt`. */
  readonly names: Iterable<string>;
  /** What the names stand for at a commit; nothing where the commit does not have the path. */
  readonly stateAt: (commit: ObjectId) => Promise<FolderState>;
  /** Ends the walk early: names that were not found by then are missing in the result. */
  readonly signal: AbortSignal;
}

/**
 * Finds the last commit for each name. From a commit where an entry is the same as in one of its parents the search
 * goes on in (the first of) those parents; a commit where it differs from all of them is the answer. `git rev-list`
 * leaves out commits in which the whole path stayed the same, so a long history of other folders costs little.
 */
export async function findLastCommits(options: LastCommitsOptions): Promise<Map<string, ObjectId>> {
  const search = new Search(options.stateAt);
  const limit = limitOf(options.path);
  if (limit !== undefined) {
    await walk(options, search, limit);
    if (search.isDone || options.signal.aborted) return search.found;
    search.restart();
  }
  // Git itself does not find paths in trees that are not in its order, and arguments of a process are UTF-8 here: then
  // the walk takes in all commits, which is slower and needs no path.
  await walk(options, search, []);
  return search.found;
}

function limitOf(path: string): string[] | undefined {
  const bytes = Buffer.from(path, 'latin1');
  return path !== '' && isUtf8(bytes) ? [bytes.toString('utf8')] : undefined;
}

/** Follows names from commit to parent as the commits arrive. */
class Search {
  readonly found = new Map<string, ObjectId>();
  readonly #stateAt: LastCommitsOptions['stateAt'];
  /** Names that were followed to a commit that is not worked on yet. */
  readonly #sought = new Map<ObjectId, string[]>();
  /** Commits that came before a name was followed to them, with their parents: clocks of committers disagree. */
  readonly #early = new Map<ObjectId, readonly ObjectId[]>();
  #open: number | undefined;

  constructor(stateAt: LastCommitsOptions['stateAt']) {
    this.#stateAt = stateAt;
  }

  /** Whether all names were found. */
  get isDone(): boolean {
    return this.#open === 0;
  }

  /** Forgets everything but the way to look. */
  restart(): void {
    this.found.clear();
    this.#sought.clear();
    this.#early.clear();
    this.#open = undefined;
  }

  /** The next commit of the walk. The first one has everything as it is at the start of the search. */
  async visit(first: ObjectId, firstParents: readonly ObjectId[], names: Iterable<string>): Promise<void> {
    if (this.#open === undefined) {
      const all = [...names];
      this.#open = all.length;
      this.#sought.set(first, all);
    }
    const stack: [ObjectId, readonly ObjectId[]][] = [[first, firstParents]];
    for (let next = stack.pop(); next !== undefined; next = stack.pop()) {
      const [commit, parents] = next;
      const sought = this.#sought.get(commit);
      if (sought === undefined) {
        this.#early.set(commit, parents);
        continue;
      }
      this.#sought.delete(commit);
      await this.#follow(commit, parents, sought);
      for (const parent of parents) {
        const grandparents = this.#early.get(parent);
        if (grandparents === undefined || !this.#sought.has(parent)) continue;
        this.#early.delete(parent);
        stack.push([parent, grandparents]);
      }
    }
  }

  async #follow(commit: ObjectId, parents: readonly ObjectId[], names: readonly string[]): Promise<void> {
    const own = await this.#stateAt(commit);
    const states = await Promise.all(parents.map((parent) => this.#stateAt(parent)));
    for (const name of names) {
      const parent = parents[states.findIndex((state) => state.get(name) === own.get(name))];
      if (parent === undefined) {
        this.found.set(name, commit);
        this.#open = (this.#open ?? 0) - 1;
        continue;
      }
      const others = this.#sought.get(parent);
      if (others === undefined) this.#sought.set(parent, [name]);
      else others.push(name);
    }
  }
}

async function walk(options: LastCommitsOptions, search: Search, limit: readonly string[]): Promise<void> {
  const { gitDirectory, commit, names, signal } = options;
  if (signal.aborted) return;
  const git = spawnGit([
    `--git-dir=${gitDirectory}`,
    '--literal-pathspecs',
    'rev-list',
    '--parents',
    commit,
    '--',
    ...limit,
  ]);
  const stop = () => git.kill();
  signal.addEventListener('abort', stop, { once: true });
  try {
    git.child.stdin.end();
    git.child.on('error', stop);
    for await (const line of linesOf(git.child.stdout)) {
      if (signal.aborted) break;
      const [id = '', ...parents] = line.split(' ');
      await search.visit(id, parents, names);
      if (search.isDone) break;
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    signal.removeEventListener('abort', stop);
    git.kill();
  }
}

async function* linesOf(input: Readable): AsyncGenerator<string> {
  let rest = '';
  for await (const chunk of input as AsyncIterable<Buffer>) {
    const lines = (rest + chunk.toString('latin1')).split('\n');
    rest = lines.pop() ?? '';
    yield* lines;
  }
}
