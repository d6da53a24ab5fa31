// The process that uses a folder: does one operation, and prints what it took as JSON.
//   node client.mjs OPERATION JSON
// It is never the process that serves the mount, which a call from inside would stop for ever.
import {
  closeSync,
  createWriteStream,
  fsyncSync,
  lstatSync,
  openSync,
  readFileSync,
  readSync,
  writeSync,
} from 'node:fs';
import { open } from 'node:fs/promises';
import { Agent, get } from 'node:http';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { pipeline } from 'node:stream/promises';

const PIECE_BYTES = 1024 * 1024;
const PAGE_BYTES = 4096;

const linesOf = (file) => readFileSync(file, 'utf8').split('\n').filter(Boolean);

/** open, read and close of each listed file, one after the other. */
function readFiles({ root, list }) {
  const paths = linesOf(list).map((name) => join(root, name));
  const buffer = Buffer.alloc(64 * 1024);
  let bytes = 0;
  const began = performance.now();
  for (const path of paths) {
    const fd = openSync(path);
    for (let count = 1; count > 0; bytes += count) count = readSync(fd, buffer, 0, buffer.length, null);
    closeSync(fd);
  }
  return { ms: performance.now() - began, bytes };
}

/** Attributes of each listed file, one after the other. */
function statFiles({ root, list }) {
  const paths = linesOf(list).map((name) => join(root, name));
  let bytes = 0;
  const began = performance.now();
  for (const path of paths) bytes += lstatSync(path).size;
  return { ms: performance.now() - began, bytes };
}

/** As readFiles with several readers; UV_THREADPOOL_SIZE must be at least their number. */
async function readFilesTogether({ root, list, readers }) {
  const names = linesOf(list);
  let next = 0;
  let bytes = 0;
  const reader = async () => {
    const buffer = Buffer.alloc(64 * 1024);
    while (next < names.length) {
      const file = await open(join(root, names[next++]));
      for (let count = 1; count > 0; bytes += count)
        count = (await file.read(buffer, 0, buffer.length)).bytesRead;
      await file.close();
    }
  };
  const began = performance.now();
  await Promise.all(Array.from({ length: readers }, reader));
  return { ms: performance.now() - began, bytes };
}

/** Reads a file from its start to its end. */
function readThrough({ file }) {
  const buffer = Buffer.alloc(PIECE_BYTES);
  let bytes = 0;
  const began = performance.now();
  const fd = openSync(file);
  for (let count = 1; count > 0; bytes += count) count = readSync(fd, buffer, 0, buffer.length, null);
  closeSync(fd);
  return { ms: performance.now() - began, bytes };
}

/** Opens a file and reads a part of it. */
function readPart({ file, position, length }) {
  const buffer = Buffer.alloc(length);
  const began = performance.now();
  const fd = openSync(file);
  let bytes = 0;
  for (let count = 1; count > 0 && bytes < length; bytes += count)
    count = readSync(fd, buffer, bytes, length - bytes, position + bytes);
  closeSync(fd);
  return { ms: performance.now() - began, bytes };
}

/** Reads `count` pages of a file, at places that are the same in every run. */
function readPages({ file, size, count }) {
  const buffer = Buffer.alloc(PAGE_BYTES);
  const pages = Math.floor(size / PAGE_BYTES);
  const fd = openSync(file);
  let seed = 1;
  const began = performance.now();
  for (let turn = 0; turn < count; turn++) {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    readSync(fd, buffer, 0, PAGE_BYTES, (seed % pages) * PAGE_BYTES);
  }
  const ms = performance.now() - began;
  closeSync(fd);
  return { ms, bytes: count * PAGE_BYTES };
}

/** Writes a new file in pieces of 1 MiB. */
function write({ file, size, sync }) {
  const piece = Buffer.alloc(PIECE_BYTES, 0x5c);
  const began = performance.now();
  const fd = openSync(file, 'wx');
  for (let at = 0; at < size; at += PIECE_BYTES) writeSync(fd, piece, 0, PIECE_BYTES);
  if (sync) fsyncSync(fd);
  closeSync(fd);
  return { ms: performance.now() - began, bytes: size };
}

const request = (url, agent) =>
  new Promise((resolve, reject) => {
    get(url, { agent }, (response) => {
      if (response.statusCode === 200) resolve(response);
      else reject(new Error(`${url} answered ${response.statusCode}`));
    }).once('error', reject);
  });

/** Copies one answer of a server into a file. */
async function download({ url, file }) {
  const began = performance.now();
  const target = createWriteStream(file);
  await pipeline(await request(url, new Agent()), target);
  return { ms: performance.now() - began, bytes: target.bytesWritten };
}

const operations = {
  readFiles,
  statFiles,
  readFilesTogether,
  readThrough,
  readPart,
  readPages,
  write,
  download,
};
const [operation, json] = process.argv.slice(2);
console.log(JSON.stringify(await operations[operation](JSON.parse(json))));
