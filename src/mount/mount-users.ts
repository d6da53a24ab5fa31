// Finds the processes that use a mount, by what /proc says of them. The mount itself is never touched: its own
// daemon asks, and would wait for itself.
import { readFile, readdir, readlink } from 'node:fs/promises';
import { isWithin } from '../util/path-within.ts';
import type { MountUser } from './mount-host.ts';

/** How long the whole search may take: an answer without all users is better than a late one. */
const SEARCH_TIMEOUT_MS = 3000;
const PROCESSES_AT_ONCE = 8;
/** A process with thousands of open files is named by some of them. */
const MAX_USES_OF_A_PROCESS = 16;
const DELETED_SUFFIX = ' (deleted)';

/**
 * Processes whose working folder, root, program, open files or mapped files lie in the mount at `mountpoint` (absolute,
 * no symbolic links), one entry a use, ordered by process. What may not be read (other users' processes) is left out,
 * and so is what could not be read within three seconds. Never rejects.
 */
export async function findMountUsers(mountpoint: string): Promise<MountUser[]> {
  const users: MountUser[] = [];
  const pids = (await readdir('/proc').catch(() => [])).filter((name) => /^\d+$/.test(name));
  const deadline = Date.now() + SEARCH_TIMEOUT_MS;
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < pids.length && Date.now() < deadline) {
      const pid = pids[next++];
      if (pid !== undefined) users.push(...(await usesOf(pid, mountpoint)));
    }
  };
  const search = Promise.all(Array.from({ length: PROCESSES_AT_ONCE }, worker));
  // A process that waits inside a page fault can hold up the reading of its maps.
  await withTimeout(search, SEARCH_TIMEOUT_MS);
  return users.sort((a, b) => a.pid - b.pid);
}

/** For messages: `bash (pid 12: cwd), vi (pid 13: open file /m/a)`; at most `limit` of them. */
export function describeMountUsers(users: readonly MountUser[], limit = 5): string {
  const shown = users.slice(0, limit).map((user) => `${user.command} (pid ${user.pid}: ${user.use})`);
  const more = users.length - shown.length;
  return more > 0 ? `${shown.join(', ')} and ${more} more` : shown.join(', ');
}

async function usesOf(pid: string, mountpoint: string): Promise<MountUser[]> {
  const folder = `/proc/${pid}`;
  const uses = new Set<string>();
  const inMount = (link: string | undefined): string | undefined => {
    if (link === undefined) return undefined;
    const path = link.endsWith(DELETED_SUFFIX) ? link.slice(0, -DELETED_SUFFIX.length) : link;
    return isWithin(path, mountpoint) ? path : undefined;
  };
  if (inMount(await textOf(`${folder}/cwd`)) !== undefined) uses.add('cwd');
  if (inMount(await textOf(`${folder}/root`)) !== undefined) uses.add('root');
  const executable = inMount(await textOf(`${folder}/exe`));
  if (executable !== undefined) uses.add('executable');
  const open = new Set<string>();
  for (const fd of await readdir(`${folder}/fd`).catch(() => [])) {
    const path = inMount(await textOf(`${folder}/fd/${fd}`));
    if (path !== undefined) open.add(path);
  }
  for (const path of open) uses.add(`open file ${path}`);
  const maps = await readFile(`${folder}/maps`, 'utf8').catch(() => '');
  for (const line of maps.includes(mountpoint) ? maps.split('\n') : []) {
    const path = inMount(/^\S+ \S+ \S+ \S+ \d+ +(\/.*)$/.exec(line)?.[1]);
    if (path !== undefined && path !== executable && !open.has(path)) uses.add(`mapped file ${path}`);
  }
  if (uses.size === 0) return [];
  const command = (await readFile(`${folder}/comm`, 'utf8').catch(() => '?')).trim();
  return [...uses].slice(0, MAX_USES_OF_A_PROCESS).map((use) => ({ pid: Number(pid), command, use }));
}

/** Text of a link, or undefined: the process ended, or it is another user's. */
async function textOf(link: string): Promise<string | undefined> {
  return readlink(link).catch(() => undefined);
}

async function withTimeout(work: Promise<unknown>, timeoutMs: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, timeoutMs);
  });
  await Promise.race([work, timeout]);
  clearTimeout(timer);
}
