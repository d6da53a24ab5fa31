// The repositories that the benchmarks serve: made by git fast-import, the same bytes on every machine.
import { runCommand } from './processes.mjs';

const FILES_PER_FOLDER = 100;
const FOLDERS_PER_FOLDER = 100;
const SMALLEST_FILE_BYTES = 200;
const LARGEST_FILE_BYTES = 4000;
const LARGE_PIECE_BYTES = 8 * 1024 * 1024;
/** 2026-01-01T00:00:00Z */
const COMMIT_TIME = 1_767_225_600;

/** Bytes that do not compress and do not differ between runs. */
export function noise(length) {
  const buffer = Buffer.allocUnsafe(length);
  let state = 0x9e3779b9;
  for (let at = 0; at < length; at += 4) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    buffer.writeInt32LE(state, at);
  }
  return buffer;
}

/** Path of the nth small file: 100 files a folder, 100 folders a folder. */
function pathOf(index) {
  const folder = Math.floor(index / FILES_PER_FOLDER);
  const top = Math.floor(folder / FOLDERS_PER_FOLDER);
  const pad = (number) => String(number).padStart(2, '0');
  return `part-${pad(top)}/folder-${pad(folder % FOLDERS_PER_FOLDER)}/file-${pad(index % FILES_PER_FOLDER)}.txt`;
}

function* smallFiles(count) {
  const text = Buffer.from(noise(LARGEST_FILE_BYTES).toString('base64'));
  for (let index = 0; index < count; index++) {
    const size = SMALLEST_FILE_BYTES + ((index * 7919) % (LARGEST_FILE_BYTES - SMALLEST_FILE_BYTES));
    const title = Buffer.from(`file ${index}\n`);
    const body = Buffer.concat([title, text.subarray(0, size - title.length)]);
    yield Buffer.concat([Buffer.from(`M 100644 inline ${pathOf(index)}\ndata ${body.length}\n`), body]);
    yield '\n';
  }
}

/** Names alone count: all files have the same few lines. */
function* manyNames(count) {
  yield 'blob\nmark :1\ndata 14\nthe same file\n\n';
  yield* oneCommit(namesOfOneBlob(count));
}

function* namesOfOneBlob(count) {
  const PIECE = 1000;
  for (let first = 0; first < count; first += PIECE) {
    const indices = Array.from({ length: Math.min(PIECE, count - first) }, (_, at) => first + at);
    yield indices.map((index) => `M 100644 :1 ${pathOf(index)}\n`).join('');
  }
}

/** Three shapes: many folders of `width` files, one folder of a tenth of all, and folders inside each other. */
function* shapes(count, width) {
  const DEPTH = 200;
  const CONTENTS = 1000;
  for (let mark = 1; mark <= CONTENTS; mark++) {
    const text = `content ${mark}\n`;
    yield `blob\nmark :${mark}\ndata ${text.length}\n${text}\n`;
  }
  yield* oneCommit(
    (function* () {
      const line = (index, path) => `M 100644 :${1 + (index % CONTENTS)} ${path}\n`;
      const names = (folder, length, first) =>
        Array.from({ length }, (_, at) => line(first + at, `${folder}/file-number-${at}.txt`)).join('');
      // The first content differs, so that no two folders are the same tree.
      for (let at = 0; at * width < count; at++) yield names(`wide/folder-${at}`, width, at * 7);
      yield names('large', count / 10, 0);
      yield line(0, `${'deep/'.repeat(DEPTH)}file.txt`);
    })(),
  );
}

function* largeFile(size) {
  yield `M 100644 inline large.bin\ndata ${size}\n`;
  const piece = noise(LARGE_PIECE_BYTES);
  for (let at = 0; at < size; at += piece.length) {
    // No two pieces alike.
    piece.writeUInt32LE(at / piece.length, 0);
    yield Buffer.from(piece.subarray(0, Math.min(piece.length, size - at)));
  }
  yield '\n';
}

function* oneCommit(files) {
  yield `commit refs/heads/main\ncommitter Bench <bench@localhost> ${COMMIT_TIME} +0000\ndata 5\nbench\n`;
  yield* files;
  yield 'done\n';
}

async function importStream(directory, stream) {
  await runCommand('git', ['init', '-q', '--bare', '-b', 'main', directory]);
  // The server reads the objects without inflating them: what is measured is the way from there.
  await runCommand('git', ['-C', directory, 'config', 'core.compression', '0']);
  await runCommand('git', ['-C', directory, 'config', 'core.bigFileThreshold', '16m']);
  await runCommand('git', ['-C', directory, 'fast-import', '--quiet', '--done'], { input: stream });
}

/** A repository of a few files: pairs of path and text. The folder may be there already. */
export async function importFiles(directory, files) {
  const lines = files.map(
    ([path, text]) => `M 100644 inline ${path}\ndata ${Buffer.byteLength(text)}\n${text}\n`,
  );
  await importStream(directory, oneCommit(lines));
}

/** A repository of `count` small files. Resolves with its folder and the paths of the files. */
export async function makeSmallFiles(directory, count) {
  await importStream(directory, oneCommit(smallFiles(count)));
  return { directory, count, paths: Array.from({ length: count }, (_, index) => pathOf(index)) };
}

/** As `makeSmallFiles`, but all files have the same content: up to a million of them, within seconds. */
export async function makeManyNames(directory, count) {
  await importStream(directory, manyNames(count));
  return { directory, count };
}

/** A repository of `count` files in folders of a thousand, a tenth more in one folder, and a deep one. */
export async function makeShapes(directory, count) {
  const WIDTH = 1000;
  await importStream(directory, shapes(count, WIDTH));
  return { directory, count };
}

/** A repository of one file, `large.bin`, that does not compress. */
export async function makeLargeFile(directory, size) {
  await importStream(directory, oneCommit(largeFile(size)));
  const { stdout } = await runCommand('git', ['-C', directory, 'rev-parse', 'HEAD:large.bin']);
  return { directory, size, path: 'large.bin', blob: `/api/v1/file/blob/${stdout.trim()}` };
}

/** A repository of the files that `names` names in `folder`, folders with all that is in them. */
export async function makeFromFiles(directory, folder, names) {
  const git = ['--git-dir', directory, '--work-tree', folder];
  const identity = ['-c', 'user.name=Bench', '-c', 'user.email=bench@localhost'];
  await runCommand('git', ['init', '-q', '--bare', '-b', 'main', directory]);
  await runCommand('git', [...git, 'add', '--', ...names], { cwd: folder });
  await runCommand('git', [...git, ...identity, 'commit', '-q', '-m', 'bench'], { cwd: folder });
  return { directory };
}
