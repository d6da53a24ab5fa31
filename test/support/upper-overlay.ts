// An overlay whose upper folder a test looks into, changes behind its back, and opens again.
import { execFileSync } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { KernelNotifier } from '../../src/fuse/filesystem.ts';
import type { Layer } from '../../src/layers/layer.ts';
import type { MemoryBudget } from '../../src/overlay/memory-budget.ts';
import type { FilePolicy, OverlayControl, OverlayListener } from '../../src/overlay/file-policy.ts';
import { createOverlay } from '../../src/overlay/overlay.ts';
import { closeFd, O_PATH, openPath, setXattrAt } from '../../src/util/syscall.ts';
import { FilesystemClient } from './filesystem-client.ts';
import { createMemoryLayer } from './memory-layer.ts';
import type { SeedTree } from './seed-tree.ts';

/** Prefix of the format's attributes for this process. */
export const OVERLAY_PREFIX: string = process.getuid?.() === 0 ? 'trusted.overlay.' : 'user.overlay.';

/** How the overlay differs from the usual one. */
export interface UpperOverlayOptions {
  /** Changes the layer. */
  readonly wrap?: (layer: Layer) => Layer;
  readonly notifier?: KernelNotifier;
  /** The budget that it shares. */
  readonly memory?: MemoryBudget;
  readonly policy?: FilePolicy;
  readonly listener?: OverlayListener;
}

/** The overlay and its folders. */
export class UpperOverlay {
  fs: FilesystemClient;
  control!: OverlayControl;
  readonly #folder: string = mkdtempSync(join(tmpdir(), 'scorpio-test-upper-'));
  readonly #layer: ReturnType<typeof createMemoryLayer>;
  readonly #options: UpperOverlayOptions;

  constructor(seed: SeedTree, options: UpperOverlayOptions = {}) {
    this.#layer = createMemoryLayer(seed);
    this.#options = options;
    this.fs = this.#open();
  }

  #open(): FilesystemClient {
    const { wrap = (layer) => layer, ...others } = this.#options;
    const overlay = createOverlay({
      layer: wrap(this.#layer),
      upperDir: this.path('upper'),
      workDir: this.path('work'),
      uid: process.getuid?.() ?? 0,
      gid: process.getgid?.() ?? 0,
      ...others,
    });
    this.control = overlay.control;
    return new FilesystemClient(overlay);
  }

  /** A path in the folder that holds `upper` and `work`. */
  path(...names: string[]): string {
    return join(this.#folder, ...names);
  }

  /** A path in the upper folder. */
  upper(...names: string[]): string {
    return this.path('upper', ...names);
  }

  /** Sets an attribute of the format on an object of the upper folder. */
  mark(name: string, key: string, value: string): void {
    const fd = openPath(this.upper(name), O_PATH);
    try {
      setXattrAt(fd, '', OVERLAY_PREFIX + key, Buffer.from(value));
    } finally {
      closeFd(fd);
    }
  }

  /** Closes it, lets something happen to its folders, and opens it again. */
  async reopen(between: () => void = () => undefined): Promise<void> {
    this.fs.forgetAll();
    await this.fs.filesystem.destroy();
    between();
    this.fs = this.#open();
  }

  /** Closes and removes everything. */
  async dispose(): Promise<void> {
    this.fs.forgetAll();
    await this.fs.filesystem.destroy();
    this.#layer.dispose();
    // Unlike Node's own, it takes no path by its full length: a test may be hundreds of folders deep.
    execFileSync('rm', ['-rf', this.#folder]);
  }
}
