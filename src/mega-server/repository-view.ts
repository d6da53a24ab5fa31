// A Git repository as Mega's read API sees it: refs, commits, and entries by path.
import { RequestError } from './envelope.ts';
import type { GitObjects } from '../git/git-objects.ts';
import { findLastCommits } from '../git/last-commits.ts';
import { parseRawCommit } from '../git/raw-commit.ts';
import type { RawCommit } from '../git/raw-commit.ts';
import { kindOfMode, parseRawTree } from '../git/raw-tree.ts';
import type { RawTreeEntry } from '../git/raw-tree.ts';
import { isBlobEntry, packSizes } from '../git/sized-tree.ts';
import type { SizedTree } from '../git/sized-tree.ts';
import type { ObjectId } from '../util/types.ts';
import { WeightedLru } from '../util/weighted-lru.ts';

/** A tree in memory. */
export interface Tree {
  readonly payload: Buffer;
  /** In stored order. */
  readonly entries: readonly RawTreeEntry[];
  get(name: string): RawTreeEntry | undefined;
}

/** A commit that a request is about; its tree is the root of the request's path. */
export interface Root extends RawCommit {
  readonly commit: ObjectId;
}

const TREE_BYTES_MAX = 64 * 1024 * 1024;
const COMMIT_BYTES_MAX = 4 * 1024 * 1024;
const TREE_CACHE_BYTES = 64 * 1024 * 1024;
/** An entry of a parsed tree takes about this many times its bytes in the payload. */
const PARSED_WEIGHT_FACTOR = 8;
const COMMIT_CACHE_COUNT = 8192;
const HISTORY_CACHE_NAMES = 100_000;
const HISTORY_TIMEOUT_MS = 20_000;

const S_IFDIR = 0o040000;
const EMPTY_TREE: Tree = { payload: Buffer.alloc(0), entries: [], get: () => undefined };

/** Reads what the routes need. Methods reject with RequestError where the client is to know, and with GitError. */
export class RepositoryView {
  /** The objects below. */
  readonly objects: GitObjects;
  readonly #headRef: string;
  readonly #trees = new WeightedLru<ObjectId, Tree>(TREE_CACHE_BYTES);
  readonly #commits = new WeightedLru<ObjectId, RawCommit>(COMMIT_CACHE_COUNT);
  readonly #histories = new WeightedLru<string, Promise<Map<string, ObjectId>>>(HISTORY_CACHE_NAMES);

  /** `headRef` is what an empty `refs=` means: `HEAD` or `refs/heads/...`, a binary string. */
  constructor(objects: GitObjects, headRef: string) {
    this.objects = objects;
    this.#headRef = headRef;
  }

  /** The commit at the head now, or undefined when there is none. */
  async head(): Promise<ObjectId | undefined> {
    return (await this.objects.header(`${this.#headRef}^{commit}`))?.id;
  }

  /**
   * The root for a `refs` parameter: empty for the head, an id for that commit, else a tag's name. A branch's name is
   * an error, as with Mega. Rejects with 404 for a commit that does not exist, 500 for a tag, 503 without a head.
   */
  async root(refs: string): Promise<Root> {
    if (refs === '') {
      const head = await this.head();
      if (head === undefined) throw new RequestError(503, `${this.#headRef} has no commit`);
      return this.#rootAt(head);
    }
    if (/^[0-9a-f]{40}$/iu.test(refs)) {
      const commit = (await this.objects.header(`${refs.toLowerCase()}^{commit}`))?.id;
      if (commit === undefined) throw new RequestError(404, `Not Found error: commit ${refs} not found`);
      return this.#rootAt(commit);
    }
    const commit = isRefName(refs)
      ? (await this.objects.header(`refs/tags/${refs}^{commit}`))?.id
      : undefined;
    if (commit === undefined) throw new RequestError(500, `there is no tag ${refs}`);
    return this.#rootAt(commit);
  }

  async #rootAt(commit: ObjectId): Promise<Root> {
    return { ...(await this.commit(commit)), commit };
  }

  /** A commit by its id. */
  async commit(id: ObjectId): Promise<RawCommit> {
    const cached = this.#commits.get(id);
    if (cached !== undefined) return cached;
    const payload = await this.objects.read(id, 'commit', COMMIT_BYTES_MAX);
    if (payload === undefined) throw new RequestError(404, `Not Found error: commit ${id} not found`);
    const commit = parseRawCommit(payload);
    this.#commits.set(id, commit);
    return commit;
  }

  /** A tree by its id, or undefined when the repository has no such tree. */
  async tree(id: ObjectId): Promise<Tree | undefined> {
    const cached = this.#trees.get(id);
    if (cached !== undefined) return cached;
    const payload = await this.objects.read(id, 'tree', TREE_BYTES_MAX);
    if (payload === undefined) return undefined;
    const entries = parseRawTree(payload);
    const byName = new Map(entries.map((entry) => [entry.name, entry]));
    const tree: Tree = { payload, entries, get: (name) => byName.get(name) };
    this.#trees.set(id, tree, payload.length * PARSED_WEIGHT_FACTOR);
    return tree;
  }

  /** A tree with the sizes of its blobs, or undefined when the repository has no such tree. */
  async sizedTree(id: ObjectId): Promise<SizedTree | undefined> {
    const tree = await this.tree(id);
    if (tree === undefined) return undefined;
    const ids = tree.entries.filter(isBlobEntry).map((entry) => entry.id);
    const sizes = await this.objects.blobSizes(ids);
    return { payload: tree.payload, sizes: packSizes(sizes) };
  }

  /** The entry at a path below a root tree, or undefined. The root itself is an entry without a name. */
  async entryAt(rootTree: ObjectId, path: readonly string[]): Promise<RawTreeEntry | undefined> {
    let entry: RawTreeEntry = { mode: S_IFDIR, name: '', id: rootTree };
    for (const name of path) {
      if (kindOfMode(entry.mode) !== 'directory') return undefined;
      const next = (await this.tree(entry.id))?.get(name);
      if (next === undefined) return undefined;
      entry = next;
    }
    return entry;
  }

  /** The tree at a path, or undefined when there is none: the path is missing, a file, or a submodule. */
  async treeAt(rootTree: ObjectId, path: readonly string[]): Promise<Tree | undefined> {
    const entry = await this.entryAt(rootTree, path);
    if (entry === undefined || kindOfMode(entry.mode) !== 'directory') return undefined;
    return this.tree(entry.id);
  }

  /** For the entries of the folder at a path, the last commits that changed them; after a deadline, some of them. */
  lastCommitsIn(root: Root, path: readonly string[], folder: Tree): Promise<Map<string, ObjectId>> {
    const names = folder.entries.map(({ name }) => name);
    return this.#remembered(`${root.commit} in ${path.join('/')}`, names.length + 1, (signal) =>
      findLastCommits({
        gitDirectory: this.objects.gitDirectory,
        commit: root.commit,
        path: path.join('/'),
        names,
        stateAt: async (commit) => {
          const state = (await this.treeAt((await this.commit(commit)).tree, path)) ?? EMPTY_TREE;
          return { get: (name) => stateOf(state.get(name)) };
        },
        signal,
      }),
    );
  }

  /** The last commit that changed what is at a path; undefined when finding it takes too long. */
  async lastCommitOf(root: Root, path: readonly string[]): Promise<ObjectId | undefined> {
    const found = await this.#remembered(`${root.commit} at ${path.join('/')}`, 1, (signal) =>
      findLastCommits({
        gitDirectory: this.objects.gitDirectory,
        commit: root.commit,
        path: path.join('/'),
        names: [''],
        stateAt: async (commit) => {
          const entry = await this.entryAt((await this.commit(commit)).tree, path);
          return { get: () => stateOf(entry) };
        },
        signal,
      }),
    );
    return found.get('');
  }

  /** Requests for the same history share one search; what was found before the deadline is not remembered. */
  #remembered(
    key: string,
    weight: number,
    search: (signal: AbortSignal) => Promise<Map<string, ObjectId>>,
  ): Promise<Map<string, ObjectId>> {
    const known = this.#histories.get(key);
    if (known !== undefined) return known;
    const signal = AbortSignal.timeout(HISTORY_TIMEOUT_MS);
    const result = search(signal);
    this.#histories.set(key, result, weight);
    const forget = () => this.#histories.delete(key);
    result.then(() => signal.aborted && forget(), forget);
    return result;
  }
}

function stateOf(entry: RawTreeEntry | undefined): string | undefined {
  return entry === undefined ? undefined : `${entry.mode} ${entry.id}`;
}

/** Whether a text can only be the name of a ref, not an expression (`v1~2`, `v1:path`); see git-check-ref-format. */
export function isRefName(text: string): boolean {
  if (text === '' || text === '@' || text.length > 1024) return false;
  // oxlint-disable-next-line no-control-regex
  return !/[\x00-\x20\x7f~^:?*[\\]|\.\.|@\{|\/\/|^\/|\/$|\.$|\.lock(?:\/|$)|(?:^|\/)\./u.test(text);
}
