// Other union filesystems on FUSE: over an export of the same tree, with an upper folder on the same disk.
import { setTimeout as delay } from 'node:timers/promises';
import { detach, isMounted } from '../mounts.mjs';
import { runCommand, Service } from '../processes.mjs';

const POLL_MS = 1;

/** One mount of a peer. */
class PeerPlace {
  root;
  #stage;
  #peer;
  #folders;
  #service;

  constructor(stage, peer, lower) {
    this.#stage = stage;
    this.#peer = peer;
    this.#folders = { lower, upper: stage.freshFolder('upper'), work: stage.freshFolder('work') };
    this.root = stage.freshFolder('mount');
  }

  async mount() {
    const { command, args, title } = this.#peer;
    this.#service = new Service(title, command, args({ ...this.#folders, mountpoint: this.root }));
    await this.#service.until(async () => {
      while (!isMounted(this.root)) await delay(POLL_MS);
    });
  }

  /** A new process and a new mount over the same folders. */
  async remount() {
    await this.#end();
    await this.mount();
  }

  async #end() {
    if (isMounted(this.root)) await detach(this.root);
    await this.#service?.stop();
  }

  /** Resident memory of its process in bytes. */
  get memory() {
    return this.#service.memory;
  }

  async stop() {
    await this.#end();
    const { upper, work } = this.#folders;
    for (const folder of [upper, work]) this.#stage.remove(folder);
  }
}

function peer({ command, ...rest }) {
  const contender = {
    ...rest,
    command,
    kind: 'peer',
    prepare: async (stage, tree) => new PeerPlace(stage, contender, await stage.localCopy(tree)),
    version: async () => {
      const { stdout, stderr } = await runCommand(command, ['--version']);
      return new RegExp(`${rest.id}:? version:? ([0-9.]+)`).exec(stdout + stderr)?.[1] ?? 'unknown';
    },
  };
  return contender;
}

/** fuse-overlayfs, the one that rootless containers use. */
export const fuseOverlayfs = peer({
  id: 'fuse-overlayfs',
  title: 'fuse-overlayfs',
  debianPackage: 'fuse-overlayfs',
  command: 'fuse-overlayfs',
  args: ({ lower, upper, work, mountpoint }) => [
    '-f',
    '-o',
    `lowerdir=${lower},upperdir=${upper},workdir=${work}`,
    mountpoint,
  ],
});

/** unionfs-fuse, with copy on write. */
export const unionfsFuse = peer({
  id: 'unionfs-fuse',
  title: 'unionfs-fuse',
  debianPackage: 'unionfs-fuse',
  command: 'unionfs',
  args: ({ lower, upper, mountpoint }) => ['-f', '-o', 'cow', `${upper}=RW:${lower}=RO`, mountpoint],
});
