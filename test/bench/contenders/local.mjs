// The local disk: what the others are compared with.
import { join } from 'node:path';
import { runCommand } from '../processes.mjs';

/** A folder of the local disk with the files of a tree. */
class LocalPlace {
  #stage;
  #tree;
  #writable;
  #root;

  constructor(stage, tree, writable) {
    this.#stage = stage;
    this.#tree = tree;
    this.#writable = writable;
  }

  get root() {
    return this.#root;
  }

  /** The copy is shared with the lower folders of the peers, so who writes gets another one. */
  async mount() {
    const shared = await this.#stage.localCopy(this.#tree);
    if (!this.#writable) {
      this.#root = shared;
      return;
    }
    this.#root = this.#stage.fresh('written');
    await runCommand('cp', ['-a', shared, this.#root]);
  }

  /** There is nothing to mount again: only the kernel's caches are left, and who wants them empty empties them. */
  async remount() {}

  /** Kernel memory alone. */
  get memory() {
    return undefined;
  }

  async stop() {
    if (this.#writable && this.#root !== undefined) this.#stage.remove(this.#root);
  }
}

/** The local disk. */
export const local = {
  id: 'local',
  title: 'local disk',
  kind: 'local',
  prepare: async (stage, tree, { writable = false } = {}) => new LocalPlace(stage, tree, writable),
  version: async () => undefined,
  /** Path of a file in a shared copy. */
  file: async (stage, tree) => join(await stage.localCopy(tree), tree.path),
};
