// Bare repositories in which git serves clones: one for each commit, all over the objects of the served repository.
//
// A folder's clone has a commit that the served repository does not have, and that must not be written to it. Each of
// these repositories is a HEAD and one branch; their objects are one folder with the made-up commits, which names the
// served repository's objects as its alternate.
import { mkdirSync, rmSync } from 'node:fs';
import { copyFile, mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { deflate } from 'node:zlib';
import { runGit } from '../../git/git-command.ts';
import { GitError } from '../../git/git-error.ts';
import { hashObject } from '../../util/git-hash.ts';
import { SingleFlight } from '../../util/single-flight.ts';
import { removeLeftovers, temporaryName } from '../../util/temporary-files.ts';
import type { ObjectId } from '../../util/types.ts';

const compress = promisify(deflate);

const FOLDER_PREFIX = 'scorpio-mega-server-';
const GIT_PATH_TIMEOUT_MS = 10_000;
/** Repositories that are kept; each is a few small files. */
const KEPT_MAX = 256;

/** Any object is to be had by its id over the REST API anyway. Searching for deltas costs more than sending without. */
const CONFIG = `[core]
\trepositoryformatversion = 0
\tbare = true
[uploadpack]
\tallowAnySHA1InWant = true
\tallowFilter = true
[pack]
\twindow = 0
`;

/** A repository for git to serve. */
export interface CloneRepository {
  readonly directory: string;
  readonly environment: Readonly<Record<string, string>>;
}

/** Makes the repositories, below a temporary folder that is made with the first one. */
export class CloneRepositories implements Disposable {
  readonly #gitDirectory: string;
  readonly #making = new SingleFlight<ObjectId, CloneRepository>(() => new GitError('closed', 'given up'));
  readonly #kept = new Map<ObjectId, CloneRepository>();
  #folder: Promise<string> | undefined;
  #made: string | undefined;
  /** Where the served repository notes the commits whose parents it lacks, if there are some. */
  #shallow = '';
  #closed = false;

  /** `gitDirectory` is that of the served repository. */
  constructor(gitDirectory: string) {
    this.#gitDirectory = gitDirectory;
  }

  /** Keeps a commit that only clones see; returns its id. */
  async addCommit(payload: Buffer): Promise<ObjectId> {
    const id = hashObject('commit', payload);
    const folder = join(await this.#open(), 'objects', id.slice(0, 2));
    const header = Buffer.from(`commit ${payload.length}\0`);
    await mkdir(folder, { recursive: true });
    await replaceFile(join(folder, id.slice(2)), await compress(Buffer.concat([header, payload])));
    return id;
  }

  /** The repository whose only branch is at a commit. */
  async at(commit: ObjectId): Promise<CloneRepository> {
    const known = this.#kept.get(commit);
    if (known !== undefined) {
      this.#kept.delete(commit);
      this.#kept.set(commit, known);
      return known;
    }
    return this.#making.run(commit, () => this.#make(commit));
  }

  /** Removes all of them. */
  close(): void {
    this.#closed = true;
    if (this.#made !== undefined) rmSync(this.#made, { recursive: true, force: true });
  }

  [Symbol.dispose](): void {
    this.close();
  }

  async #make(commit: ObjectId): Promise<CloneRepository> {
    const folder = await this.#open();
    const directory = join(folder, commit);
    await mkdir(join(directory, 'refs', 'heads'), { recursive: true });
    await copyFile(this.#shallow, join(directory, 'shallow')).catch(() => undefined);
    await writeFile(join(directory, 'refs', 'heads', 'main'), `${commit}\n`);
    await writeFile(join(directory, 'config'), CONFIG);
    await writeFile(join(directory, 'HEAD'), 'ref: refs/heads/main\n');
    const made = { directory, environment: { GIT_OBJECT_DIRECTORY: join(folder, 'objects') } };
    this.#kept.set(commit, made);
    const [oldest] = this.#kept.keys();
    if (this.#kept.size > KEPT_MAX && oldest !== undefined) {
      this.#kept.delete(oldest);
      // A git that still serves from it has read what it needed.
      await rm(join(folder, oldest), { recursive: true, force: true });
    }
    return made;
  }

  #open(): Promise<string> {
    if (this.#closed) return Promise.reject(new GitError('closed', 'the server was closed'));
    this.#folder ??= this.#create().catch((error: unknown) => {
      this.#folder = undefined;
      throw error;
    });
    return this.#folder;
  }

  async #create(): Promise<string> {
    const { code, output, errorText } = await runGit(
      [
        `--git-dir=${this.#gitDirectory}`,
        'rev-parse',
        '--path-format=absolute',
        '--git-path',
        'objects',
        '--git-path',
        'shallow',
      ],
      GIT_PATH_TIMEOUT_MS,
    );
    if (code !== 0) throw new GitError('failed', `git cannot tell where the objects are: ${errorText}`);
    const [objects = '', shallow = ''] = output.split('\n');
    const folder = join(tmpdir(), FOLDER_PREFIX + temporaryName());
    // Fails where there is something of that name.
    mkdirSync(folder, { mode: 0o700 });
    // Of servers that were killed; those that stay do no harm.
    void removeLeftovers(tmpdir(), FOLDER_PREFIX).catch(() => undefined);
    if (this.#closed) {
      rmSync(folder, { recursive: true, force: true });
      throw new GitError('closed', 'the server was closed');
    }
    this.#made = folder;
    await mkdir(join(folder, 'objects', 'info'), { recursive: true });
    await writeFile(join(folder, 'objects', 'info', 'alternates'), `${objects}\n`);
    this.#shallow = shallow;
    return folder;
  }
}

/** Writes a file whose content follows from its name: whoever reads it finds it whole. */
async function replaceFile(path: string, content: Buffer): Promise<void> {
  const temporary = `${path}.${process.pid}.${Math.random().toString(36).slice(2)}`;
  await writeFile(temporary, content);
  await rename(temporary, path);
}
