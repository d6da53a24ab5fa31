// A mount host without FUSE: remembers what is mounted, and fails, waits or ends mounts as a test wants.
import { mkdir } from 'node:fs/promises';
import type { LfsCare, MountLfs } from '../../../src/mount/lfs/mount-lfs.ts';
import { MountError } from '../../../src/mount/mount-error.ts';
import type {
  MountEnd,
  MountHost,
  MountMemory,
  MountReport,
  MountSpec,
  PrefetchProgress,
  PrefetchReport,
  PrefetchRequest,
} from '../../../src/mount/mount-host.ts';

/** Commit that the fake's server is at. */
export const HEAD: string = 'c'.repeat(40);
const TREE = '7'.repeat(40);

/** A report in which nothing happened, but for what is given. */
export function prefetchReport(numbers: Partial<PrefetchReport>): PrefetchReport {
  return {
    isCounting: false,
    folders: 1,
    files: 0,
    present: 0,
    fetched: 0,
    failed: 0,
    bytes: 0,
    totalBytes: 0,
    unsized: 0,
    pack: undefined,
    failures: [],
    usedPack: false,
    durationMs: 1,
    ...numbers,
  };
}

/** The fake, with its levers. */
export class FakeMountHost implements MountHost {
  readonly mounted: Map<string, MountSpec> = new Map();
  /** All specs that were asked for, failed ones included. */
  readonly specs: MountSpec[] = [];
  readonly cleared: string[] = [];
  readonly lazily: string[] = [];
  readonly forgotten: string[] = [];
  /** What the server's head is now. */
  head: string = HEAD;
  /** Thrown by `mount` while it is set. */
  mountError: Error | undefined;
  /** Thrown by `unmount` without lazy while it is set. */
  unmountError: Error | undefined;
  /** `mount` waits for it. */
  gate: Promise<void> = Promise.resolve();
  closed = false;
  /** All prefetches that were asked for. */
  readonly prefetches: { readonly id: string; readonly request: PrefetchRequest }[] = [];
  /** What a prefetch does. */
  prefetching: (
    onProgress: (progress: PrefetchProgress) => void,
    signal: AbortSignal,
  ) => Promise<PrefetchReport> = async (onProgress) => {
    onProgress(prefetchReport({ isCounting: true }));
    return prefetchReport({ files: 3, fetched: 3, bytes: 30, totalBytes: 30 });
  };
  #close: () => void = () => undefined;
  /** Large files of every mount, and of all. */
  mountLfs: MountLfs | undefined;
  lfsCare: LfsCare | undefined;
  readonly #closing = new Promise<void>((resolve) => {
    this.#close = resolve;
  });
  #listener: (id: string, end: MountEnd) => void = () => undefined;

  async mount(spec: MountSpec): Promise<MountReport> {
    this.specs.push(spec);
    await Promise.race([this.gate, this.#closing]);
    if (this.closed) throw new MountError('internal', 'the daemon is stopping');
    if (this.mountError !== undefined) throw this.mountError;
    await mkdir(spec.upperDir, { recursive: true });
    await mkdir(spec.workDir, { recursive: true });
    this.mounted.set(spec.id, spec);
    return this.report(spec.id) as MountReport;
  }

  async unmount(id: string, { lazy = false }: { lazy?: boolean } = {}): Promise<void> {
    if (!this.mounted.has(id)) return;
    if (lazy) this.lazily.push(id);
    else if (this.unmountError !== undefined) throw this.unmountError;
    this.mounted.delete(id);
  }

  async forget(id: string): Promise<void> {
    this.forgotten.push(id);
  }

  memory(): MountMemory {
    return { budget: 512, resident: 100, held: 50, inodes: 3, evicted: 7 };
  }

  report(id: string): MountReport | undefined {
    const spec = this.mounted.get(id);
    if (spec === undefined) return undefined;
    const snapshot = spec.snapshot ?? { commit: spec.commit ?? this.head, tree: TREE, time: 1_700_000_000 };
    return {
      id,
      commit: snapshot.commit,
      snapshot,
      mountpoint: spec.mountpoint,
      ownsMountpoint: true,
      binding: { name: 'kernel', limits: [] },
      features: { passthrough: false, openRequests: true },
      fetchedBytes: 12,
      requests: 3,
      faults: ['OPEN: EIO'],
      lfs: {
        server: 'http://lfs.example/info/lfs',
        problem: undefined,
        activeFolders: ['models'],
        transfers: [],
        failures: [
          {
            oid: 'f'.repeat(64),
            size: 9,
            path: 'models/a.bin',
            reason: 'the server does not have it',
            atMs: 1,
          },
        ],
      },
    };
  }

  lfs(id: string): MountLfs | undefined {
    return this.mounted.has(id) ? this.mountLfs : undefined;
  }

  async prefetch(
    id: string,
    request: PrefetchRequest,
    onProgress: (progress: PrefetchProgress) => void,
    signal: AbortSignal,
  ): Promise<PrefetchReport> {
    this.prefetches.push({ id, request });
    return this.prefetching(onProgress, signal);
  }

  onEnded(listener: (id: string, end: MountEnd) => void): void {
    this.#listener = listener;
  }

  /** A mount ends without anybody having asked for it. */
  end(id: string, end: MountEnd): void {
    this.mounted.delete(id);
    this.#listener(id, end);
  }

  async clearDead(mountpoint: string): Promise<void> {
    this.cleared.push(mountpoint);
  }

  async close(): Promise<void> {
    this.closed = true;
    this.#close();
    this.mounted.clear();
  }
}
