// A fresh mount for each mounted test, over one daemon for the whole file.
import { statfsSync } from 'node:fs';
import { afterAll, afterEach, beforeAll } from 'vitest';
import { createMountFixture, type MountFixture, type TestMount } from './mount-fixture.ts';
import type { SeedTree } from './seed-tree.ts';

const FUSE_SUPER_MAGIC = 0x65735546;

/** Whether the tests run as root: they leave out what others may not do. */
export const isRoot: boolean = process.getuid?.() === 0;

/** Gives tests their mounts. */
export interface Mounts {
  /** The processes behind them. */
  readonly fixture: MountFixture;
  /** A mount of the whole tree over an empty upper layer; its mount point. */
  fresh(): Promise<string>;
  /** The mounts that the running test made. */
  readonly current: readonly TestMount[];
}

/** Registers the hooks that start and end everything; `settings` are keys of the daemon's configuration. */
export function useMounts(seed?: SeedTree, settings?: Readonly<Record<string, string>>): Mounts {
  let fixture: MountFixture;
  const current: TestMount[] = [];
  beforeAll(async () => {
    fixture = await createMountFixture({
      ...(seed === undefined ? {} : { seed }),
      ...(settings === undefined ? {} : { settings }),
    });
  });
  afterEach(async () => {
    for (const mount of current.splice(0)) await mount.unmount();
  });
  afterAll(async () => {
    await fixture?.dispose();
  });
  return {
    get fixture() {
      return fixture;
    },
    current,
    fresh: async () => {
      const mount = await fixture.mount();
      current.push(mount);
      const { type } = statfsSync(mount.mountpoint);
      if (type !== FUSE_SUPER_MAGIC) throw new Error(`${mount.mountpoint} is no FUSE mount (${type})`);
      return mount.mountpoint;
    },
  };
}

/** Code of the error that an action fails with, `success` if it does not. */
export async function codeOf(action: () => unknown): Promise<string> {
  try {
    await action();
    return 'success';
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === undefined) throw error;
    return code;
  }
}
