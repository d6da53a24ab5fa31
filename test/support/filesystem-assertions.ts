// What tests of filesystems ask again and again: which errno, which tree, did anything change.
import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';
import { toErrno } from '../../src/fuse/errno.ts';
import type { Attributes, Timestamp } from '../../src/fuse/filesystem.ts';
import { errnoName } from '../../src/util/errno.ts';
import type { FilesystemClient } from './filesystem-client.ts';

/** More than a tick of the clock that local filesystems stamp files with. */
const CLOCK_TICK_MS = 12;

/** Waits until files are stamped with a later time. */
export async function clockTick(): Promise<void> {
  await sleep(CLOCK_TICK_MS);
}

/** Name of the errno that an action fails with, `success` if it does not; faults without an errno are thrown. */
export async function outcome(action: () => unknown): Promise<string> {
  try {
    await action();
    return 'success';
  } catch (error) {
    if (!(error instanceof Error) || !('errno' in error)) throw error;
    const name = errnoName(toErrno(error));
    // One number has both names on Linux.
    return name === 'ENOTSUP' ? 'EOPNOTSUPP' : name;
  }
}

/** All that can be seen of one object. */
export interface ObjectState {
  readonly mode: string;
  readonly owner: string;
  /** Folders: undefined, since filesystems differ in what they count. */
  readonly nlink: number | undefined;
  readonly size: number | undefined;
  readonly mtime: string;
  readonly rdev: number;
  readonly content: string | undefined;
  readonly xattrs: Readonly<Record<string, string>>;
}

/** What the whole tree looks like; path by path, the root under `''`. */
export async function treeState(fs: FilesystemClient, path = ''): Promise<Record<string, ObjectState>> {
  const state: Record<string, ObjectState> = { [path]: await objectState(fs, path) };
  if (!state[path]?.mode.startsWith('d')) return state;
  for (const { name } of await fs.list(path)) {
    Object.assign(state, await treeState(fs, path === '' ? name : `${path}/${name}`));
  }
  return state;
}

const typeLetters = new Map<number, string>([
  [constants.S_IFDIR, 'd'],
  [constants.S_IFREG, 'f'],
  [constants.S_IFLNK, 'l'],
  [constants.S_IFIFO, 'p'],
  [constants.S_IFSOCK, 's'],
  [constants.S_IFCHR, 'c'],
]);

async function objectState(fs: FilesystemClient, path: string): Promise<ObjectState> {
  const attributes = await fs.stat(path);
  const type = attributes.mode & constants.S_IFMT;
  const isFolder = type === constants.S_IFDIR;
  const xattrs: Record<string, string> = {};
  for (const name of await fs.listxattr(path))
    xattrs[name] = (await fs.getxattr(path, name)).toString('latin1');
  return {
    mode: `${typeLetters.get(type) ?? '?'}${(attributes.mode & 0o7777).toString(8)}`,
    owner: `${attributes.uid}:${attributes.gid}`,
    nlink: isFolder ? undefined : attributes.nlink,
    size: isFolder ? undefined : attributes.size,
    mtime: `${attributes.mtime}.${attributes.mtimeNsec}`,
    rdev: attributes.rdev,
    content: await contentState(fs, path, type),
    xattrs,
  };
}

async function contentState(fs: FilesystemClient, path: string, type: number): Promise<string | undefined> {
  if (type === constants.S_IFLNK) return fs.readlink(path);
  if (type !== constants.S_IFREG) return undefined;
  const bytes = await fs.readFile(path);
  return bytes.length <= 64 ? bytes.toString('latin1') : createHash('sha256').update(bytes).digest('hex');
}

/** Asserts that an action fails with an errno and leaves the tree as it was. */
export async function expectFailure(
  fs: FilesystemClient,
  errno: string | readonly string[],
  action: () => unknown,
): Promise<void> {
  const before = await treeState(fs);
  expect([errno].flat()).toContain(await outcome(action));
  expect(await treeState(fs)).toEqual(before);
}

/** A time as a number that can be compared: nanoseconds since 1970. */
export function nanoseconds(time: Timestamp): bigint {
  return BigInt(time.seconds) * 1_000_000_000n + BigInt(time.nanoseconds);
}

/** When the content of an object last changed, in nanoseconds. */
export function mtimeOf({ mtime, mtimeNsec }: Attributes): bigint {
  return nanoseconds({ seconds: mtime, nanoseconds: mtimeNsec });
}

/** When anything of an object last changed, in nanoseconds. */
export function ctimeOf({ ctime, ctimeNsec }: Attributes): bigint {
  return nanoseconds({ seconds: ctime, nanoseconds: ctimeNsec });
}

/** Which of the two times of a path an action moves: `''`, `c`, `m` or `cm`. */
export async function timesMoved(
  fs: FilesystemClient,
  path: string,
  action: () => Promise<unknown>,
  pathAfter: string = path,
): Promise<string> {
  const before = await fs.stat(path);
  await clockTick();
  await action();
  const after = await fs.stat(pathAfter);
  return (ctimeOf(after) > ctimeOf(before) ? 'c' : '') + (mtimeOf(after) > mtimeOf(before) ? 'm' : '');
}

/** Asserts that two large contents are equal, without the cost of showing how they differ. */
export function expectBytes(actual: Buffer, expected: Buffer): void {
  expect(actual.length).toBe(expected.length);
  const differs = actual.equals(expected) ? -1 : actual.findIndex((byte, index) => byte !== expected[index]);
  expect(differs).toBe(-1);
}
