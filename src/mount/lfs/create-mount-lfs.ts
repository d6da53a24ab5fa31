// Large files of one mount: status, push, fetch, locks, put together from their parts.
import type { LfsStatus } from './mount-lfs.ts';
import type { MountLfsParts, ServedLfs } from './mount-lfs-parts.ts';
import { MountError } from '../mount-error.ts';

/** Makes it. */
export function createMountLfs(parts: MountLfsParts): ServedLfs {
  const locks = (): NonNullable<MountLfsParts['locks']> => {
    if (parts.locks === undefined) {
      throw new MountError('invalid', 'there are no locks: the LFS server of this mount has none');
    }
    return parts.locks;
  };
  const notYet = (): never => {
    throw new MountError('internal', 'this is being built');
  };
  return {
    async status(): Promise<LfsStatus> {
      const { transfers, failures } = parts.downloads.status();
      return {
        server: parts.server.url,
        serverProblem: parts.server.problem,
        files: [],
        hashing: 0,
        transfers,
        failures,
        activeFolders: await parts.activeFolders.list(),
      };
    },
    fetch: () => async () => notYet(),
    deactivate: async () => notYet(),
    push: () => async () => notYet(),
    commitBlob: async () => notYet(),
    lock: async (paths, signal) => locks().lock(paths, signal),
    unlock: async (wanted, signal) => locks().unlock(wanted, signal),
    locks: async (filter, signal) => locks().locks(filter, signal),
    verifyLocks: async (signal) => locks().verifyLocks(signal),
    start: () => undefined,
    activeFolders: [],
    neededOids: async () => new Set<string>(),
    close: async () => undefined,
  };
}
