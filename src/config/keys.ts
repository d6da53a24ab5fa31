// The table of configuration keys: loading, checking, `config show`, the template, the example and the docs follow it.
import type { ConfigKey } from './config-key.ts';
import { LFS_KEYS } from './lfs-keys.ts';

const server: readonly ConfigKey[] = [
  {
    flat: 'base_url',
    section: 'server',
    short: 'base_url',
    type: 'url',
    default: 'http://localhost:8000',
    template: true,
    description: 'The Mega server that serves the monorepo.',
  },
  {
    flat: 'lfs_url',
    section: 'server',
    short: 'lfs_url',
    type: 'auto-url',
    default: 'auto',
    template: true,
    description:
      'The Git LFS server of the monorepo; auto: what .lfsconfig names, else the usual places on the Mega server.',
  },
  {
    flat: 'lfs_token',
    section: 'server',
    short: 'lfs_token',
    type: 'secret',
    default: '',
    description:
      'Password for the Git LFS server: a bearer token, or user:password. It is sent to the host of lfs_url (where that is auto, of base_url) alone, and never shown. Empty: what the URL has, or what Git has stored.',
  },
  {
    flat: 'workspace',
    section: 'server',
    short: 'workspace',
    type: 'path',
    default: '{store_path}/workspace',
    template: true,
    description: 'Folder for mounts that are made through the legacy API.',
  },
  {
    flat: 'store_path',
    section: 'server',
    short: 'store_path',
    type: 'path',
    default: '{data}',
    template: true,
    description:
      'The local store: objects and metadata, shared by all mounts. It also tells one daemon from another.',
  },
  {
    flat: 'store_limit',
    section: 'server',
    short: 'store_limit',
    type: 'disk-amount',
    default: '30%',
    description:
      'How much disk the store may take; beyond it, what was not used for longest is removed, and fetched again when it is needed. 0: no limit.',
  },
  {
    flat: 'store_keep_free',
    section: 'server',
    short: 'store_keep_free',
    type: 'disk-amount',
    default: '5%',
    description:
      'How much of its disk the store leaves free for what is written in mounts, and for everything else; it shrinks for that. 0: nothing.',
  },
  {
    flat: 'git_author',
    section: 'server',
    short: 'git_author',
    type: 'string',
    default: 'MEGA',
    template: true,
    description: 'Author of commits that are made from a mount.',
  },
  {
    flat: 'git_email',
    section: 'server',
    short: 'git_email',
    type: 'string',
    default: 'admin@mega.org',
    template: true,
    description: 'E-mail address of that author.',
  },
  {
    flat: 'config_file',
    section: 'server',
    short: 'config_file',
    type: 'path',
    default: '{store_path}/config.toml',
    template: true,
    description: 'Runtime state of mounts that are made through the legacy API (`works`).',
  },
  {
    flat: 'log_level',
    section: 'server',
    short: 'log_level',
    type: 'string',
    default: 'info',
    template: true,
    description: 'What is logged: off, error, warn, info, debug or trace.',
  },
  {
    flat: 'http_addr',
    section: 'server',
    short: 'http_addr',
    type: 'address',
    default: '127.0.0.1:2725',
    description:
      'Where the daemon listens. Whoever reaches it can mount and unmount: keep it on a loopback address.',
  },
  {
    flat: 'memory_budget',
    section: 'server',
    short: 'memory_budget',
    type: 'byte-size',
    default: '512MiB',
    min: 16_777_216,
    description:
      'Memory that the daemon may take for all mounts together. Near it, the kernel is asked to forget files that nothing uses. Node alone takes about 100 MB.',
  },
];

const dicfuse: readonly ConfigKey[] = [
  {
    flat: 'dicfuse_readable',
    section: 'dicfuse',
    short: 'readable',
    type: 'bool',
    default: 'true',
    unused: true,
    description: 'No effect: a file reads as what it is, or fails.',
  },
  {
    flat: 'load_dir_depth',
    section: 'dicfuse',
    short: 'load_dir_depth',
    type: 'usize',
    default: '3',
    min: 1,
    unused: true,
    description: 'No effect: a folder is fetched when it is listed, nothing is loaded ahead at mounting.',
  },
  {
    flat: 'fetch_file_thread',
    section: 'dicfuse',
    short: 'fetch_file_thread',
    type: 'usize',
    default: '10',
    min: 1,
    description: 'Requests to the server at once.',
  },
  {
    flat: 'dicfuse_import_concurrency',
    section: 'dicfuse',
    short: 'import_concurrency',
    type: 'usize',
    default: '4',
    min: 1,
    unused: true,
    description: 'No effect: there is no import at the start.',
  },
  {
    flat: 'dicfuse_dir_sync_ttl_secs',
    section: 'dicfuse',
    short: 'dir_sync_ttl_secs',
    type: 'u64',
    default: '5',
    unused: true,
    description: 'No effect: a mount shows one commit, so a folder that was fetched never goes stale.',
  },
  {
    flat: 'dicfuse_reply_ttl_secs',
    section: 'dicfuse',
    short: 'reply_ttl_secs',
    type: 'u64',
    default: '2',
    unused: true,
    description: 'No effect: the kernel keeps what it knows until it is told otherwise.',
  },
  {
    flat: 'dicfuse_fetch_dir_timeout_secs',
    section: 'dicfuse',
    short: 'fetch_dir_timeout_secs',
    type: 'u64',
    default: '10',
    min: 1,
    description: 'Deadline of a request for metadata, and of silence while a file arrives; seconds.',
  },
  {
    flat: 'dicfuse_connect_timeout_secs',
    section: 'dicfuse',
    short: 'connect_timeout_secs',
    type: 'u64',
    default: '3',
    min: 1,
    description: 'Deadline for connecting to the server; seconds.',
  },
  {
    flat: 'dicfuse_fetch_dir_max_retries',
    section: 'dicfuse',
    short: 'fetch_dir_max_retries',
    type: 'u32',
    default: '3',
    description: 'Attempts of a request, the first one included; 0 acts as 1.',
  },
  {
    flat: 'dicfuse_stat_mode',
    section: 'dicfuse',
    short: 'stat_mode',
    type: 'stat-mode',
    default: 'accurate',
    unused: true,
    description: 'No effect: sizes are always the real ones.',
  },
  {
    flat: 'dicfuse_open_buff_max_bytes',
    section: 'dicfuse',
    short: 'open_buff_max_bytes',
    type: 'u64',
    default: '268435456',
    unused: true,
    description:
      'No effect: file content is cached on disk and by the kernel, not in the memory of the daemon.',
  },
  {
    flat: 'dicfuse_open_buff_max_files',
    section: 'dicfuse',
    short: 'open_buff_max_files',
    type: 'usize',
    default: '4096',
    min: 1,
    unused: true,
    description: 'No effect: as open_buff_max_bytes.',
  },
];

const antares: readonly ConfigKey[] = [
  {
    flat: 'antares_load_dir_depth',
    section: 'antares',
    short: 'load_dir_depth',
    type: 'usize',
    default: '3',
    min: 1,
    unused: true,
    description: 'No effect: as load_dir_depth.',
  },
  {
    flat: 'antares_dicfuse_dir_sync_ttl_secs',
    section: 'antares',
    short: 'dir_sync_ttl_secs',
    type: 'u64',
    default: '120',
    unused: true,
    description: 'No effect: as dicfuse_dir_sync_ttl_secs.',
  },
  {
    flat: 'antares_dicfuse_reply_ttl_secs',
    section: 'antares',
    short: 'reply_ttl_secs',
    type: 'u64',
    default: '60',
    unused: true,
    description: 'No effect: as dicfuse_reply_ttl_secs.',
  },
  {
    flat: 'antares_dicfuse_stat_mode',
    section: 'antares',
    short: 'stat_mode',
    type: 'stat-mode',
    default: 'fast',
    unused: true,
    description: 'No effect: as dicfuse_stat_mode.',
  },
  {
    flat: 'antares_dicfuse_open_buff_max_bytes',
    section: 'antares',
    short: 'open_buff_max_bytes',
    type: 'u64',
    default: '67108864',
    unused: true,
    description: 'No effect: as dicfuse_open_buff_max_bytes.',
  },
  {
    flat: 'antares_dicfuse_open_buff_max_files',
    section: 'antares',
    short: 'open_buff_max_files',
    type: 'usize',
    default: '1024',
    min: 1,
    unused: true,
    description: 'No effect: as dicfuse_open_buff_max_bytes.',
  },
  {
    flat: 'antares_upper_root',
    section: 'antares',
    short: 'upper_root',
    type: 'path',
    default: '{store_path}/upper',
    template: true,
    description:
      'What is written in mounts, one folder a mount. The only data here that cannot be fetched again.',
  },
  {
    flat: 'antares_cl_root',
    section: 'antares',
    short: 'cl_root',
    type: 'path',
    default: '{store_path}/cl',
    template: true,
    description: 'Change lists that are laid over mounts, one folder a mount.',
  },
  {
    flat: 'antares_mount_root',
    section: 'antares',
    short: 'mount_root',
    type: 'path',
    default: '{store_path}/mnt',
    template: true,
    description: 'Where mounts appear that name no mount point, one folder a mount.',
  },
  {
    flat: 'antares_state_file',
    section: 'antares',
    short: 'state_file',
    type: 'path',
    default: '{store_path}/mounts.toml',
    template: true,
    description: 'The list of mounts, from which the daemon restores them when it starts.',
  },
];

const fuse: readonly ConfigKey[] = [
  {
    flat: 'allow_other',
    section: 'fuse',
    short: 'allow_other',
    type: 'auto-bool',
    default: 'auto',
    description:
      'Let other users into the mounts; auto: when the daemon runs as root. An ordinary user needs user_allow_other in /etc/fuse.conf.',
  },
  {
    flat: 'fuse_binding',
    section: 'fuse',
    short: 'binding',
    type: 'fuse-binding',
    default: 'auto',
    description:
      'How mounts are served: kernel (the FUSE protocol itself), fuse-native (libfuse, see docs/fuse-bindings.md), or auto: kernel where it can run.',
  },
  {
    flat: 'open_requests',
    section: 'fuse',
    short: 'open_requests',
    type: 'open-requests',
    default: 'auto',
    description:
      'Whether the kernel asks the daemon for each file that is opened. never: small files open as fast as local ones; always: large ones are read and written as fast as local ones, as root; auto: the latter until a mount turns out to be used for many small files (a thousand opens, of which one in a hundred is large at most, and no large file open at that moment).',
  },
];

const prefetch: readonly ConfigKey[] = [
  {
    flat: 'prefetch_paths',
    section: 'prefetch',
    short: 'paths',
    type: 'string',
    default:
      'BUCK, BUCK.v2, BUILD, BUILD.bazel, PACKAGE, TARGETS, TARGETS.v2, WORKSPACE, WORKSPACE.bazel, .buckconfig, *.bzl, *.bxl',
    description:
      'What is fetched in the background for all mounts that show it: globs of paths of the monorepo as in .gitignore, with commas between them, as `/docs, /project/*/src`. The default is what builds read first.',
  },
  {
    flat: 'prefetch_interval_secs',
    section: 'prefetch',
    short: 'interval_secs',
    type: 'u64',
    default: '0',
    description: 'Time between two such runs; seconds. 0: nothing is fetched in the background.',
  },
];

/** All keys, in the order of the file. */
export const CONFIG_KEYS: readonly ConfigKey[] = [
  ...server,
  ...dicfuse,
  ...antares,
  ...fuse,
  ...prefetch,
  ...LFS_KEYS,
];

/** Name of the environment variable of a key. */
export function environmentName(key: ConfigKey): string {
  return `SCORPIO_${key.flat.toUpperCase()}`;
}
