// What a result depends on besides the code: the machine, the kernel, the versions.
import { readFileSync } from 'node:fs';
import { cpus, loadavg, release, totalmem } from 'node:os';
import { runCommand } from './processes.mjs';

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

/** Describes the machine, the checkout in `root`, and the filesystem of `folder`. */
export async function describeEnvironment({ root, folder, quick, canDropCaches }) {
  const commit = await ask('git', ['rev-parse', '--short=12', 'HEAD'], root);
  const changed = (await ask('git', ['status', '--porcelain', '--', 'src'], root)) !== '';
  return {
    date: new Date().toISOString(),
    commit: changed ? `${commit} with changes in src/` : commit,
    run: quick ? 'quick' : 'full',
    node: process.version,
    kernel: release(),
    processor: processorModel(),
    cores: cpus().length,
    memory: `${Math.round(totalmem() / 2 ** 30)} GiB`,
    load: loadavg()[0].toFixed(2),
    filesystem: await ask('stat', ['-f', '-c', '%T', folder]),
    user: process.getuid() === 0 ? 'root' : 'ordinary',
    caches: canDropCaches ? 'emptied before cold runs' : 'NOT emptied: cold baselines are warm (run as root)',
  };
}
