// A fresh stage for each test, over one repository and its server for the whole file, with a proxy between them.
import { afterAll, afterEach, beforeAll, beforeEach } from 'vitest';
import { createFaultProxy, type FaultProxy } from './fault-proxy.ts';
import { createGitRepository, type FilesSpec, type GitRepository } from './git-repository.ts';
import { createStage, type Stage } from './stage.ts';

/** What a test has. */
export interface ServedStage {
  /** Its configuration names the proxy as the server. Nothing runs in it yet. */
  readonly stage: Stage;
  readonly repository: GitRepository;
  /** Without faults at the start of each test. */
  readonly proxy: FaultProxy;
  /** URL of the server itself: what the proxy is in front of. */
  readonly serverUrl: string;
}

/** Registers the hooks that start and end everything. */
export function useServedStage(files: FilesSpec): ServedStage {
  let repository: GitRepository;
  let servers: Stage;
  let proxy: FaultProxy;
  let serverUrl: string;
  let stage: Stage;
  beforeAll(async () => {
    servers = createStage();
    repository = await createGitRepository({ files });
    serverUrl = await servers.serveRepository(repository.path);
    proxy = await createFaultProxy(serverUrl);
  });
  beforeEach(() => {
    stage = createStage();
    stage.configure({ base_url: proxy.url });
  });
  afterEach(async () => {
    proxy.heal();
    proxy.latencyMs = 0;
    await proxy.start();
    proxy.reset();
    await stage.dispose();
  });
  afterAll(async () => {
    await proxy?.close();
    await servers?.dispose();
    await repository?.remove();
  });
  return {
    get stage() {
      return stage;
    },
    get repository() {
      return repository;
    },
    get proxy() {
      return proxy;
    },
    get serverUrl() {
      return serverUrl;
    },
  };
}
