// Makes overlays over an in-memory layer for tests, in temporary folders that are checked and removed afterwards.
import { mkdirSync, mkdtempSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Filesystem } from '../../src/fuse/filesystem.ts';
import { createOverlay } from '../../src/overlay/overlay.ts';
import type { FilesystemSubject } from '../conformance/filesystem/subject.ts';
import { createMemoryLayer, type MemoryLayerOptions, openDescriptorsBelow } from './memory-layer.ts';
import type { SeedTree } from './seed-tree.ts';

/** An overlay over a seed, whose layer may answer late at random. */
export function createOverlaySubject(
  seed: SeedTree,
  options: MemoryLayerOptions = {},
): Required<FilesystemSubject> {
  const folder = mkdtempSync(join(tmpdir(), 'scorpio-test-overlay-'));
  const upperDir = join(folder, 'upper');
  const workDir = join(folder, 'work');
  for (const path of [upperDir, workDir]) mkdirSync(path);
  const layer = createMemoryLayer(seed, options);
  const open = (): Filesystem =>
    createOverlay({
      layer,
      upperDir,
      workDir,
      uid: process.getuid?.() ?? 0,
      gid: process.getgid?.() ?? 0,
    });
  let filesystem = open();
  const close = async (): Promise<void> => {
    await filesystem.destroy();
    const leaked = openDescriptorsBelow(folder);
    if (leaked.length > 0) {
      throw new Error(`never closed: ${leaked.map((fd) => readlinkSync(`/proc/self/fd/${fd}`)).join(', ')}`);
    }
  };
  return {
    filesystem,
    reopen: async () => {
      await close();
      filesystem = open();
      return filesystem;
    },
    dispose: async () => {
      try {
        await close();
      } finally {
        rmSync(folder, { recursive: true, force: true });
        layer.dispose();
      }
    },
  };
}
