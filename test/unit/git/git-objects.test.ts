// Reading objects through long-lived git processes: pipelining, deaths, limits, streams, and closing.
import { randomBytes } from 'node:crypto';
import { rename } from 'node:fs/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { isAlive, until } from '../mega-server/support.ts';
import { GitObjects } from '../../../src/git/git-objects.ts';
import { createGitRepository } from '../../support/git-repository.ts';
import type { GitRepository } from '../../support/git-repository.ts';

const LIMIT = 1024 * 1024;
const MISSING = 'f'.repeat(40);

let repository: GitRepository;
let objects: GitObjects;

beforeEach(async () => {
  repository = await createGitRepository({ files: { a: 'one\n', b: '', 'c/d': 'two' } });
  objects = new GitObjects(repository.path);
});

afterEach(async () => {
  objects.close();
  await repository.remove();
});

test('payloads come back whole whatever their size, in any order', async () => {
  const contents = Array.from({ length: 200 }, (_, index) => randomBytes((index * 7919) % 150_000));
  const ids: string[] = [];
  for (const content of contents.slice(0, 20)) ids.push(await repository.writeObject('blob', content));
  const asked = Array.from({ length: 400 }, (_, index) => index % ids.length);
  const read = await Promise.all(asked.map((index) => objects.read(ids[index] ?? '', 'blob', LIMIT)));
  expect(read.every((bytes, index) => bytes?.equals(contents[asked[index] ?? 0] ?? Buffer.from('x')))).toBe(
    true,
  );
});

test('missing objects and other types are undefined, too large ones an error that harms no others', async () => {
  const large = await repository.writeObject('blob', randomBytes(300_000));
  const small = await repository.git(['rev-parse', 'HEAD:a']);
  const [missing, otherType, tooLarge, fine] = await Promise.allSettled([
    objects.read(MISSING, 'blob', LIMIT),
    objects.read(repository.head, 'blob', LIMIT),
    objects.read(large, 'blob', 1000),
    objects.read(small, 'blob', LIMIT),
  ]);
  expect(missing).toEqual({ status: 'fulfilled', value: undefined });
  expect(otherType).toEqual({ status: 'fulfilled', value: undefined });
  expect(tooLarge).toMatchObject({ status: 'rejected', reason: { name: 'GitError', kind: 'too-large' } });
  expect(fine).toEqual({ status: 'fulfilled', value: Buffer.from('one\n') });
});

test('headers name what an expression stands for now', async () => {
  expect(await objects.header('HEAD^{commit}')).toMatchObject({ id: repository.head, type: 'commit' });
  expect(await objects.header('refs/tags/none^{commit}')).toBeUndefined();
  const next = await repository.commit({ a: 'changed' });
  expect((await objects.header('HEAD^{commit}'))?.id).toBe(next);
  const ids = [MISSING, next, MISSING];
  expect((await objects.headers(ids)).map((header) => header?.type)).toEqual([
    undefined,
    'commit',
    undefined,
  ]);
  expect(await objects.headers([])).toEqual([]);
});

test('processes that die under load are replaced, and every question is answered', async () => {
  const id = await repository.git(['rev-parse', 'HEAD:a']);
  await objects.read(id, 'blob', LIMIT);
  const questions = Array.from({ length: 500 }, () => objects.read(id, 'blob', LIMIT));
  const dead = [...objects.pids];
  for (const pid of dead) process.kill(pid, 'SIGKILL');
  const answers = await Promise.all(questions);
  expect(answers.every((bytes) => bytes?.toString() === 'one\n')).toBe(true);
  await until(() => !dead.some(isAlive), 'the killed processes were waited for');
});

test('a repository that went away is an error, not a wait', async () => {
  const gone = new GitObjects(`${repository.path}-gone`);
  await expect(gone.header('HEAD')).rejects.toMatchObject({ kind: 'failed' });
  const all = await Promise.allSettled(Array.from({ length: 30 }, () => gone.read(MISSING, 'blob', LIMIT)));
  expect(all.every(({ status }) => status === 'rejected')).toBe(true);
  gone.close();
  const id = await repository.git(['rev-parse', 'HEAD:a']);
  await rename(repository.path, `${repository.path}-moved`);
  try {
    const stream = await objects.stream(id, { start: 0, length: 4 });
    await expect(stream.toArray()).rejects.toMatchObject({ kind: 'failed' });
  } finally {
    await rename(`${repository.path}-moved`, repository.path);
  }
});

test('a stream gives exactly its span, and a span that git cannot fill is an error', async () => {
  const content = randomBytes(1_000_003);
  const id = await repository.writeObject('blob', content);
  for (const [start, length] of [
    [0, content.length],
    [0, 1],
    [content.length - 1, 1],
    [65_535, 65_538],
  ] as const) {
    const stream = await objects.stream(id, { start, length });
    const bytes = Buffer.concat((await stream.toArray()) as Buffer[]);
    expect(bytes.equals(content.subarray(start, start + length))).toBe(true);
  }
  const beyond = await objects.stream(id, { start: 0, length: content.length + 1 });
  await expect(beyond.toArray()).rejects.toMatchObject({ kind: 'failed' });
  const missing = await objects.stream(MISSING, { start: 0, length: 1 });
  await expect(missing.toArray()).rejects.toMatchObject({ kind: 'failed' });
  await until(() => objects.streamCount === 0, 'the streams ended');
});

test('closing rejects what waits and ends what runs', async () => {
  const id = await repository.writeObject('blob', randomBytes(3_000_000));
  await objects.header('HEAD');
  const stream = await objects.stream(id, { start: 0, length: 3_000_000 });
  const waiting = objects.read(id, 'blob', 10_000_000);
  const pids = objects.pids;
  const streamed = stream.toArray();
  objects.close();
  await expect(waiting).rejects.toMatchObject({ kind: 'closed' });
  await expect(streamed).rejects.toMatchObject({ kind: 'closed' });
  await expect(objects.header('HEAD')).rejects.toMatchObject({ kind: 'closed' });
  await expect(objects.stream(id, { start: 0, length: 1 })).rejects.toMatchObject({ kind: 'closed' });
  await until(() => !pids.some(isAlive), 'git ended');
});
