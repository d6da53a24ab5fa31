// How libfuse is to mount.
import type { FuseMountOptions } from '../fuse-mount.ts';
import { escapeOption } from '../kernel/fusermount.ts';

/** What the package has room for, in each of mount point and options. */
export const MOST_OPTION_BYTES = 1023;
/** What `fsname` may take of that; it is only shown. */
const MOST_SOURCE_CHARACTERS = 200;

/**
 * The option string.
 *
 * The kernel keeps no attributes (attr_timeout=0): libfuse shows it the two names of a file as two files, so what is done
 * under one name would be seen late under the other, and an append could land in the middle. Names may be kept for a
 * second, since every change of a name comes through the mount; that they are missing is never kept.
 */
export function libfuseOptions({ source, allowOther }: FuseMountOptions): string {
  const shown = Array.from(source).slice(0, MOST_SOURCE_CHARACTERS).join('');
  const options = [
    `fsname=${escapeOption(shown)}`,
    'subtype=scorpio',
    'default_permissions',
    ...(allowOther ? ['allow_other'] : []),
    'use_ino',
    'big_writes',
    'atomic_o_trunc',
    'attr_timeout=0',
    'entry_timeout=1',
    'negative_timeout=0',
  ];
  return `-o${options.join(',')}`;
}
