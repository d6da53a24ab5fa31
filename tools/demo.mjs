// `npm run demo`: serves a real Git repository, mounts it without downloading it, and shows what that costs; then a large
// file (Git LFS) of 256 MiB, which the demo adds to a repository of its own.
//
//   npm run demo                        this project's own repository
//   npm run demo -- --repo DIR          any other Git repository
//   npm run demo -- --path /src         only a path of it
//   npm run demo -- --once              ends by itself instead of waiting for Ctrl-C
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  appendFileSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { addLargeFile, showLargeFile } from './demo-large-file.mjs';
import { fail, prepare, root } from './prepare.mjs';

const TREE_LINES = 36;
/** Larger files are not shown as text. */
const TEXT_BYTES = 256 * 1024;
const colour = process.stdout.isTTY && !process.env.NO_COLOR;
const paint = (code) => (text) => (colour ? `\u001b[${code}m${text}\u001b[0m` : text);
const bold = paint('1');
const dim = paint('2');
const blue = paint('1;34');
const green = paint('32');
const cyan = paint('36');

let options;
try {
  options = parseArgs({
    options: {
      repo: { type: 'string' },
      path: { type: 'string', default: '/' },
      once: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  }).values;
} catch (error) {
  fail(`${error.message}; options: --repo DIR, --path /PATH, --once`);
}
if (options.help) {
  console.log('npm run demo -- [--repo DIR] [--path /PATH] [--once]');
  process.exit(0);
}

prepare();

const temporary = mkdtempSync(join(tmpdir(), 'scorpio-demo-'));
const mountpoint = join(temporary, 'mnt');
const children = [];
let leaving;

/** Unmounts, stops what was started, and removes the temporary folder; once, whoever asks first. */
function leave() {
  leaving ??= (async () => {
    for (const child of children.reverse()) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      child.kill('SIGTERM');
      await once(child, 'exit');
    }
    rmSync(temporary, { recursive: true, force: true });
  })();
  return leaving;
}
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.on(signal, () => {
    console.log('\nunmounting');
    void leave().then(() => process.exit(0));
  });
}

const scorpio = (...args) => [
  join(root, 'bin', 'scorpio.js'),
  '--config-path',
  join(temporary, 'scorpio.toml'),
  ...args,
];

/** Starts a part of Scorpio in a process group of its own, so that Ctrl-C reaches only this script. */
function start(args, name) {
  const child = spawn(process.execPath, args, { detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
  children.push(child);
  let log = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk) => (log = (log + chunk).slice(-4000)));
  child.on('exit', (code) => {
    if (leaving || code === 0) return;
    console.error(log);
    void leave().then(() => fail(`${name} ended unexpectedly`));
  });
  return child;
}

const git = (repo, ...args) =>
  execFileSync('git', ['-C', repo, ...args], { encoding: 'utf8', maxBuffer: 1 << 30 });

/** This project's repository; where the checkout came without one (a tarball), one is made of its files. */
function ownRepository() {
  if (existsSync(join(root, '.git'))) return root;
  const repo = join(temporary, 'repo');
  const identity = ['-c', 'user.name=Demo', '-c', 'user.email=demo@localhost'];
  const options = { stdio: 'ignore', cwd: root };
  execFileSync('git', ['init', '-q', '--separate-git-dir', repo, join(temporary, 'tree')], {
    stdio: 'ignore',
  });
  execFileSync('git', ['--git-dir', repo, '--work-tree', root, 'add', '-A'], options);
  execFileSync(
    'git',
    [...identity, '--git-dir', repo, '--work-tree', root, 'commit', '-qm', 'Import'],
    options,
  );
  return repo;
}

function human(bytes) {
  const units = ['B', 'kB', 'MB', 'GB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
}

/** Prints two levels of the mounted folder. Each folder that is opened is fetched now, and no other. */
function showTree() {
  let lines = 0;
  const walk = (folder, indent, depth) => {
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      if (lines++ > TREE_LINES) return;
      const path = join(folder, entry.name);
      if (entry.isDirectory()) {
        console.log(`  ${indent}${blue(`${entry.name}/`)}`);
        if (depth > 1) walk(path, `${indent}  `, depth - 1);
      } else if (entry.isSymbolicLink()) {
        console.log(`  ${indent}${cyan(entry.name)}`);
      } else {
        const { mode, size } = statSync(path);
        const name = (mode & 0o111) === 0 ? entry.name : green(entry.name);
        console.log(`  ${indent}${name} ${dim(human(size))}`);
      }
    }
  };
  walk(mountpoint, '', 2);
  if (lines > TREE_LINES) console.log(dim('  ...'));
}

/** A small text file of the mounted folder, a README if there is one. */
function firstFile() {
  const names = readdirSync(mountpoint, { withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => entry.name)
    .sort((a, b) => Number(/^readme/i.test(b)) - Number(/^readme/i.test(a)));
  return names.find((name) => {
    const path = join(mountpoint, name);
    return statSync(path).size <= TEXT_BYTES && !readFileSync(path).includes(0);
  });
}

function status() {
  const { stdout } = spawnSync(process.execPath, scorpio('list', '--json'), { encoding: 'utf8' });
  const { mounts } = JSON.parse(stdout);
  return mounts[0];
}

/** Runs a command of the program, and returns what it printed. */
function run(...args) {
  const { status, stdout, stderr } = spawnSync(process.execPath, scorpio(...args), { encoding: 'utf8' });
  if (status !== 0) throw new Error(stderr.trim());
  return stdout;
}

/** Large files of the mount, asked without the start of a program. */
async function largeFiles(id) {
  const { address } = JSON.parse(readFileSync(join(temporary, 'store', 'daemon.json'), 'utf8'));
  const answer = await fetch(`http://${address}/antares/mounts/${id}/lfs`);
  return answer.json();
}

async function main() {
  const repo = options.repo ?? ownRepository();
  const served = join(temporary, 'served.git');
  await addLargeFile(repo, served, options.path);
  const server = start(
    [join(root, 'bin', 'scorpio.js'), 'mega-server', '--repo', served, '--http-addr', '127.0.0.1:0'],
    'mega-server',
  );
  const line = await Promise.race([once(createInterface(server.stdout), 'line'), once(server, 'exit')]);
  const url = /http:\S+/.exec(String(line[0]))?.[0];
  if (url === undefined) return;
  const sizes = git(repo, 'ls-tree', '-r', '-l', 'HEAD').trim().split('\n');
  const total = sizes.reduce((sum, text) => sum + (Number(text.split(/\s+/)[3]) || 0), 0);
  console.log(`${bold('Repository')}  ${repo}: ${sizes.length} files, ${human(total)}, served at ${url}`);

  writeFileSync(
    join(temporary, 'scorpio.toml'),
    [
      `base_url = "${url}"`,
      `store_path = "${temporary}/store"`,
      `workspace = "${temporary}/workspace"`,
      `config_file = "${temporary}/config.toml"`,
      `antares_upper_root = "${temporary}/upper"`,
      `antares_cl_root = "${temporary}/cl"`,
      `antares_mount_root = "${temporary}/mounts"`,
      `antares_state_file = "${temporary}/state.toml"`,
      'http_addr = "127.0.0.1:0"',
      'log_level = "warn"',
      '',
    ].join('\n'),
  );
  start(scorpio('serve'), 'the daemon');
  for (let waited = 0; !existsSync(join(temporary, 'store', 'daemon.json')); waited += 50) {
    if (waited > 15_000) throw new Error('the daemon did not start within 15 s');
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  const began = performance.now();
  const mounted = spawnSync(process.execPath, scorpio('mount', 'demo', mountpoint, '--path', options.path), {
    encoding: 'utf8',
  });
  if (mounted.status !== 0) throw new Error(mounted.stderr.trim());
  const entries = readdirSync(mountpoint).length;
  const took = Math.round(performance.now() - began);
  console.log(
    `${bold('Mounted')}     ${options.path} at ${mountpoint}: ${entries} entries, ${took} ms from the command to the first listing\n`,
  );
  showTree();

  const file = firstFile();
  if (file !== undefined) {
    const text = readFileSync(join(mountpoint, file), 'utf8');
    console.log(`\n${bold('Read')}        ${file}: ${dim(text.split('\n', 1)[0].slice(0, 90))}`);
    appendFileSync(join(mountpoint, file), '\nA line written through the mount.\n');
  }
  writeFileSync(
    join(mountpoint, 'written-in-the-demo.txt'),
    'This file exists in the writable layer alone.\n',
  );
  const { fetched_bytes: fetched, requests, layers } = status();
  const share = fetched < total ? `: ${((fetched / total) * 100).toFixed(1)} % of the repository` : '';
  console.log(`${bold('Fetched')}     ${human(fetched)} in ${requests} requests${share}`);
  console.log(`${bold('Written')}     the changes lie in ${layers.upper}:`);
  for (const name of readdirSync(layers.upper)) {
    const text = readFileSync(join(layers.upper, name), 'utf8').trimEnd().split('\n').at(-1).slice(0, 90);
    console.log(`  ${green(name)} ${dim(`... ${text}`)}`);
  }
  const { mount_id: id } = status();
  await showLargeFile({
    mountpoint,
    repository: served,
    run,
    status: () => largeFiles(id),
    show: { bold, dim, green, human },
  });
  if (options.once) return leave();
  console.log(`\n${bold('Explore it')}  cd ${mountpoint}\nCtrl-C unmounts and removes everything.`);
}

try {
  await main();
} catch (error) {
  await leave();
  fail(error.message);
}
