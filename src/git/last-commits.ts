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
  const found = new Map<string, ObjectId>();
  /** Names that the search has followed to a commit that is not worked on yet. */
  const searched = new Map<ObjectId, string[]>();
  /** Commits that came before a search reached them, with their parents: clocks of committers disagree. */
  const early = new Map<ObjectId, readonly ObjectId[]>();
  let open = 0;

  async function visit(first: ObjectId, firstParents: readonly ObjectId[]): Promise<void> {
    const stack: [ObjectId, readonly ObjectId[]][] = [[first, firstParents]];
    for (let next = stack.pop(); next !== undefined; next = stack.pop()) {
      const [commit, parents] = next;
      const names = searched.get(commit);
      if (names === undefined) {
        early.set(commit, parents);
        continue;
      }
      searched.delete(commit);
      const own = await options.stateAt(commit);
      const states = await Promise.all(parents.map((parent) => options.stateAt(parent)));
      for (const name of names) {
        const same = states.findIndex((state) => state.get(name) === own.get(name));
        const parent = parents[same];
        if (parent === undefined) {
          found.set(name, commit);
          open--;
        } else {
          const others = searched.get(parent);
          if (others === undefined) searched.set(parent, [name]);
          else others.push(name);
        }
      }
      for (const parent of parents) {
        const grandparents = early.get(parent);
        if (grandparents === undefined || !searched.has(parent)) continue;
        early.delete(parent);
        stack.push([parent, grandparents]);
      }
    }
  }

  const git = spawnGit(revListArguments(options));
  const stop = () => git.kill();
  options.signal.addEventListener('abort', stop, { once: true });
  try {
    git.child.stdin.end();
    git.child.on('error', stop);
    let started = false;
    for await (const line of linesOf(git.child.stdout)) {
      if (options.signal.aborted) break;
      const [commit = '', ...parents] = line.split(' ');
      if (!started) {
        // The newest commit in which the path differs: all is still as in `options.commit`.
        started = true;
        const names = [...options.names];
        open = names.length;
        searched.set(commit, names);
      }
      await visit(commit, parents);
      if (open === 0) break;
    }
  } catch (error) {
    if (!options.signal.aborted) throw error;
  } finally {
    options.signal.removeEventListener('abort', stop);
    git.kill();
  }
  return found;
}

async function* linesOf(input: Readable): AsyncGenerator<string> {
  let rest = '';
  for await (const chunk of input as AsyncIterable<Buffer>) {
    const lines = (rest + chunk.toString('latin1')).split('\n');
    rest = lines.pop() ?? '';
    yield* lines;
  }
}

function revListArguments({ gitDirectory, commit, path }: LastCommitsOptions): string[] {
  // Arguments of a process are UTF-8 here. For other names the walk takes in all commits: slower, with the same result.
  const expressible = path !== '' && isUtf8(Buffer.from(path, 'latin1'));
  const limit = expressible ? ['--', Buffer.from(path, 'latin1').toString('utf8')] : ['--'];
  return [`--git-dir=${gitDirectory}`, '--literal-pathspecs', 'rev-list', '--parents', commit, ...limit];
}
