// The keys of the section [lfs]: large files.
import type { ConfigKey } from './config-key.ts';

/** Keys of large files. */
export const LFS_KEYS: readonly ConfigKey[] = [
  {
    flat: 'lfs_smudge',
    section: 'lfs',
    short: 'smudge',
    type: 'choice',
    choices: ['attributes', 'any-pointer', 'off'],
    default: 'attributes',
    description:
      'Which LFS pointers read as the large file that they stand for: attributes (those of files that .gitattributes or .libra_attributes mark), any-pointer (all), or off: pointers read as they are.',
  },
  {
    flat: 'lfs_include',
    section: 'lfs',
    short: 'include',
    type: 'string',
    default: '',
    description:
      'Only pointers of these files read as the large file: globs of paths of the monorepo as in .gitignore, with commas between them. Empty: all.',
  },
  {
    flat: 'lfs_exclude',
    section: 'lfs',
    short: 'exclude',
    type: 'string',
    default: '',
    description: 'Pointers of these files read as they are: globs as in lfs_include.',
  },
  {
    flat: 'lfs_ranges_above',
    section: 'lfs',
    short: 'ranges_above',
    type: 'byte-size',
    default: '1GiB',
    description:
      'Of a large file above this size only the parts that are read are fetched; a smaller one is fetched as a whole once it is opened.',
  },
  {
    flat: 'lfs_concurrency',
    section: 'lfs',
    short: 'concurrency',
    type: 'usize',
    min: 1,
    default: '8',
    description: 'Large files that are transferred at once.',
  },
  {
    flat: 'lfs_lockable',
    section: 'lfs',
    short: 'lockable',
    type: 'choice',
    choices: ['refuse', 'warn', 'off'],
    default: 'refuse',
    description:
      'What happens when a file that the attributes mark lockable is opened for writing and you have not locked it: refuse (it is shown read-only), warn in the log, or off.',
  },
  {
    flat: 'lfs_locked',
    section: 'lfs',
    short: 'locked',
    type: 'choice',
    choices: ['refuse', 'warn', 'off'],
    default: 'warn',
    description: 'What happens when a file that somebody else has locked is opened for writing.',
  },
  {
    flat: 'lfs_locks_refresh_secs',
    section: 'lfs',
    short: 'locks_refresh_secs',
    type: 'u64',
    default: '60',
    description:
      'How often the locks are asked for in the background, in seconds; 0: only when a command needs them.',
  },
];
