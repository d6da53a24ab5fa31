// Runs `git upload-pack` for one HTTP request: bounded in number, ended with its client.
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { spawnError, spawnGit, type GitProcess } from '../../git/git-command.ts';
import { GitError } from '../../git/git-error.ts';
import { RequestError } from '../envelope.ts';
import type { CloneRepository } from './clone-repository.ts';

/** Gits that may serve at once; each may keep a processor busy. */
const PROCESSES_MAX = 8;
/** How long a git may say nothing, in seconds. */
const SILENCE_TIMEOUT_SECS = 60;
/** How long the refs of a repository may take: they are one. */
const ADVERTISEMENT_TIMEOUT_MS = 20_000;
const ADVERTISEMENT_BYTES_MAX = 16 * 1024 * 1024;
/** What a client may send: its wants, and commits that it has. */
const REQUEST_BYTES_MAX = 64 * 1024 * 1024;

/** Serves fetches from repositories. Methods reject with GitError, and with RequestError 503 when too many are served. */
export class UploadPack implements Disposable {
  readonly #running = new Set<GitProcess>();
  readonly #advertisementTimeoutMs: number;

  /** `advertisementTimeoutMs`: how long `advertise` may take. */
  constructor(advertisementTimeoutMs: number = ADVERTISEMENT_TIMEOUT_MS) {
    this.#advertisementTimeoutMs = advertisementTimeoutMs;
  }

  /** What the repository has to offer, in the version of the protocol that the client wants. */
  async advertise(repository: CloneRepository, protocol: string | undefined): Promise<Buffer> {
    const git = this.#start(repository, protocol, ['--advertise-refs']);
    git.child.stdin.end();
    const pieces: Buffer[] = [];
    let bytes = 0;
    let isLate = false;
    const timer = setTimeout(() => {
      isLate = true;
      git.kill();
    }, this.#advertisementTimeoutMs);
    try {
      for await (const chunk of git.child.stdout as AsyncIterable<Buffer>) {
        bytes += chunk.length;
        if (bytes > ADVERTISEMENT_BYTES_MAX) throw new GitError('failed', 'git advertises without end');
        pieces.push(chunk);
      }
    } catch (error) {
      // Killed, its output ends with an error of its own.
      if (!isLate) throw error;
    } finally {
      clearTimeout(timer);
      git.kill();
    }
    if (isLate)
      throw new GitError('failed', 'git upload-pack does not answer; check the disk of the repository');
    if (bytes === 0) throw new GitError('failed', `git upload-pack: ${git.errorText()}`);
    return Buffer.concat(pieces);
  }

  /** The answer to a request, as it comes. The caller reads it to its end or destroys it. */
  serve(
    repository: CloneRepository,
    protocol: string | undefined,
    body: Readable,
    isCompressed: boolean,
  ): Readable {
    const git = this.#start(repository, protocol, []);
    const { stdin, stdout } = git.child;
    let received = 0;
    const count = (chunk: Buffer): void => {
      received += chunk.length;
      if (received > REQUEST_BYTES_MAX) git.kill();
    };
    const done = (error: unknown): void => {
      // A git that has all it needs closes its input.
      if (error instanceof Error && (error as NodeJS.ErrnoException).code !== 'EPIPE') git.kill();
    };
    if (isCompressed) {
      const plain = createGunzip();
      plain.on('data', count);
      pipeline(body, plain, stdin, done);
    } else {
      body.on('data', count);
      pipeline(body, stdin, done);
    }
    stdout.once('close', () => git.kill());
    return stdout;
  }

  /** Ends all of them. */
  close(): void {
    for (const git of this.#running) git.kill();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #start(repository: CloneRepository, protocol: string | undefined, args: readonly string[]): GitProcess {
    if (this.#running.size >= PROCESSES_MAX) {
      throw new RequestError(503, `${PROCESSES_MAX} clones are being served already; try again`);
    }
    // Ours, if it is set, is of a connection that this server was started in.
    const environment = { ...repository.environment, GIT_PROTOCOL: protocol ?? '' };
    const git = spawnGit(
      ['upload-pack', '--stateless-rpc', `--timeout=${SILENCE_TIMEOUT_SECS}`, ...args, repository.directory],
      { environment, ownGroup: true },
    );
    this.#running.add(git);
    const ended = (): boolean => this.#running.delete(git);
    git.child.once('close', ended);
    git.child.once('error', (error) => {
      ended();
      git.child.stdout.destroy(spawnError(error));
    });
    return git;
  }
}
