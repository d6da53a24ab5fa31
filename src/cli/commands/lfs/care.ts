// `scorpio lfs prune` and `scorpio lfs dedup`: care for the large files in the local store.
import { resolve } from 'node:path';
import { formatByteSize } from '../../../util/byte-size.ts';
import { createContext, type GlobalOptions } from '../../cli-context.ts';
import { requireDaemon } from '../../find-daemon.ts';
import { plural } from '../../plural.ts';
import { runTask, type TaskOptions } from './run-task.ts';

/** Options of prune. */
export interface PruneOptions extends TaskOptions {
  readonly dryRun?: boolean;
  readonly verifyRemote: boolean;
}

/** Removes what can be fetched again. Throws CliError. */
export async function runPrune(globals: GlobalOptions, options: PruneOptions): Promise<number> {
  const { config } = await createContext(globals);
  const { url } = await requireDaemon(config);
  const { dryRun = false, verifyRemote } = options;
  const verb = dryRun ? 'would remove' : 'removed';
  return runTask(
    {
      daemonUrl: url,
      url: `${url}/antares/lfs/prune`,
      body: { dry_run: dryRun, verify_remote: verifyRemote },
      what: 'removed',
      kept: 'what was removed is fetched again when it is needed',
      summary: ({ files_done: done, freed_bytes: freed }) =>
        `${verb} ${plural(done, 'large file')}, ${formatByteSize(freed ?? 0)}`,
    },
    options,
  );
}

/** Shares files with the stores of git-lfs in other repositories. Throws CliError. */
export async function runDedup(
  globals: GlobalOptions,
  repositories: readonly string[],
  options: TaskOptions,
): Promise<number> {
  const { config } = await createContext(globals);
  const { url } = await requireDaemon(config);
  return runTask(
    {
      daemonUrl: url,
      url: `${url}/antares/lfs/dedup`,
      body: { repositories: repositories.map((path) => resolve(path)) },
      what: 'shared',
      kept: 'what was shared stays shared',
      summary: ({ files_done: done, files_present: present, freed_bytes: freed }) =>
        `shared ${plural(done - present, 'large file')}, ${formatByteSize(freed ?? 0)} freed; ${present} were shared already`,
    },
    options,
  );
}
