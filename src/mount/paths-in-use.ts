// Finds which paths of a mount processes use, by what /proc says of them, without touching the mount.
import { readdirSync, readlinkSync } from 'node:fs';
import { readFile, readdir } from 'node:fs/promises';
import { findMount, parseMountinfo, type MountInfo } from '../fuse/kernel/mountinfo.ts';
import { inTime } from '../util/in-time.ts';
import { isWithin } from '../util/path-within.ts';

/** Who takes longer could have missed somebody, so that the answer is "uncertain". */
const SEARCH_TIMEOUT_MS = 3000;
const PROCESSES_AT_ONCE = 8;
const DELETED_SUFFIX = ' (deleted)';

/** The search of one mount. */
interface Search {
  readonly mount: MountInfo;
  /** Mount point, latin1. */
  readonly root: string;
  readonly othersMayUse: boolean;
  readonly used: Set<string>;
  /** Mount namespaces that were looked at. */
  readonly namespaces: Set<string>;
  isUncertain: boolean;
}

/**
 * Paths, relative to the mount and as latin1, that are the working folder, root, program, an open or a mapped file of
 * a process, or that something is mounted on. Undefined when that is uncertain: a process may not be looked at, the
 * mount appears in other places too (bind mounts, other namespaces), or /proc is slow. Never rejects.
 *
 * @param mountpoint absolute, without symbolic links
 * @param othersMayUse whether processes of other users can use the mount
 */
export async function findPathsInUse(
  mountpoint: string,
  othersMayUse: boolean,
): Promise<ReadonlySet<string> | undefined> {
  const mount = findMount(mountpoint);
  if (mount === undefined) return undefined;
  const root = Buffer.from(mountpoint).toString('latin1');
  const search: Search = {
    mount,
    root,
    othersMayUse,
    used: new Set(),
    namespaces: new Set(),
    isUncertain: false,
  };
  const pids = (await readdir('/proc').catch(() => [])).filter((name) => /^\d+$/.test(name));
  const deadline = Date.now() + SEARCH_TIMEOUT_MS;
  let next = 0;
  const worker = async (): Promise<void> => {
    while (!search.isUncertain && next < pids.length && Date.now() < deadline) {
      const pid = pids[next++];
      if (pid !== undefined) await look(search, `/proc/${pid}`);
    }
  };
  const looking = Promise.all(Array.from({ length: PROCESSES_AT_ONCE }, worker));
  const isDone = await inTime(looking, SEARCH_TIMEOUT_MS);
  return isDone && next >= pids.length && !search.isUncertain ? search.used : undefined;
}

async function look(search: Search, folder: string): Promise<void> {
  try {
    // Links of /proc wait for nothing, and going through the thread pool for each would take ten times as long.
    for (const link of ['cwd', 'root', 'exe']) note(search, target(`${folder}/${link}`));
    for (const fd of readdirSync(`${folder}/fd`)) note(search, target(`${folder}/fd/${fd}`));
    const maps = await readFile(`${folder}/maps`, 'latin1');
    for (const line of maps.includes(search.root) ? maps.split('\n') : []) {
      note(search, /^\S+ \S+ \S+ \S+ \d+ +(\/.*)$/.exec(line)?.[1]);
    }
    const namespace = target(`${folder}/ns/mnt`);
    if (namespace === undefined || search.namespaces.has(namespace)) return;
    search.namespaces.add(namespace);
    noteMounts(search, parseMountinfo(await readFile(`${folder}/mountinfo`, 'latin1')));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    // It ended meanwhile.
    if (code === 'ENOENT' || code === 'ESRCH') return;
    // Another user's process: the kernel does not let it into the mount, or says so.
    if ((code === 'EACCES' || code === 'EPERM') && !search.othersMayUse) return;
    search.isUncertain = true;
  }
}

function note(search: Search, path: string | undefined): void {
  if (path === undefined) return;
  const live = path.endsWith(DELETED_SUFFIX) ? path.slice(0, -DELETED_SUFFIX.length) : path;
  for (const one of [path, live]) {
    if (isWithin(one, search.root)) search.used.add(one.slice(search.root.length + 1));
  }
}

function noteMounts(search: Search, mounts: readonly MountInfo[]): void {
  const { major, minor } = search.mount;
  for (const mount of mounts) {
    if (mount.major !== major || mount.minor !== minor) note(search, mount.mountpoint);
    else if (mount.root !== '/' || mount.mountpoint !== search.root) search.isUncertain = true;
  }
}

/** Target of a link of /proc; undefined where there is none, as for the program of a kernel thread. */
function target(link: string): string | undefined {
  try {
    return readlinkSync(link, 'latin1');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
