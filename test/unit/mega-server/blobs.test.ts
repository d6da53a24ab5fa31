// Blobs by id: whole, HEAD, ranges, large ones as streams, and clients that go away.
import { randomBytes } from 'node:crypto';
import { connect } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ask, until } from './support.ts';
import { createMegaServer } from '../../../src/mega-server/mega-server.ts';
import type { MegaServer } from '../../../src/mega-server/mega-server.ts';
import { createGitRepository } from '../../support/git-repository.ts';
import type { GitRepository } from '../../support/git-repository.ts';
import { hashObject } from '../../../src/util/git-hash.ts';

const MIB = 1024 * 1024;
const SMALL = Buffer.from('hello, range');
const LARGE = randomBytes(3 * MIB + 17);

let repository: GitRepository;
let server: MegaServer;
const small = hashObject('blob', SMALL);
const large = hashObject('blob', LARGE);

beforeAll(async () => {
  repository = await createGitRepository({ files: { small: SMALL, large: LARGE, empty: '' } });
  server = await createMegaServer({ repo: repository.path, port: 0 });
});

afterAll(async () => {
  await server.close();
  await repository.remove();
});

const blob = (id: string, headers: Record<string, string> = {}, method = 'GET') =>
  ask(server.url, `/api/v1/file/blob/${id}`, { method, headers });

test('a blob comes whole with its headers, small, large and empty', async () => {
  for (const content of [SMALL, LARGE, Buffer.alloc(0)]) {
    const id = hashObject('blob', content);
    const answer = await blob(id);
    expect(answer.status).toBe(200);
    expect(answer.body.equals(content)).toBe(true);
    expect(answer.headers).toMatchObject({
      'content-type': 'application/octet-stream',
      'content-disposition': `inline; filename="${id}"`,
      'content-length': String(content.length),
      'accept-ranges': 'bytes',
      etag: `"${id}"`,
    });
    const head = await blob(id, {}, 'HEAD');
    expect([head.status, head.headers['content-length'], head.body.length]).toEqual([
      200,
      String(content.length),
      0,
    ]);
    expect((await blob(id.toUpperCase())).body.equals(content)).toBe(true);
  }
});

test('ids of other objects and unknown ids are 404, what is no id is 500 as with Mega', async () => {
  const tree = await repository.git(['rev-parse', 'HEAD^{tree}']);
  for (const id of [tree, repository.head, 'a'.repeat(40), 'b'.repeat(64)]) {
    expect((await blob(id)).status).toBe(404);
    expect((await blob(id, {}, 'HEAD')).status).toBe(404);
  }
  for (const id of ['main', 'HEAD', small.slice(1), `${small.slice(1)}g`, 'HEAD%0A']) {
    const answer = await blob(id);
    expect([answer.status, answer.body.toString()]).toEqual([
      500,
      '{"req_result":false,"data":null,"err_message":"Internal server error"}',
    ]);
  }
});

test('ranges are answered exactly, in small and in large blobs', async () => {
  for (const content of [SMALL, LARGE]) {
    const id = hashObject('blob', content);
    const size = content.length;
    for (const [range, first, last] of [
      ['bytes=0-0', 0, 0],
      ['bytes=3-5', 3, 5],
      [`bytes=${size - 2}-`, size - 2, size - 1],
      ['bytes=-4', size - 4, size - 1],
      [`bytes=-${size * 2}`, 0, size - 1],
      [`bytes=5-${size * 2}`, 5, size - 1],
      [`bytes=${size - 9}-${size - 3}`, size - 9, size - 3],
    ] as const) {
      const answer = await blob(id, { range });
      expect([range, answer.status, answer.headers['content-range']]).toEqual([
        range,
        206,
        `bytes ${first}-${last}/${size}`,
      ]);
      expect(answer.headers['content-length']).toBe(String(last - first + 1));
      expect(answer.body.equals(content.subarray(first, last + 1))).toBe(true);
    }
    for (const range of [`bytes=${size}-`, 'bytes=-0']) {
      const answer = await blob(id, { range });
      expect([answer.status, answer.headers['content-range']]).toEqual([416, `bytes */${size}`]);
      expect(answer.json()).toMatchObject({ req_result: false, data: null });
    }
    for (const range of ['bytes=0-1,3-4', 'items=0-1', 'bytes=5-2', 'bytes=-', 'nonsense']) {
      const answer = await blob(id, { range });
      expect([range, answer.status, answer.body.length]).toEqual([range, 200, size]);
    }
  }
  await until(() => server.streamCount === 0, 'all streams ended');
});

test('a client that has the blob gets no body, and a range of another blob is not taken', async () => {
  expect((await blob(small, { 'if-none-match': `"${small}"` })).status).toBe(304);
  expect((await blob(small, { 'if-none-match': `"${large}"` })).status).toBe(200);
  expect((await blob(small, { range: 'bytes=0-1', 'if-range': `"${small}"` })).status).toBe(206);
  expect((await blob(small, { range: 'bytes=0-1', 'if-range': `"${large}"` })).status).toBe(200);
});

/** Asks for a blob and takes only the first bytes. */
function startReading(id: string): Promise<ReturnType<typeof connect>> {
  return new Promise((resolve, reject) => {
    const socket = connect(server.port, '127.0.0.1', () => {
      socket.write(`GET /api/v1/file/blob/${id} HTTP/1.1\r\nHost: x\r\n\r\n`);
    });
    socket.once('error', reject);
    socket.once('data', () => {
      socket.pause();
      resolve(socket);
    });
  });
}

test('a client that goes away in the middle leaves no stream, no git, and no harm', async () => {
  const content = randomBytes(24 * MIB);
  const id = await repository.writeObject('blob', content);
  const sockets = await Promise.all(Array.from({ length: 5 }, () => startReading(id)));
  expect(server.streamCount).toBe(5);
  // Others are served while five slow clients hold their streams.
  expect((await blob(small)).body.equals(SMALL)).toBe(true);
  expect((await blob(large)).body.equals(LARGE)).toBe(true);
  for (const socket of sockets) socket.destroy();
  await until(() => server.streamCount === 0, 'the streams of absent clients ended');
  expect((await blob(id)).body.equals(content)).toBe(true);
});

test('more slow clients than places wait for one, and get it when one goes away', async () => {
  const id = await repository.writeObject('blob', randomBytes(24 * MIB));
  const sockets = await Promise.all(Array.from({ length: 32 }, () => startReading(id)));
  const late = blob(large);
  await new Promise((resolve) => setTimeout(resolve, 100));
  expect(server.streamCount).toBe(32);
  sockets[0]?.destroy();
  expect((await late).body.equals(LARGE)).toBe(true);
  for (const socket of sockets) socket.destroy();
  await until(() => server.streamCount === 0, 'the streams ended');
});

test('a blob of 64 MiB passes through without being held in memory', async () => {
  const id = await repository.writeObject('blob', randomBytes(64 * MIB));
  const socket = await startReading(id);
  const before = process.memoryUsage();
  // The client takes nothing: were there no backpressure, all of it would arrive here now.
  await new Promise((resolve) => setTimeout(resolve, 500));
  const after = process.memoryUsage();
  expect(after.arrayBuffers - before.arrayBuffers).toBeLessThan(16 * MIB);
  expect(after.rss - before.rss).toBeLessThan(48 * MIB);
  let received = 0;
  await new Promise<void>((resolve, reject) => {
    socket.on('data', (chunk: Buffer) => {
      received += chunk.length;
      if (received > 60 * MIB) resolve();
    });
    socket.once('close', () => reject(new Error('the connection was cut')));
    socket.resume();
  });
  socket.removeAllListeners('close');
  socket.destroy();
  expect(process.memoryUsage().arrayBuffers - before.arrayBuffers).toBeLessThan(32 * MIB);
  await until(() => server.streamCount === 0, 'the stream ended');
});
