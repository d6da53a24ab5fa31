// A mount with large files, without a kernel: a Git repository behind the embedded server, real HTTP, and an overlay.
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLfsLayer, type LfsLayer } from '../../../../src/layers/lfs-layer.ts';
import { createMonorepoLayer } from '../../../../src/layers/monorepo.ts';
import type { AttributeRules } from '../../../../src/lfs/attributes/attribute-rules.ts';
import { createRootRules } from '../../../../src/lfs/attributes/folder-rules.ts';
import { createLfsClient } from '../../../../src/lfs/client/create-lfs-client.ts';
import type { LfsClient } from '../../../../src/lfs/client/lfs-client.ts';
import { createLfsDownloads } from '../../../../src/lfs/download/create-lfs-downloads.ts';
import type { LfsDownloads } from '../../../../src/lfs/download/lfs-downloads.ts';
import type { PointerStore } from '../../../../src/lfs/pointer-store.ts';
import { openPointerStore } from '../../../../src/lfs/pointers/open-pointer-store.ts';
import { createMegaServer, type MegaServer } from '../../../../src/mega-server/mega-server.ts';
import { createActiveFolders } from '../../../../src/mount/lfs/active-folders.ts';
import { createMountLfs } from '../../../../src/mount/lfs/create-mount-lfs.ts';
import type { LfsFileStatus, LfsReport, LfsRun } from '../../../../src/mount/lfs/mount-lfs.ts';
import type { MountLfsParts, ServedLfs } from '../../../../src/mount/lfs/mount-lfs-parts.ts';
import { createLazyObjects, type LazyObjects } from '../../../../src/objects/lazy-objects.ts';
import { openObjectStore, type ObjectStore } from '../../../../src/objects/object-store.ts';
import { createOverlay } from '../../../../src/overlay/overlay.ts';
import { createMegaUpstream, type MegaUpstream } from '../../../../src/upstream/mega/mega-upstream.ts';
import { createLogger } from '../../../../src/util/logger.ts';
import { createPathFilter } from '../../../../src/util/path-filter.ts';
import { createFaultProxy, type FaultProxy } from '../../../support/fault-proxy.ts';
import { FilesystemClient } from '../../../support/filesystem-client.ts';
import { createGitRepository, type GitRepository } from '../../../support/git-repository.ts';
import { lfsPointerTo, storeLfsObject } from '../../../support/lfs-repository.ts';
import { optionsFor } from '../../upstream/mega/support.ts';

/** Where the mount is in the monorepo. */
export const MOUNT_PATH = '/project';
/** A signal that never aborts. */
export const never: AbortSignal = new AbortController().signal;
/** The attributes that the repository has. */
export const ATTRIBUTES = '*.bin filter=lfs diff=lfs merge=lfs -text\n';

const rulesOf = (text: string): AttributeRules =>
  createRootRules({ files: { gitattributes: Buffer.from(text) } });

/** The mount and all around it. What a test sets here changes what later calls meet. */
export class LargeMount {
  /** What the mount's attributes say after an edit. */
  attributes: string = ATTRIBUTES;
  /** Bytes that the store has room for. */
  room: number | undefined;
  /** Locks by path. */
  readonly lockedBy: Map<string, { owner: string; isOurs: boolean }> = new Map();
  readonly logged: string[] = [];
  fs!: FilesystemClient;
  lfs!: ServedLfs;
  client!: LfsClient;
  downloads!: LfsDownloads;
  pointers!: PointerStore;
  proxy!: FaultProxy;
  readonly folder: string = mkdtempSync(join(tmpdir(), 'scorpio-test-large-mount-'));
  #repository!: GitRepository;
  #server!: MegaServer;
  #store!: ObjectStore;
  #upstream!: MegaUpstream;
  #objects!: LazyObjects;
  #layer!: LfsLayer;

  /** Large files by path below the mount, which the LFS server has; ordinary ones; pointers of nothing come as text. */
  static async create(
    large: Readonly<Record<string, string | Buffer>>,
    ordinary: Readonly<Record<string, string | Buffer>> = {},
  ): Promise<LargeMount> {
    const mount = new LargeMount();
    const files: [string, string | Buffer][] = [['project/.gitattributes', ATTRIBUTES]];
    for (const [path, content] of Object.entries(large))
      files.push([`project/${path}`, lfsPointerTo(content)]);
    for (const [path, content] of Object.entries(ordinary)) files.push([`project/${path}`, content]);
    mount.#repository = await createGitRepository({ files });
    for (const content of Object.values(large)) storeLfsObject(mount.serverStore, content);
    mount.#server = await createMegaServer({ repo: mount.#repository.path, port: 0 });
    mount.proxy = await createFaultProxy(mount.#server.url);
    await mount.open();
    return mount;
  }

  /** Folder of the LFS server's objects. */
  get serverStore(): string {
    return join(this.#repository.path, 'lfs');
  }

  get upperDir(): string {
    return join(this.folder, 'upper');
  }

  get configFile(): string {
    return join(this.folder, 'config.toml');
  }

  /** Opens all that a daemon opens. */
  async open(): Promise<void> {
    const storePath = join(this.folder, 'store');
    mkdirSync(storePath, { recursive: true });
    this.#upstream = createMegaUpstream(optionsFor(this.proxy.url));
    this.#store = openObjectStore(storePath);
    this.#objects = createLazyObjects({ store: this.#store, upstream: this.#upstream });
    this.client = createLfsClient({
      baseUrl: this.proxy.url,
      lfsUrl: this.proxy.url,
      path: MOUNT_PATH,
      connectTimeoutMs: 5000,
      silenceTimeoutMs: 5000,
      maxAttempts: 2,
      concurrency: 4,
    });
    this.downloads = createLfsDownloads({ directory: storePath, rangesAbove: 2 ** 30, concurrency: 4 });
    this.pointers = await openPointerStore(join(storePath, 'pointers'), { onWarning: () => undefined });
    const snapshot = await this.#upstream.resolve(MOUNT_PATH);
    const plain = createMonorepoLayer({ snapshot, objects: this.#objects });
    const source = {
      knownRules: () => rulesOf(this.attributes),
      rules: () => rulesOf(this.attributes),
    };
    this.#layer = createLfsLayer(plain, {
      smudge: 'attributes',
      attributes: source,
      filter: createPathFilter([], []),
      rootPath: 'project',
      objects: this.#objects,
      pointers: this.pointers,
      downloads: this.downloads,
      client: async () => this.client,
    });
    const parts: MountLfsParts = {
      mountId: 'mount',
      repositoryPath: MOUNT_PATH,
      plain,
      layer: this.#layer,
      upperDir: this.upperDir,
      objects: this.#objects,
      snapshot,
      anyPointer: false,
      downloads: this.downloads,
      server: { client: async () => this.client, url: this.client.url, problem: undefined },
      attributes: { mergedRules: () => rulesOf(this.attributes) },
      lowerAttributes: source,
      pointers: this.pointers,
      locks: {
        lock: async () => [],
        unlock: async () => [],
        locks: async () => [],
        verifyLocks: async () => ({ ours: [], theirs: [] }),
        lockedBy: (path) => this.lockedBy.get(path),
      },
      activeFolders: createActiveFolders(this.configFile),
      stateFolder: join(this.folder, 'state'),
      concurrency: 4,
      roomLeft: () => this.room,
      log: createLogger('info', (line) => void this.logged.push(line)),
    };
    this.lfs = createMountLfs(parts);
    this.fs = new FilesystemClient(
      createOverlay({
        layer: this.#layer,
        upperDir: this.upperDir,
        workDir: join(this.folder, 'work'),
        uid: process.getuid?.() ?? 0,
        gid: process.getgid?.() ?? 0,
      }),
    );
  }

  /** Closes it as a daemon that stops does. */
  async close(): Promise<void> {
    this.fs.forgetAll();
    await this.lfs.close();
    await this.fs.filesystem.destroy();
    this.#layer.close();
    await this.downloads.close();
    await this.client.close();
    await this.pointers.close();
    await this.#objects.close();
    await this.#store.close();
    await this.#upstream.close();
  }

  async restart(): Promise<void> {
    await this.close();
    await this.open();
  }

  /** What the mount says of its changed files, by path, with all hashes. */
  async status(
    options: { paths?: string[]; askServer?: boolean } = {},
  ): Promise<Record<string, LfsFileStatus>> {
    const { paths = [], askServer = false } = options;
    const { files } = await this.lfs.status({ paths }, { waitForHashes: true, askServer }, never);
    return Object.fromEntries(files.map((file) => [file.path, file]));
  }

  async dispose(): Promise<void> {
    await this.close();
    await this.proxy.close();
    await this.#server.close();
    await this.#repository.remove();
    rmSync(this.folder, { recursive: true });
  }
}

/** Runs it to its end. */
export function finish(run: LfsRun, signal: AbortSignal = never): Promise<LfsReport> {
  return run(() => undefined, signal);
}
