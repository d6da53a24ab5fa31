// The disk that everything is measured on: a fresh ext4 with a journal, in an image file on a loop device.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statfsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { detach } from './mounts.mjs';
import { runCommand } from './processes.mjs';

const GIB = 2 ** 30;
const IMAGE_BYTES = 14 * GIB;
/** The image grows to about this; what is deleted is given back (`discard`). */
const NEEDED_BYTES = 7 * GIB;
/** What must stay available for everything else when the image is in memory. */
const SPARE_MEMORY_BYTES = 5 * GIB;
const PREFIX = 'scorpio-bench-';

const freeBytes = (folder) => {
  const { bavail, bsize } = statfsSync(folder);
  return bavail * bsize;
};

function availableMemory() {
  const kilobytes = /MemAvailable:\s+(\d+)/.exec(readFileSync('/proc/meminfo', 'utf8'))?.[1];
  return Number(kilobytes) * 1024;
}

/** In memory where there is enough: then no other user of the disk, and no cache of it, is measured. */
function imageParent() {
  const shared = '/dev/shm';
  try {
    const fits = freeBytes(shared) > NEEDED_BYTES && availableMemory() > NEEDED_BYTES + SPARE_MEMORY_BYTES;
    if (fits) return { parent: shared, what: 'memory' };
  } catch {
    // No such folder.
  }
  return { parent: tmpdir(), what: 'the default disk' };
}

async function makeImage(parent, what) {
  const folder = mkdtempSync(join(parent, PREFIX));
  const image = join(folder, 'disk.img');
  const mountpoint = join(folder, 'disk');
  try {
    await runCommand('truncate', ['-s', String(IMAGE_BYTES), image]);
    // Without lazy initialisation, which would go on while things are measured.
    const complete = 'lazy_itable_init=0,lazy_journal_init=0';
    await runCommand('mkfs.ext4', ['-q', '-F', '-E', complete, image]);
    mkdirSync(mountpoint);
    await runCommand('mount', ['-o', 'loop,discard', image, mountpoint]);
  } catch (error) {
    rmSync(folder, { recursive: true, force: true });
    throw error;
  }
  return {
    folder: mountpoint,
    description: `fresh ext4 on a loop device, image in ${what}`,
    // The loop device goes with the mount.
    close: async () => {
      await detach(mountpoint);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function plainFolder(parent, description) {
  const folder = mkdtempSync(join(parent, PREFIX));
  return { folder, description, close: async () => rmSync(folder, { recursive: true, force: true }) };
}

/**
 * A place for everything: `{ folder, description, close }`. With `parent` a new folder there. Without, root gets a fresh
 * ext4, since the filesystem that the machine happens to have (without a journal, nearly full, in layers of a container)
 * decides what making a file costs; where no loop device is to be had, and for other users, it is the system's folder
 * for temporary files. `log` is told why.
 */
export async function openDisk(parent, log) {
  if (parent !== undefined) {
    mkdirSync(parent, { recursive: true });
    return plainFolder(parent, 'as given with --dir');
  }
  if (process.getuid() !== 0) return plainFolder(tmpdir(), 'the folder for temporary files');
  const place = imageParent();
  try {
    return await makeImage(place.parent, place.what);
  } catch (error) {
    log(`no loop device (${error.message}): using ${tmpdir()}`);
    return plainFolder(tmpdir(), 'the folder for temporary files, no loop device could be had');
  }
}
