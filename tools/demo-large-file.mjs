// The part of the demo about large files (Git LFS): one of 256 MiB in a repository of its own, read, changed and pushed.
import { execFileSync, spawnSync } from 'node:child_process';
import { createCipheriv, createHash } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { performance } from 'node:perf_hooks';

const MIB = 2 ** 20;
const LARGE_BYTES = 256 * MIB;
/** Folder and file that the demo adds. */
const FOLDER = 'demo-large-files';
const FILE = 'large.bin';

const pointerText = (oid, size) =>
  `version https://git-lfs.github.com/spec/v1\noid sha256:${oid}\nsize ${size}\n`;

const objectPath = (lfs, oid) => join(lfs, 'objects', oid.slice(0, 2), oid.slice(2, 4), oid);

/** Writes the large file where the server has its objects: noise, the same in every run. Resolves with its oid. */
async function writeLargeObject(lfs) {
  mkdirSync(lfs, { recursive: true });
  const temporary = join(lfs, 'new');
  const noise = createCipheriv('aes-128-ctr', Buffer.alloc(16, 'demo'), Buffer.alloc(16));
  const zeros = Buffer.alloc(4 * MIB);
  const hash = createHash('sha256');
  const file = await open(temporary, 'w');
  for (let at = 0; at < LARGE_BYTES; at += zeros.length) {
    const piece = noise.update(zeros);
    const written = file.write(piece);
    hash.update(piece);
    await written;
  }
  await file.close();
  const oid = hash.digest('hex');
  mkdirSync(dirname(objectPath(lfs, oid)), { recursive: true });
  renameSync(temporary, objectPath(lfs, oid));
  return oid;
}

/** The large files that a repository has already are served along; links, since nobody writes to them. */
function adoptLargeFiles(repository, lfs) {
  const from = join(repository, 'lfs', 'objects');
  if (!existsSync(from)) return;
  mkdirSync(lfs, { recursive: true });
  const linked = spawnSync('cp', ['-rl', from, lfs], { stdio: 'ignore' });
  if (linked.status !== 0) cpSync(from, join(lfs, 'objects'), { recursive: true });
}

/**
 * Makes a bare repository in `directory` that has the head of `repository` and one commit more, which adds a large file
 * below `path`. Nothing is copied, and nothing is written to `repository`.
 */
export async function addLargeFile(repository, directory, path) {
  const git = (...args) => execFileSync('git', ['-C', repository, ...args], { encoding: 'utf8' }).trim();
  const common = resolve(repository, git('rev-parse', '--git-common-dir'));
  const head = git('rev-parse', 'HEAD');
  execFileSync('git', ['init', '-q', '--bare', '-b', 'main', directory]);
  writeFileSync(join(directory, 'objects', 'info', 'alternates'), `${join(common, 'objects')}\n`);
  // The parents of a shallow clone's last commits are nowhere.
  if (existsSync(join(common, 'shallow'))) cpSync(join(common, 'shallow'), join(directory, 'shallow'));
  const lfs = join(directory, 'lfs');
  adoptLargeFiles(common, lfs);
  const oid = await writeLargeObject(lfs);
  const pointer = pointerText(oid, LARGE_BYTES);
  const folder = [...path.split('/').filter(Boolean), FOLDER].join('/');
  const attributes = '*.bin filter=lfs diff=lfs merge=lfs -text\n';
  const entry = (name, text) => `M 100644 inline "${folder}/${name}"\ndata ${text.length}\n${text}\n`;
  const time = Math.floor(Date.now() / 1000);
  execFileSync('git', ['-C', directory, 'fast-import', '--quiet', '--done'], {
    input: [
      `commit refs/heads/main\ncommitter Demo <demo@localhost> ${time} +0000\ndata 16\nAdd a large file\n`,
      `from ${head}\n`,
      entry('.gitattributes', attributes),
      entry(FILE, pointer),
      'done\n',
    ].join(''),
  });
}

/** Reads a file from its start to its end; resolves with milliseconds until its first megabyte, and until its end. */
async function readThrough(path, onFirst) {
  const buffer = Buffer.alloc(MIB);
  const began = performance.now();
  const file = await open(path);
  let first;
  for (let at = 0; ;) {
    const { bytesRead } = await file.read(buffer, 0, MIB, at);
    at += bytesRead;
    if (bytesRead === 0) break;
    if (first === undefined && at >= MIB) {
      first = performance.now() - began;
      await onFirst?.();
    }
  }
  await file.close();
  return { first, all: performance.now() - began };
}

async function sha256Of(path) {
  const hash = createHash('sha256');
  const file = await open(path);
  for await (const piece of file.createReadStream({ highWaterMark: MIB })) hash.update(piece);
  return hash.digest('hex');
}

/**
 * Shows the large file: `mountpoint` is where the demo mounted, `run` runs a command of the program and returns what it
 * printed, `status` resolves with the large files of the mount, `show` has the demo's ways to print.
 */
export async function showLargeFile({ mountpoint, repository, run, status, show }) {
  const { bold, dim, green, human } = show;
  const path = join(mountpoint, FOLDER, FILE);
  const line = (name, text) => console.log(`  ${name.padEnd(9)} ${text}`);
  const rate = (ms) => `${human((LARGE_BYTES / ms) * 1000)}/s`;

  const { size } = statSync(path);
  console.log(
    `\n${bold('Large file')}  ${FOLDER}/${FILE}, in Git a pointer of ${pointerText('0'.repeat(64), size).length} bytes`,
  );
  const before = await status();
  const arrived = ({ transfers }) => transfers.reduce((sum, { bytes }) => sum + bytes, 0);
  line('ls -l', `${size} bytes; ${human(arrived(before))} of it fetched`);

  let then = LARGE_BYTES;
  const { first, all } = await readThrough(path, async () => {
    const { transfers } = await status();
    if (transfers.length > 0) then = arrived({ transfers });
  });
  line('first MiB', `after ${first.toFixed(0)} ms, when ${human(then)} of ${human(size)} had arrived`);
  line('all of it', `after ${(all / 1000).toFixed(2)} s, ${rate(all)}`);
  const again = await readThrough(path);
  line('again', `${(again.all / 1000).toFixed(2)} s, ${rate(again.all)}`);

  const file = await open(path, 'r+');
  await file.write(Buffer.from('changed in the demo'), 0, undefined, LARGE_BYTES / 2);
  await file.close();
  console.log(`${bold('Changed')}     19 bytes in the middle of it; scorpio lfs status, push, status:`);
  const shown = (...args) => {
    for (const text of run('lfs', ...args, '--mount', 'demo')
      .trimEnd()
      .split('\n'))
      console.log(`  ${dim(text)}`);
  };
  shown('status');
  const pushBegan = performance.now();
  shown('push');
  line('', dim(`(${((performance.now() - pushBegan) / 1000).toFixed(1)} s with the start of the program)`));
  shown('status');
  const { files } = await status();
  const [changed] = files;
  const pointer = pointerText(changed.oid, changed.size);
  const stored = await sha256Of(objectPath(join(repository, 'lfs'), changed.oid));
  if (stored !== changed.oid) throw new Error('the server has other bytes than were pushed');
  console.log(`${bold('Pointer')}     for the next commit; the server has its bytes:`);
  for (const text of pointer.trimEnd().split('\n')) console.log(`  ${green(text)}`);
}
