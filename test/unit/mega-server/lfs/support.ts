// Helpers of the tests of the LFS routes: a server over an empty repository, and requests to it.
import { createHash } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { createMegaServer, type MegaServer } from '../../../../src/mega-server/mega-server.ts';
import type { LfsServerOptions } from '../../../../src/mega-server/lfs/lfs-routes.ts';
import { createGitRepository } from '../../../support/git-repository.ts';
import { type Answer, ask } from '../support.ts';

/** Media type of the API. */
export const LFS_JSON = 'application/vnd.git-lfs+json';

/** SHA-256 of a content. */
export const oidOf = (content: string | Buffer): string => createHash('sha256').update(content).digest('hex');

/** A server, and the folder in which its large files are. */
export interface LfsServed extends AsyncDisposable {
  readonly server: MegaServer;
  readonly url: string;
  /** Folder of objects and locks. */
  readonly root: string;
  /** Sends JSON below a prefix of the API, default `/info/lfs`. */
  post(path: string, value: unknown, options?: { prefix?: string; auth?: string }): Promise<Answer>;
  /** Uploads without asking before. */
  put(content: string | Buffer, oid?: string): Promise<Answer>;
  /** Files below a folder of the root, complete and on their way; empty where there is none. */
  files(folder: 'objects' | 'incoming'): string[];
}

/** Serves an empty repository. */
export async function serveLfs(lfs: LfsServerOptions = {}): Promise<LfsServed> {
  const repository = await createGitRepository({ files: {} });
  const server = await createMegaServer({ repo: repository.path, port: 0, lfs });
  const root = lfs.root ?? join(repository.path, 'lfs');
  return {
    server,
    url: server.url,
    root,
    post: (path, value, { prefix = '/info/lfs', auth } = {}) =>
      ask(server.url, `${prefix}${path}`, {
        method: 'POST',
        headers: {
          'content-type': LFS_JSON,
          accept: LFS_JSON,
          ...(auth === undefined ? {} : { authorization: auth }),
        },
        body: JSON.stringify(value),
      }),
    put: (content, oid = oidOf(content)) =>
      ask(server.url, `/info/lfs/objects/${oid}`, { method: 'PUT', body: Buffer.from(content) }),
    files: (folder) => filesIn(join(root, folder)),
    async [Symbol.asyncDispose]() {
      await server.close();
      await repository.remove();
    },
  };
}

function filesIn(folder: string): string[] {
  try {
    return readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => entry.name);
  } catch {
    return [];
  }
}

/** The header of basic authentication. */
export const basic = (name: string, password: string): string =>
  `Basic ${Buffer.from(`${name}:${password}`).toString('base64')}`;
