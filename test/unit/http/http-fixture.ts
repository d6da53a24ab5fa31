// The HTTP app over a registry with a fake host.
import type { FastifyInstance } from 'fastify';
import { createHttpApp } from '../../../src/http/app.ts';
import type { MountRegistry } from '../../../src/mount/registry.ts';
import { createLfsTasks } from '../../../src/mount/lfs/create-lfs-tasks.ts';
import type { LfsTasks } from '../../../src/mount/lfs/lfs-tasks.ts';
import { FakeMountLfs } from '../../support/fake-mount-lfs.ts';
import { FakeMountHost } from '../mount/fake-mount-host.ts';
import { createRegistryFixture, type RegistryFixture } from '../mount/registry-fixture.ts';

/** An answer, its JSON parsed where it is JSON. */
export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly text: string;
  readonly json: unknown;
}

/** The app and what is behind it. */
export interface HttpFixture {
  readonly app: FastifyInstance;
  readonly host: FakeMountHost;
  readonly registry: MountRegistry;
  readonly files: RegistryFixture;
  /** Large files, of every mount and of all. */
  readonly lfs: FakeMountLfs;
  readonly tasks: LfsTasks;
  ask(method: string, url: string, body?: unknown, headers?: Record<string, string>): Promise<Answer>;
  close(): Promise<void>;
}

/** Makes it; `storePath` is that of the daemon that it stands for. */
export async function createHttpFixture(storePath: string = '/store'): Promise<HttpFixture> {
  const files = createRegistryFixture();
  const { registry, host } = await files.load(new FakeMountHost());
  const lfs = new FakeMountLfs();
  host.mountLfs = lfs;
  host.lfsCare = lfs;
  const tasks = createLfsTasks();
  const app = createHttpApp({
    registry,
    version: '9.9.9',
    startedAtMs: Date.now(),
    storePath,
    server: 'http://mega.example',
    lfsTasks: tasks,
    log: files.log,
  });
  return {
    app,
    host,
    registry,
    files,
    lfs,
    tasks,
    async ask(method, url, body, headers) {
      const isText = typeof body === 'string';
      const response = await app.inject({
        method: method as 'GET',
        url,
        ...(body === undefined ? {} : { payload: isText ? body : JSON.stringify(body) }),
        headers: headers ?? (body === undefined ? {} : { 'content-type': 'application/json' }),
      });
      const isJson =
        response.body !== '' && String(response.headers['content-type']).startsWith('application/json');
      return {
        status: response.statusCode,
        headers: response.headers,
        text: response.body,
        json: isJson ? response.json() : undefined,
      };
    },
    async close() {
      await tasks.close();
      await app.close();
      await files.remove();
    },
  };
}
