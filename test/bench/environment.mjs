// What a result depends on besides the code: the machine, the kernel, the versions.
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { cpus, loadavg, release, totalmem } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { runCommand } from './processes.mjs';

const PROBE_FILES = 500;
/** A disk that needs longer to make a file measures itself and nothing else. */
const SLOW_CREATE_US = 200;

async function ask(command, args, cwd) {
  return runCommand(command, args, { cwd }).then(
    ({ stdout }) => stdout.trim(),
    () => 'unknown',
  );
}

function processorModel() {
  return (
    cpus()[0]?.model ?? /model name\s*:\s*(.*)/.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[1] ?? 'unknown'
  );
}

/**
 * What the disk needs to make an empty file. An ext4 without a journal becomes slow at it after many deletions (a
 * millisecond), which then is most of what writing and fetching take, and differs from run to run.
 */
function describeCreating(folder) {
  const probe = mkdtempSync(join(folder, 'probe-'));
  const began = performance.now();
  for (let index = 0; index < PROBE_FILES; index++) closeSync(openSync(join(probe, String(index)), 'wx'));
  const us = ((performance.now() - began) / PROBE_FILES) * 1000;
  rmSync(probe, { recursive: true });
  return `${us.toFixed(0)} us a file${us > SLOW_CREATE_US ? ': SLOW, choose another disk with --dir' : ''}`;
}

async function describePeers(contenders) {
  const versions = await Promise.all(
    contenders
      .filter(({ kind }) => kind === 'peer')
      .map(async ({ title, version }) => `${title} ${await version().catch(() => 'unknown')}`),
  );
  return versions.join(', ') || 'none installed';
}

/** Describes the machine, the checkout in `root`, the peers, and the disk of a stage. */
export async function describeEnvironment({ root, stage, disk }) {
  const commit = await ask('git', ['rev-parse', '--short=12', 'HEAD'], root);
  const changed = (await ask('git', ['status', '--porcelain'], root)) !== '';
  return {
    date: new Date().toISOString(),
    commit: changed ? `${commit} with changes` : commit,
    run: stage.quick ? 'quick' : 'full',
    node: process.version,
    kernel: release(),
    processor: processorModel(),
    cores: cpus().length,
    memory: `${Math.round(totalmem() / 2 ** 30)} GiB`,
    load: loadavg()[0].toFixed(2),
    disk: `${disk.description} (${await ask('findmnt', ['-n', '-o', 'FSTYPE', '-T', disk.folder])})`,
    creating: describeCreating(disk.folder),
    peers: await describePeers(stage.contenders),
    user: process.getuid() === 0 ? 'root' : 'ordinary',
    caches: stage.canDropCaches
      ? 'emptied before cold runs'
      : 'NOT emptied: cold baselines are warm (run as root)',
  };
}
