// `scorpio lfs checkout` and `scorpio lfs fetch`: has the daemon download large files ahead of need.
import type { LfsReportJson } from '../../../http/lfs/lfs-json.ts';
import { formatByteSize } from '../../../util/byte-size.ts';
import { createContext, type GlobalOptions } from '../../cli-context.ts';
import { note, print, printJson } from '../../output.ts';
import { plural } from '../../plural.ts';
import { printable } from '../../../util/printable.ts';
import { formatSeconds } from '../../progress-view.ts';
import { askDaemon } from './ask-daemon.ts';
import { ExitCode } from '../../exit-codes.ts';
import { findTarget, type MountOptions } from './lfs-target.ts';
import { runTask, type TaskOptions } from './run-task.ts';

/** Options of both. */
export interface FetchOptions extends MountOptions, TaskOptions {
  /** Of checkout. */
  readonly deactivate?: boolean;
}

function summary(report: LfsReportJson): string {
  const { files_done: done, files_present: present, files_failed: failed, bytes, duration_ms: ms } = report;
  if (done + failed === 0) return 'there are no large files';
  const missing = failed === 0 ? '' : `, ${failed} failed`;
  const time = formatSeconds(ms / 1000);
  return `fetched ${plural(done - present, 'large file')}, ${formatByteSize(bytes)}, in ${time}; ${present} were here already${missing}`;
}

/** Downloads; with `kind` checkout the folders are kept fetched from now on. Throws CliError. */
export async function runFetch(
  globals: GlobalOptions,
  kind: 'checkout' | 'fetch',
  paths: readonly string[],
  options: FetchOptions,
): Promise<number> {
  const context = await createContext(globals);
  const target = await findTarget(context, paths, options);
  if (options.deactivate === true) return deactivate(target.url, target.paths, options);
  if (context.config.lfs.smudge === 'off' && options.quiet !== true) {
    note('note: lfs.smudge is "off": what is fetched is stored, and the files go on reading as pointers');
  }
  return runTask(
    {
      daemonUrl: target.daemonUrl,
      url: `${target.url}/${kind}`,
      body: { paths: target.paths },
      what: 'fetched',
      kept: 'what was fetched is kept, and the next run goes on from there',
      summary,
      show: target.show,
    },
    options,
  );
}

async function deactivate(url: string, paths: readonly string[], options: FetchOptions): Promise<number> {
  const { active_folders: left } = await askDaemon<{ active_folders: readonly string[] }>({
    method: 'DELETE',
    url: `${url}/checkout`,
    body: { paths },
  });
  if (options.json === true) printJson({ active_folders: left });
  else if (options.quiet !== true) {
    const names = left.map((folder) => (folder === '' ? '/' : printable(folder)));
    print(
      names.length === 0
        ? 'no folder of this mount is checked out any more; what was fetched stays until it is pruned'
        : `checked out are still: ${names.join(', ')}`,
    );
  }
  return ExitCode.ok;
}
