// Temporary files that outlive a killed process: names that tell their maker, and removal of those whose maker is dead.
import { readFileSync, readlinkSync } from 'node:fs';
import { lstat, readdir, rm } from 'node:fs/promises';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { readBootTag } from './boot-tag.ts';

const FOREIGN_LEFTOVER_AGE_MS = 24 * 60 * 60 * 1000;

/** Field 22 of /proc/PID/stat: when the process started, which tells it from a later one of the same number. */
function startTimeOf(pid: number | 'self'): string | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The second field is the command in parentheses, and may itself hold spaces and parentheses.
    return text.slice(text.lastIndexOf(')') + 2).split(' ')[19];
  } catch {
    return undefined;
  }
}

function pidNamespace(): string {
  try {
    return /\d+/.exec(readlinkSync('/proc/self/ns/pid'))?.[0] ?? '0';
  } catch {
    return '0';
  }
}

// Numbers of processes mean something only within one boot and one PID namespace.
const world = `${readBootTag()}.${pidNamespace()}`;
// A worker thread has its own copy of this module and the same process: the random part tells them apart.
const maker = `${world}.${process.pid}.${startTimeOf('self') ?? '0'}.${randomBytes(4).toString('hex')}`;
let made = 0;

/** A file name that no other process and no earlier call uses. */
export function temporaryName(): string {
  made++;
  return `${maker}.${made}`;
}

function isMakerAlive(pid: string, startTime: string): boolean {
  return startTimeOf(Number(pid)) === startTime;
}

/**
 * Removes from a folder what this user's processes left in it that died: temporary files and folders whose names are
 * `prefix` and a `temporaryName`. Those made on another machine or in another PID namespace, whose makers cannot be looked
 * up, go when nobody wrote to them for a day. Resolves to how many went; rejects when the folder cannot be read.
 */
export async function removeLeftovers(folder: string, prefix = ''): Promise<number> {
  let removed = 0;
  for (const name of await readdir(folder)) {
    if (!name.startsWith(prefix)) continue;
    const match = /^(\d+\.\d+)\.(\d+)\.(\d+)\.[0-9a-f]{8}\.\d+$/.exec(name.slice(prefix.length));
    if (match === null) continue;
    const [, origin, pid = '', startTime = ''] = match;
    const path = join(folder, name);
    try {
      if (origin === world && isMakerAlive(pid, startTime)) continue;
      const { uid, mtimeMs } = await lstat(path);
      // In a folder that others write to, theirs may turn into a link while it is removed.
      if (uid !== process.getuid?.()) continue;
      if (origin !== world && Date.now() - mtimeMs < FOREIGN_LEFTOVER_AGE_MS) continue;
      await rm(path, { recursive: true });
      removed++;
    } catch {
      // Somebody else was faster.
    }
  }
  return removed;
}
