// The disk that everything is measured on: a fresh ext4 with a journal, in an image file on a loop device.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statfsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { detach } from './mounts.mjs';
import { runCommand } from './processes.mjs';

const GIB = 2 ** 30;
const IMAGE_BYTES = 14 * GIB;
/** The image grows to about this; what is deleted is given back (`discard`). */
const NEEDED_BYTES = { full: 8 * GIB, quick: 1.5 * GIB };
/** What must stay available for everything else when the image is in memory. */
const SPARE_MEMORY_BYTES = 5 * GIB;
const PREFIX = 'scorpio-bench-';
const UNMOUNT_ATTEMPTS = 20;
const UNMOUNT_PAUSE_MS = 250;

const freeBytes = (folder) => {
  const { bavail, bsize } = statfsSync(folder);
  return bavail * bsize;
};

function availableMemory() {
  const kilobytes = /MemAvailable:\s+(\d+)/.exec(readFileSync('/proc/meminfo', 'utf8'))?.[1];
  return Number(kilobytes) * 1024;
}

/** In memory where there is enough: then no other user of the disk, and no cache of it, is measured. */
function imageParent(needed) {
  const shared = '/dev/shm';
  try {
    const fits = freeBytes(shared) > needed && availableMemory() > needed + SPARE_MEMORY_BYTES;
    if (fits) return { parent: shared, what: 'memory' };
  } catch {
    // No such folder.
  }
  return { parent: tmpdir(), what: 'the default disk' };
}

/** Detaching would leave the loop device to whoever still ends, so that is the last resort. */
async function unmount(mountpoint) {
  for (let attempt = 0; attempt < UNMOUNT_ATTEMPTS; attempt++) {
    const done = await runCommand('umount', [mountpoint]).then(
      () => true,
      () => false,
    );
    if (done) return;
    await delay(UNMOUNT_PAUSE_MS);
  }
  await detach(mountpoint);
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
      await unmount(mountpoint);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function plainFolder(parent, description) {
  const folder = mkdtempSync(join(parent, PREFIX));
  return { folder, description, close: async () => rmSync(folder, { recursive: true, force: true }) };
}

function checkRoom(folder, needed) {
  const free = freeBytes(folder);
  if (free > needed) return;
  const text = (bytes) => `${(bytes / GIB).toFixed(1)} GiB`;
  throw new Error(`${folder} has ${text(free)} left, ${text(needed)} are needed: choose another with --dir`);
}

/**
 * A place for everything: `{ folder, description, close }`. With `parent` a new folder there. Without, root gets a fresh
 * ext4, since the filesystem that the machine happens to have (without a journal, nearly full, in layers of a container)
 * decides what making a file costs; where no loop device is to be had, and for other users, it is the system's folder
 * for temporary files. `log` is told why. Rejects where there is not room enough, of which a `quick` run needs less.
 */
export async function openDisk({ parent, quick, log }) {
  const needed = quick ? NEEDED_BYTES.quick : NEEDED_BYTES.full;
  const plain = (folder, description) => {
    checkRoom(folder, needed);
    return plainFolder(folder, description);
  };
  if (parent !== undefined) {
    mkdirSync(parent, { recursive: true });
    return plain(parent, 'as given with --dir');
  }
  if (process.getuid() !== 0) return plain(tmpdir(), 'the folder for temporary files');
  const place = imageParent(needed);
  checkRoom(place.parent, needed);
  try {
    return await makeImage(place.parent, place.what);
  } catch (error) {
    log(`no loop device (${error.message}): using ${tmpdir()}`);
    return plain(tmpdir(), 'the folder for temporary files, no loop device could be had');
  }
}
