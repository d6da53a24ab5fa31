// `scorpio lfs push`: has the daemon upload new and modified large files.
import type { LfsReportJson } from '../../../http/lfs/lfs-json.ts';
import { formatByteSize } from '../../../util/byte-size.ts';
import { createContext, type GlobalOptions } from '../../cli-context.ts';
import { plural } from '../../plural.ts';
import { formatSeconds } from '../../progress-view.ts';
import { findTarget, type MountOptions } from './lfs-target.ts';
import { runTask, type TaskOptions } from './run-task.ts';

function summary(report: LfsReportJson): string {
  const { files_done: done, files_present: present, files_failed: failed, bytes, duration_ms: ms } = report;
  if (done + failed === 0) return 'no large file is new or modified';
  const missing = failed === 0 ? '' : `, ${failed} failed`;
  const time = formatSeconds(ms / 1000);
  return `uploaded ${plural(done - present, 'large file')}, ${formatByteSize(bytes)}, in ${time}; ${present} were on the server already${missing}`;
}

/** Uploads. Throws CliError. */
export async function runPush(
  globals: GlobalOptions,
  paths: readonly string[],
  options: MountOptions & TaskOptions,
): Promise<number> {
  const target = await findTarget(await createContext(globals), paths, options);
  return runTask(
    {
      daemonUrl: target.daemonUrl,
      url: `${target.url}/push`,
      body: { paths: target.paths },
      what: 'uploaded',
      kept: 'what was uploaded stays on the server, and the next run goes on from there',
      summary,
      show: target.show,
    },
    options,
  );
}
