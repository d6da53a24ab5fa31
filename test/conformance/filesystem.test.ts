// Runs the conformance suite on every implementation of the filesystem contract.
import { filesystemSuite } from './filesystem-suite.ts';
import { createMemorySubject } from '../support/memory-subject.ts';
import { createOverlaySubject } from '../support/overlay-subject.ts';

filesystemSuite('the in-memory reference', {
  persists: false,
  keepsLowerInodeNumbers: false,
  create: async (seed) => {
    const filesystem = await createMemorySubject(seed);
    return {
      filesystem,
      dispose: async () => {
        filesystem.destroy();
        if (filesystem.held.files > 0) throw new Error(`${filesystem.held.files} files are still open`);
      },
    };
  },
});

filesystemSuite('the overlay, over a layer that knows everything', {
  persists: true,
  keepsLowerInodeNumbers: true,
  create: async (seed) => createOverlaySubject(seed),
});

filesystemSuite('the overlay, over a layer that has to fetch', {
  persists: true,
  keepsLowerInodeNumbers: true,
  create: async (seed) => createOverlaySubject(seed, { delaySeed: 20_261_121 }),
});

filesystemSuite('the overlay, over a layer whose files arrive while they are read', {
  persists: true,
  keepsLowerInodeNumbers: true,
  create: async (seed) => createOverlaySubject(seed, { arrivalSeed: 4, delaySeed: 20_261_122 }),
});
