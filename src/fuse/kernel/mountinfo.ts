// What is mounted where, from /proc/self/mountinfo. Reading it never touches a mounted filesystem.
import { readFileSync } from 'node:fs';

/** Type under which our mounts appear. */
export const FILESYSTEM_TYPE = 'fuse.scorpio';

/** A line of mountinfo. */
export interface MountInfo {
  readonly id: number;
  readonly parentId: number;
  /** Device number of the filesystem; for FUSE `minor` is the connection's number. */
  readonly major: number;
  readonly minor: number;
  /** Which folder of the filesystem is mounted, mostly `/`. */
  readonly root: string;
  /** Absolute path without symbolic links. */
  readonly mountpoint: string;
  /** Options of the mount, as `['rw', 'nosuid']`. */
  readonly options: readonly string[];
  readonly type: string;
  readonly source: string;
  /** Options of the filesystem, as `['rw', 'user_id=0']`. */
  readonly superOptions: readonly string[];
}

/** Undoes the octal escapes for blank, tab, newline and backslash. */
function unescape(field: string): string {
  return field.replaceAll(/\\([0-7]{3})/g, (_, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 8)),
  );
}

function parseLine(line: string): MountInfo | undefined {
  const fields = line.split(' ');
  // A number of optional fields ends with a dash.
  const dash = fields.indexOf('-', 6);
  const [id, parentId, device, root, mountpoint, options] = fields;
  const [type, source, superOptions] = fields.slice(dash + 1);
  if (
    dash < 0 ||
    !id ||
    !parentId ||
    !device ||
    root === undefined ||
    mountpoint === undefined ||
    type === undefined
  ) {
    return undefined;
  }
  const [major, minor] = device.split(':');
  return {
    id: Number(id),
    parentId: Number(parentId),
    major: Number(major),
    minor: Number(minor),
    root: unescape(root),
    mountpoint: unescape(mountpoint),
    options: options?.split(',') ?? [],
    type: unescape(type),
    source: unescape(source ?? ''),
    superOptions: superOptions?.split(',') ?? [],
  };
}

/** Parses the text of a mountinfo file. Lines that are none are left out. */
export function parseMountinfo(text: string): MountInfo[] {
  return text.split('\n').flatMap((line) => parseLine(line) ?? []);
}

/** All mounts that this process sees, in the order in which they lie upon each other. */
export function listMounts(): MountInfo[] {
  return parseMountinfo(readFileSync('/proc/self/mountinfo', 'utf8'));
}

/** The uppermost mount on this path (absolute, without symbolic links), whatever its type. */
export function findMount(mountpoint: string): MountInfo | undefined {
  return listMounts().findLast((mount) => mount.mountpoint === mountpoint);
}

/** The mounts of this program, of this process and of others, dead ones included. */
export function listOwnMounts(): MountInfo[] {
  return listMounts().filter((mount) => mount.type === FILESYSTEM_TYPE);
}
