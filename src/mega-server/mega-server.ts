// A small Mega-compatible server over a local Git repository: opens it, listens, and closes in order.
import type { AddressInfo } from 'node:net';
import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { FastifyInstance } from 'fastify';
import { createApp } from './app.ts';
import type { LfsServerOptions } from './lfs/lfs-routes.ts';
import { MegaServerError } from './mega-server-error.ts';
import { isRefName, RepositoryView } from './repository-view.ts';
import { GitError } from '../git/git-error.ts';
import { GitObjects } from '../git/git-objects.ts';
import { openGitDirectory } from '../git/open-repository.ts';
import type { Logger } from '../util/logger.ts';

/** What to serve, and where. */
export interface MegaServerOptions {
  /** Folder of a Git repository: bare, a working tree, or a linked worktree. */
  readonly repo: string;
  /** Address to listen at, default `127.0.0.1`: whoever reaches it reads everything. */
  readonly host?: string;
  /** Port to listen at; 0 takes a free one. */
  readonly port: number;
  /** Branch to serve, default whatever HEAD names. */
  readonly branch?: string;
  /** Large files. Default: those of the repository, for everybody. */
  readonly lfs?: LfsServerOptions;
  /** Default: nothing is logged. */
  readonly log?: Logger;
}

/** A running server. */
export interface MegaServer extends AsyncDisposable {
  /** Base URL for clients on this machine, without a slash at its end. */
  readonly url: string;
  readonly port: number;
  /** The Git directory that is served. */
  readonly gitDirectory: string;
  /** Process ids of the gits that serve small objects now. */
  readonly gitPids: readonly number[];
  /** Large blobs that are being sent now, each by a git of its own. */
  readonly streamCount: number;
  /** Stops: running requests have a second, then connections and git processes end. May be called again. */
  close(): Promise<void>;
}

const CLOSE_GRACE_MS = 1000;

/** Starts a server. Rejects with MegaServerError when the repository cannot be served or the address not be listened at. */
export async function createMegaServer(options: MegaServerOptions): Promise<MegaServer> {
  const { port, branch, log } = options;
  // For this name the framework would open a second listener (::1), which it does not close with its connections.
  const host = options.host === undefined || options.host === 'localhost' ? '127.0.0.1' : options.host;
  const objects = new GitObjects(await openRepository(options.repo), log);
  try {
    const view = new RepositoryView(objects, headRef(branch));
    await checkHead(view, options);
    const root = options.lfs?.root ?? join(await commonDirectory(objects.gitDirectory), 'lfs');
    const app = createApp(view, { ...options.lfs, root }, log);
    await listen(app, host, port);
    return serverOf(app, objects, host);
  } catch (error) {
    objects.close();
    throw asMegaServerError(error);
  }
}

function serverOf(app: FastifyInstance, objects: GitObjects, host: string): MegaServer {
  const { port } = app.server.address() as AddressInfo;
  let closing: Promise<void> | undefined;
  async function closeAll(): Promise<void> {
    const cut = setTimeout(() => app.server.closeAllConnections(), CLOSE_GRACE_MS);
    try {
      await app.close();
    } finally {
      clearTimeout(cut);
      objects.close();
    }
  }
  const close = () => (closing ??= closeAll());
  return {
    url: `http://${clientHost(host)}:${port}`,
    port,
    gitDirectory: objects.gitDirectory,
    get gitPids() {
      return objects.pids;
    },
    get streamCount() {
      return objects.streamCount;
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** Clients cannot connect to "any address"; the loopback address is one of them. */
function clientHost(host: string): string {
  if (host === '0.0.0.0') return '127.0.0.1';
  if (host === '::') return '[::1]';
  return host.includes(':') ? `[${host}]` : host;
}

function headRef(branch: string | undefined): string {
  if (branch === undefined) return 'HEAD';
  const name = Buffer.from(branch, 'utf8').toString('latin1');
  if (!isRefName(name))
    throw new MegaServerError('repository', `not a branch name: ${JSON.stringify(branch)}`);
  return `refs/heads/${name}`;
}

async function openRepository(path: string): Promise<string> {
  try {
    return await openGitDirectory(path);
  } catch (error) {
    throw asMegaServerError(error);
  }
}

/** A linked worktree shares all but its head and index with its repository; git-lfs keeps its objects there. */
async function commonDirectory(gitDirectory: string): Promise<string> {
  const text = await readFile(join(gitDirectory, 'commondir'), 'utf8').catch(() => '.');
  return resolve(gitDirectory, text.trim());
}

async function checkHead(view: RepositoryView, { repo, branch }: MegaServerOptions): Promise<void> {
  if ((await view.head()) !== undefined) return;
  throw new MegaServerError(
    'repository',
    branch === undefined
      ? `the repository ${repo} has no commits on its current branch; make one with "git commit", or name a branch that has some`
      : `the repository ${repo} has no branch ${branch} with commits; see "git branch --all"`,
  );
}

async function listen(app: FastifyInstance, host: string, port: number): Promise<void> {
  try {
    await app.listen({ host, port });
  } catch (error) {
    await app.close();
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'EADDRINUSE') {
      throw new MegaServerError(
        'address-in-use',
        `cannot listen at ${host}:${port}: another program does; stop it, or choose another address`,
        { cause: error },
      );
    }
    throw new MegaServerError('address', `cannot listen at ${host}:${port}: ${message}`, { cause: error });
  }
}

function asMegaServerError(error: unknown): unknown {
  if (!(error instanceof GitError)) return error;
  const kind = error.kind === 'git-missing' ? 'git-missing' : 'repository';
  return new MegaServerError(kind, error.message, { cause: error });
}
