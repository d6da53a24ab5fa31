// What every command of a fresh checkout needs first: Debian's packages, npm's packages, and the build.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The checkout's folder. */
export const root = dirname(dirname(fileURLToPath(import.meta.url)));

const MINIMUM_NODE = [20, 19];

/** Programs that must be there, and the Debian package of each. */
const programs = {
  git: 'git',
  'git-lfs': 'git-lfs',
  fusermount3: 'fuse3',
  make: 'make',
  'g++': 'g++',
  python3: 'python3',
};

/** Ends the process with a message for the user. */
export function fail(message) {
  console.error(`scorpio: ${message}`);
  process.exit(1);
}

/** Runs a command in the checkout; its output goes to ours. Ends the process when it fails. */
export function run(command, args, options = {}) {
  const result = spawnSync(command, args, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'], ...options });
  if (result.error) fail(`cannot run ${command}: ${result.error.message}`);
  if (result.status !== 0)
    fail(`${command} ${args.join(' ')} failed (exit ${result.status ?? result.signal})`);
}

/** Path of a command that npm installed. */
export function bin(name) {
  return join(root, 'node_modules', '.bin', name);
}

/** Whether a program can be found. */
export function hasProgram(name) {
  const folders = [...(process.env.PATH ?? '').split(':'), '/usr/sbin', '/sbin'];
  return folders.some((folder) => existsSync(join(folder, name)));
}

/** Installs the Debian packages of the programs that are missing. Where it cannot, `otherwise` is told what to run. */
function installPrograms(wanted, otherwise) {
  const missing = Object.keys(wanted).filter((name) => !hasProgram(name));
  if (missing.length === 0) return;
  const packages = missing.map((name) => wanted[name]).join(' ');
  const command = `apt-get update && apt-get install -y --no-install-recommends ${packages}`;
  const advice = `these programs are missing: ${missing.join(', ')}. As root, run once:\n\n  ${command}\n`;
  if (process.getuid() !== 0 || !hasProgram('apt-get')) return otherwise(advice);
  console.error(`installing Debian packages: ${packages}`);
  const log = '/tmp/scorpio-apt.log';
  const result = spawnSync('sh', ['-c', `(${command}) > ${log} 2>&1 || { tail -n 20 ${log}; exit 1; }`], {
    stdio: ['ignore', 'inherit', 'inherit'],
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
  });
  if (result.status !== 0) otherwise(advice);
}

/** As `prepare` does with what is needed, with programs that one can do without; `consequence` says how. */
export function installOptional(wanted, consequence) {
  installPrograms(wanted, (advice) => console.error(`scorpio: ${advice}\n${consequence}`));
}

/** Node's headers beside its program, where they are: else the compiler's helper would download them. */
function ownHeaders() {
  const prefix = dirname(dirname(process.execPath));
  return existsSync(join(prefix, 'include', 'node', 'node_version.h')) ? { npm_config_nodedir: prefix } : {};
}

function ensureNpmPackages() {
  const lock = readFileSync(join(root, 'package-lock.json'));
  const wanted = `${createHash('sha256').update(lock).digest('hex')} ${process.version}\n`;
  const stamp = join(root, 'node_modules', '.scorpio-installed');
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) return;
  console.log('installing npm packages (better-sqlite3 is compiled, which takes a minute)');
  // Its prebuilt binary would come from elsewhere: compiling needs nothing but the package. The others bring theirs.
  run('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], {
    env: { ...ownHeaders(), ...process.env, npm_config_build_from_source: 'better-sqlite3' },
  });
  writeFileSync(stamp, wanted);
}

/** Installs what is missing and builds. */
export function prepare() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  const [wantedMajor, wantedMinor] = MINIMUM_NODE;
  if (major < wantedMajor || (major === wantedMajor && minor < wantedMinor)) {
    fail(`Node ${MINIMUM_NODE.join('.')} or newer is needed, this is ${process.version}`);
  }
  if (process.platform !== 'linux') fail('Linux is needed');
  installPrograms(programs, fail);
  ensureNpmPackages();
  run(process.execPath, [join(root, 'tools', 'build.mjs')]);
  if (!existsSync('/dev/fuse'))
    fail(
      '/dev/fuse is missing: load the module with `modprobe fuse`, or give the container --device /dev/fuse',
    );
}
