// What a folder of the local disk looks like, in the form of `treeState`.
import { createHash } from 'node:crypto';
import { constants, lstatSync, lutimesSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { closeFd, getXattrAt, listXattrAt, O_PATH, openPath } from '../../src/util/syscall.ts';
import type { ObjectState } from './filesystem-assertions.ts';

const NANOSECONDS = 1_000_000_000n;
const LETTERS = new Map<number, string>([
  [constants.S_IFDIR, 'd'],
  [constants.S_IFREG, 'f'],
  [constants.S_IFLNK, 'l'],
  [constants.S_IFIFO, 'p'],
  [constants.S_IFSOCK, 's'],
  [constants.S_IFCHR, 'c'],
]);

const bytesOf = (path: string): Buffer => Buffer.from(path, 'latin1');

/** Path by path (latin1, below `root`), the root under `''`; of extended attributes those of users. */
export function diskState(root: string, path = ''): Record<string, ObjectState> {
  const full = path === '' ? root : `${root}/${path}`;
  const state: Record<string, ObjectState> = { [path]: objectState(full) };
  if (state[path]?.mode.startsWith('d') !== true) return state;
  for (const name of readdirSync(bytesOf(full), { encoding: 'buffer' })) {
    const text = name.toString('latin1');
    Object.assign(state, diskState(root, path === '' ? text : `${path}/${text}`));
  }
  return state;
}

function objectState(full: string): ObjectState {
  const stats = lstatSync(bytesOf(full), { bigint: true });
  const mode = Number(stats.mode);
  const type = mode & constants.S_IFMT;
  const isFolder = type === constants.S_IFDIR;
  return {
    mode: `${LETTERS.get(type) ?? '?'}${(mode & 0o7777).toString(8)}`,
    owner: `${stats.uid}:${stats.gid}`,
    nlink: isFolder ? undefined : Number(stats.nlink),
    size: isFolder ? undefined : Number(stats.size),
    mtime: `${stats.mtimeNs / NANOSECONDS}.${stats.mtimeNs % NANOSECONDS}`,
    rdev: Number(stats.rdev),
    content: contentState(full, type),
    xattrs: userAttributes(full),
  };
}

function contentState(full: string, type: number): string | undefined {
  if (type === constants.S_IFLNK)
    return readlinkSync(bytesOf(full), { encoding: 'buffer' }).toString('latin1');
  if (type !== constants.S_IFREG) return undefined;
  const bytes = readFileSync(bytesOf(full));
  return bytes.length <= 64 ? bytes.toString('latin1') : createHash('sha256').update(bytes).digest('hex');
}

function userAttributes(full: string): Record<string, string> {
  const fd = openPath(full, O_PATH | constants.O_NOFOLLOW);
  try {
    const names = listXattrAt(fd, '').filter((name) => name.startsWith('user.'));
    return Object.fromEntries(
      names.map((name) => [name, getXattrAt(fd, '', name)?.toString('latin1') ?? '']),
    );
  } finally {
    closeFd(fd);
  }
}

/** Gives everything in a folder, and the folder, one time in seconds. */
export function setTimes(full: string, time: number): void {
  if (lstatSync(bytesOf(full)).isDirectory()) {
    for (const name of readdirSync(bytesOf(full), { encoding: 'buffer' })) {
      setTimes(`${full}/${name.toString('latin1')}`, time);
    }
  }
  lutimesSync(bytesOf(full), time, time);
}
