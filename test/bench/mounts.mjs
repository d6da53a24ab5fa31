// The mounts below one folder, as the kernel lists them: looking, detaching, and ending what hangs.
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { runCommand } from './processes.mjs';

/** Mounts below `folder`, the innermost first: `{ mountpoint, connection }`, the latter only for FUSE. */
export function mountsBelow(folder) {
  return readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map((line) => line.split(' '))
    .filter((fields) => fields[4]?.startsWith(`${folder}/`))
    .map((fields) => ({
      mountpoint: fields[4],
      connection: fields[fields.indexOf('-') + 1].startsWith('fuse') ? fields[2].split(':')[1] : undefined,
    }))
    .reverse();
}

/** Whether something is mounted at exactly this folder. */
export function isMounted(mountpoint) {
  return readFileSync('/proc/self/mountinfo', 'utf8').includes(` ${mountpoint} `);
}

function abort({ connection }) {
  if (connection === undefined) return;
  try {
    writeFileSync(`/sys/fs/fuse/connections/${connection}/abort`, '1');
  } catch {
    // Gone meanwhile, or this user may not: detaching is what is left.
  }
}

/** Ends every request of the FUSE mounts below `folder`: who waits for one gets an error, and can be killed. */
export function abortBelow(folder) {
  mountsBelow(folder).forEach(abort);
}

/** As `abortBelow`, of the mount at exactly this folder. */
export function abortAt(mountpoint) {
  mountsBelow(dirname(mountpoint))
    .filter((mount) => mount.mountpoint === mountpoint)
    .forEach(abort);
}

/** Detaches one mount; its users keep what they have open. */
export async function detach(mountpoint) {
  const asRoot = process.getuid() === 0;
  const [command, option] = asRoot ? ['umount', '-l'] : ['fusermount3', '-uz'];
  await runCommand(command, [option, mountpoint]);
}

/** Detaches every mount below `folder`. */
export async function detachBelow(folder) {
  for (const { mountpoint } of mountsBelow(folder)) await detach(mountpoint);
}
