// What a binding cannot do, in one place: the docs, `scorpio doctor`, the status of mounts and the tests follow it.

/** Something that mounts of a binding do not do, or do differently from a local disk. */
export interface BindingLimit {
  /** Short and stable, for programs. */
  readonly name: string;
  /** One sentence for people. */
  readonly text: string;
}

/** The name of a limit of the binding over fuse-native. */
export type FuseNativeLimit =
  | 'caller'
  | 'utf8-names'
  | 'millisecond-times'
  | 'both-times'
  | 'empty-chown'
  | 'rename-flags'
  | 'fallocate'
  | 'seek-hole'
  | 'tmpfile'
  | 'removed-folder'
  | 'rename-over-open'
  | 'hard-link-cache'
  | 'interrupt'
  | 'inode-numbers'
  | 'attribute-cache'
  | 'invalidation'
  | 'thread-memory'
  | 'mountpoint-length';

/** The limits of the binding over fuse-native: those of libfuse's path based interface, and of the package. */
export const FUSE_NATIVE_LIMITS: readonly (BindingLimit & { readonly name: FuseNativeLimit })[] = [
  {
    name: 'caller',
    text: "It does not learn who calls: new files and folders belong to the owner of the mount, whoever makes them; and a truncating open takes set-id bits away from root's callers too.",
  },
  {
    name: 'utf8-names',
    text: 'Names, link targets and names of attributes are UTF-8: others are EILSEQ, and are left out of listings (and logged); so is the character U+FFFD.',
  },
  {
    name: 'millisecond-times',
    text: 'Times are shown and set in whole milliseconds, and those before 1970 are shown as 1970.',
  },
  {
    name: 'both-times',
    text: 'utimensat(2) for only one of the two times succeeds, but changes nothing.',
  },
  { name: 'empty-chown', text: 'chown(2) that changes neither owner nor group does not set the ctime.' },
  { name: 'rename-flags', text: 'renameat2(2) with RENAME_NOREPLACE or RENAME_EXCHANGE is EINVAL.' },
  { name: 'fallocate', text: 'fallocate(2) is EOPNOTSUPP.' },
  { name: 'seek-hole', text: 'SEEK_DATA and SEEK_HOLE see a file as one piece without holes.' },
  { name: 'tmpfile', text: 'open(2) with O_TMPFILE is EOPNOTSUPP.' },
  {
    name: 'removed-folder',
    text: 'A folder that was removed while it is open, and a removed open file whose folder was removed too, are ENOENT.',
  },
  {
    name: 'rename-over-open',
    text: 'A rename over a file that is open removes that file first: where the rename then fails, the file is gone.',
  },
  {
    name: 'hard-link-cache',
    text: 'The names of one file have a page cache each: what is written under one name while another is open there or mapped shows there when it is opened again.',
  },
  {
    name: 'interrupt',
    text: 'A call that waits for the server cannot be interrupted: it ends with its answer, or with the deadline of the request.',
  },
  {
    name: 'inode-numbers',
    text: 'Inode numbers have 32 bits, so two files may show the same number by chance.',
  },
  {
    name: 'attribute-cache',
    text: 'The kernel keeps no attributes, no listings and no content of closed files: each stat, listing and first read asks the daemon (no READDIRPLUS, no passthrough). So it shows that the ctime moves when a file or folder is copied up.',
  },
  {
    name: 'invalidation',
    text: 'The kernel cannot be told of changes that do not come through the mount: a name shows them after up to a second. Nor can it be told to forget, so a mount that was walked may keep more in memory than the allowance.',
  },
  {
    name: 'thread-memory',
    text: 'Each thread that libfuse starts (for more than ten calls at once) keeps some hundred bytes of the daemon for good.',
  },
  {
    name: 'mountpoint-length',
    text: 'The path of a mount point has at most 1,023 bytes, and only the first 200 characters of the mounted path are shown as the source.',
  },
];
