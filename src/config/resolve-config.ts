// From checked settings to the configuration that the other parts see.
import { parseDiskAmount, type DiskAmount } from '../util/byte-size.ts';
import type { SettingValue } from './check-value.ts';
import type { Config, LfsConfig, LockRule } from './config.ts';

/** Longest delay that a timer of Node holds is 2^31 ms; above that it fires at once. */
const MAX_TIMEOUT_SECS = 2_000_000;
const MAX_REQUESTS_AT_ONCE = 1024;

type Settings = ReadonlyMap<string, { readonly value: SettingValue }>;

/** Maps settings, by flat key, to the configuration. All keys must be there. */
export function resolveConfig(settings: Settings): Config {
  const value = (flat: string): SettingValue => {
    const setting = settings.get(flat);
    if (setting === undefined) throw new Error(`no setting for the key ${flat}`);
    return setting.value;
  };
  const text = (flat: string): string => String(value(flat));
  const number = (flat: string, most: number): number => Math.min(Number(value(flat)), most);
  const url = (flat: string): string => text(flat).replace(/\/+$/u, '');
  const diskAmount = (flat: string): DiskAmount => parseDiskAmount(text(flat)) ?? { bytes: 0 };
  // Commas in braces belong to the glob.
  const globs = (flat: string): string[] =>
    text(flat)
      .split(/,(?![^{]*\})/u)
      .map((glob) => glob.trim())
      .filter((glob) => glob !== '');
  const allowOther = value('allow_other');
  return {
    baseUrl: url('base_url'),
    lfsUrl: text('lfs_url') === 'auto' ? undefined : url('lfs_url'),
    lfsToken: text('lfs_token') === '' ? undefined : text('lfs_token'),
    workspace: text('workspace'),
    storePath: text('store_path'),
    storeLimit: diskAmount('store_limit'),
    storeKeepFree: diskAmount('store_keep_free'),
    gitAuthor: text('git_author'),
    gitEmail: text('git_email'),
    configFile: text('config_file'),
    logLevel: text('log_level'),
    httpAddr: text('http_addr'),
    upperRoot: text('antares_upper_root'),
    clRoot: text('antares_cl_root'),
    mountRoot: text('antares_mount_root'),
    stateFile: text('antares_state_file'),
    fetchTimeoutSecs: number('dicfuse_fetch_dir_timeout_secs', MAX_TIMEOUT_SECS),
    connectTimeoutSecs: number('dicfuse_connect_timeout_secs', MAX_TIMEOUT_SECS),
    fetchMaxRetries: Math.max(1, number('dicfuse_fetch_dir_max_retries', Number.MAX_SAFE_INTEGER)),
    fetchConcurrency: number('fetch_file_thread', MAX_REQUESTS_AT_ONCE),
    memoryBudget: number('memory_budget', Number.MAX_SAFE_INTEGER),
    fuseBinding: text('fuse_binding') as Config['fuseBinding'],
    prefetchPaths: globs('prefetch_paths'),
    prefetchIntervalSecs: number('prefetch_interval_secs', MAX_TIMEOUT_SECS),
    allowOther: typeof allowOther === 'boolean' ? allowOther : undefined,
    openRequests: text('open_requests') as Config['openRequests'],
    lfs: {
      smudge: text('lfs_smudge') as LfsConfig['smudge'],
      include: globs('lfs_include'),
      exclude: globs('lfs_exclude'),
      rangesAbove: number('lfs_ranges_above', Number.MAX_SAFE_INTEGER),
      concurrency: Math.max(1, number('lfs_concurrency', MAX_REQUESTS_AT_ONCE)),
      lockable: text('lfs_lockable') as LockRule,
      locked: text('lfs_locked') as LockRule,
      locksRefreshSecs: number('lfs_locks_refresh_secs', MAX_TIMEOUT_SECS),
    },
  };
}
