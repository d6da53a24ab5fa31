// Scorpio, in each of the ways in which it can reach the kernel.
import { Daemon } from '../daemon.mjs';

/** A daemon with a store of its own, and one mount. */
class ScorpioPlace {
  root;
  #stage;
  #url;
  #settings;
  #folder;
  #daemon;

  constructor(stage, url, settings) {
    this.#stage = stage;
    this.#url = url;
    this.#settings = settings;
    this.#folder = stage.fresh('daemon');
    this.root = stage.freshFolder('mount');
  }

  /** The daemon, not yet the mount. */
  async start() {
    this.#daemon = await Daemon.start({
      url: this.#url,
      folder: this.#folder,
      profile: this.#stage.profile,
      settings: this.#settings,
    });
  }

  async mount() {
    await this.#daemon.mount(this.root);
  }

  /** Downloads all large files ahead of need; resolves with the milliseconds of the command. */
  async fetchLargeFiles() {
    return this.#daemon.run('lfs', 'fetch', '--mount', 'bench', '--quiet');
  }

  /** Another daemon on the same store, and a new mount: what was fetched and written is there, no cache is. */
  async remount() {
    await this.#daemon.unmount();
    await this.#daemon.stop();
    await this.start();
    await this.mount();
  }

  /** Resident memory of the daemon in bytes. */
  get memory() {
    return this.#daemon.memory;
  }

  async stop() {
    await this.#daemon?.stop();
    await this.#stage.detachBelow(this.root);
    this.#stage.remove(this.#folder);
  }
}

/** Scorpio with further keys of the configuration. */
export function scorpio(id, title, settings) {
  return {
    id,
    title,
    kind: 'scorpio',
    settings,
    prepare: async (stage, tree, { url = tree.url } = {}) => {
      const place = new ScorpioPlace(stage, url, settings);
      await place.start();
      return place;
    },
    version: async () => undefined,
  };
}
