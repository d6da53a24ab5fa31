// The monorepo layer against what git itself says of the repository.
import { closeSync } from 'node:fs';
import { createLazyObjects } from '../../src/objects/lazy-objects.ts';
import { openObjectStore } from '../../src/objects/object-store.ts';
import { createMonorepoLayer } from '../../src/layers/monorepo.ts';
import { createMegaServer } from '../../src/mega-server/mega-server.ts';
import { createMegaUpstream } from '../../src/upstream/mega/mega-upstream.ts';
import { UpstreamError } from '../../src/upstream/upstream-error.ts';
import type { Layer } from '../../src/layers/layer.ts';
import type { Upstream } from '../../src/upstream/upstream.ts';
import { createGitRepository, FIRST_COMMIT_TIME, utf8Name } from '../support/git-repository.ts';
import type { FilesSpec, GitRepository } from '../support/git-repository.ts';
import { MemoryUpstream } from '../support/memory-upstream.ts';
import { createStoreFolder } from '../support/store-folder.ts';
import { describeLayer, type ExpectedEntry, type LayerSubject } from './layer-suite.ts';

const DEEP = Array.from({ length: 40 }, (_none, level) => `level${level}`).join('/');
const SUBMODULE = 'd'.repeat(40);

const FILES: FilesSpec = {
  'README.md': '# a file\n',
  'run.sh': { content: '#!/bin/sh\n', mode: 0o100755 },
  empty: '',
  link: { symlink: 'sub/folder/../file' },
  'dangling link': { symlink: Buffer.from([0xff, 0x20, 0x25]) },
  module: { submodule: SUBMODULE },
  'sub/module': { submodule: SUBMODULE },
  'sub/file': 'in a folder\n',
  'sub/run': { content: 'x', mode: 0o100755 },
  'sub/link': { symlink: 'file' },
  'sub/folder/same': 'the same tree twice\n',
  'other/folder/same': 'the same tree twice\n',
  [`${DEEP}/file`]: 'deep\n',
  [`sub/${'n'.repeat(255)}`]: 'long name\n',
  'sub/100% & more + # ?': 'odd name\n',
  [`sub/${utf8Name('grün–日本')}`]: 'unicode name\n',
  'sub/\xff\xfe\x01 not UTF-8': 'odd name\n',
  'sub/binary': Buffer.from(Array.from({ length: 70_000 }, (_none, index) => (index * 7919) % 251)),
  'large.bin': Buffer.alloc(2_500_000, 'large '),
};

async function entriesAt(repository: GitRepository, revision: string): Promise<ExpectedEntry[]> {
  const output = (await repository.gitBytes(['ls-tree', '-r', '-t', '-z', revision])).toString('latin1');
  const lines = output.split('\0').filter((line) => line !== '');
  return Promise.all(
    lines.map(async (line) => {
      const [, mode = '', type, id = '', path = ''] = /^(\d+) (\w+) (\w+)\t(.*)$/s.exec(line) ?? [];
      const entry = { path, mode: Number.parseInt(mode, 8), id };
      return type === 'blob'
        ? { ...entry, content: await repository.gitBytes(['cat-file', 'blob', id]) }
        : entry;
    }),
  );
}

/** Things to dispose of in reverse order; Node 20 has no AsyncDisposableStack. */
class Resources implements AsyncDisposable {
  readonly #resources: AsyncDisposable[] = [];

  use<T extends AsyncDisposable>(resource: T): T {
    this.#resources.push(resource);
    return resource;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const resource of this.#resources.toReversed()) await resource[Symbol.asyncDispose]();
  }
}

/** What makes one kind of layer. */
interface Kind {
  /** The source of a repository's objects. */
  readonly connect: (repository: GitRepository, resources: Resources) => Promise<Upstream>;
  /** Path that is mounted. */
  readonly path: string;
  /** Everything was read once, by a layer of an earlier run, and the server does not answer any more. */
  readonly isOffline: boolean;
}

async function createSubject({ connect, path, isOffline }: Kind): Promise<LayerSubject> {
  const resources = new Resources();
  const repository = resources.use(await createGitRepository({ files: FILES }));
  const folder = resources.use(await createStoreFolder());
  const upstream = await connect(repository, resources);
  const snapshot = await upstream.resolve(path);
  const revision = path === '/' ? 'HEAD' : `HEAD:${path.slice(1)}`;
  const entries = await entriesAt(repository, revision);
  if (isOffline) {
    await using store = openObjectStore(folder.path);
    await using objects = createLazyObjects({ store, upstream });
    await readAll(createMonorepoLayer({ snapshot, objects }), entries);
  }
  const store = resources.use(openObjectStore(folder.path));
  const objects = resources.use(
    createLazyObjects({ store, upstream: isOffline ? createDeadUpstream() : upstream }),
  );
  return {
    layer: createMonorepoLayer({ snapshot, objects }),
    tree: await repository.git(['rev-parse', `${revision}${path === '/' ? '^{tree}' : ''}`]),
    time: FIRST_COMMIT_TIME,
    entries,
    [Symbol.asyncDispose]: () => resources[Symbol.asyncDispose](),
  };
}

async function readAll(layer: Layer, entries: readonly ExpectedEntry[]): Promise<void> {
  await layer.list(layer.root);
  for (const { path, mode } of entries) {
    const entry = await layer.resolve(path);
    if (entry === undefined) throw new Error(`no entry ${path}`);
    if (mode === 0o40000) await layer.list(entry);
    else if (mode === 0o120000) await layer.readlink(entry);
    else if (mode !== 0o160000) closeSync(await layer.open(entry));
  }
}

function createDeadUpstream(): Upstream {
  const upstream = new MemoryUpstream();
  upstream.fault = () => new UpstreamError('unreachable', 'the server is down');
  return upstream;
}

/** An upstream in memory with the objects of a repository. */
async function connectMemory(repository: GitRepository): Promise<Upstream> {
  const upstream = new MemoryUpstream();
  const objects = await repository.git([
    'cat-file',
    '--batch-all-objects',
    '--batch-check=%(objecttype) %(objectname)',
  ]);
  for (const line of objects.split('\n')) {
    const [type = '', id = ''] = line.split(' ');
    if (type === 'blob') upstream.addBlob(await repository.gitBytes(['cat-file', 'blob', id]));
    if (type === 'tree') upstream.addPayload(await repository.gitBytes(['cat-file', 'tree', id]));
  }
  const tree = await repository.git(['rev-parse', 'HEAD^{tree}']);
  upstream.head = { ...upstream.snapshot(tree), time: FIRST_COMMIT_TIME };
  return upstream;
}

/** The Mega server over the repository, by HTTP. */
async function connectMega(repository: GitRepository, resources: Resources): Promise<Upstream> {
  const server = resources.use(await createMegaServer({ repo: repository.path, port: 0 }));
  const upstream = createMegaUpstream({
    baseUrl: server.url,
    connectTimeoutMs: 5000,
    requestTimeoutMs: 10_000,
    maxAttempts: 3,
    concurrency: 8,
  });
  resources.use({ [Symbol.asyncDispose]: () => upstream.close() });
  return upstream;
}

const kinds: Readonly<Record<string, Kind>> = {
  'monorepo over an upstream in memory': { connect: connectMemory, path: '/', isOffline: false },
  'monorepo over a Mega server': { connect: connectMega, path: '/', isOffline: false },
  'monorepo over a Mega server, mounted below the root': {
    connect: connectMega,
    path: '/sub',
    isOffline: false,
  },
  'monorepo with everything in the store and no server': { connect: connectMega, path: '/', isOffline: true },
};
for (const [name, kind] of Object.entries(kinds)) describeLayer(name, () => createSubject(kind));
