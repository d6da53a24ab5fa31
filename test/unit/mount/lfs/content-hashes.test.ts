// Hashes of files that are changed, replaced and touched while they are hashed and afterwards: never a wrong one.
import { createHash } from 'node:crypto';
import {
  appendFileSync,
  closeSync,
  constants,
  mkdtempSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as immediate } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type ContentHashes, createContentHashes } from '../../../../src/mount/lfs/content-hashes.ts';
import { createLogger } from '../../../../src/util/logger.ts';
import { statIfPresent } from '../../../../src/util/syscall.ts';
import { createRandom, randomBytes } from '../../../support/random.ts';

let folder: string;
let path: string;
let hashes: ContentHashes;
let warnings: string[];
let opened: number;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'scorpio-test-hashes-'));
  path = join(folder, 'file');
  warnings = [];
  opened = 0;
  hashes = create();
});

afterEach(async () => {
  await hashes.close();
  rmSync(folder, { recursive: true });
});

function create(): ContentHashes {
  const log = createLogger('warn', (line) => void warnings.push(line));
  return createContentHashes(join(folder, 'state'), log);
}

const open = (): number => {
  opened++;
  return openSync(path, constants.O_RDONLY);
};
const sha = (content: string | Buffer): string => createHash('sha256').update(content).digest('hex');
const known = (): string | undefined => {
  const stat = statIfPresent(-1, path);
  return stat === undefined ? undefined : hashes.known(stat);
};

test('a file is hashed once, and known afterwards, also after a restart', async () => {
  writeFileSync(path, 'content');
  expect(known()).toBeUndefined();
  expect(await hashes.hash(open)).toMatchObject({ oid: sha('content'), size: 7 });
  expect(known()).toBe(sha('content'));
  await hashes.close();
  hashes = create();
  await hashes.ready();
  expect(known()).toBe(sha('content'));
});

test('whoever asks for the same file at the same time shares the work', async () => {
  writeFileSync(path, randomBytes(3_000_000, 1));
  await Promise.all([hashes.hash(open), hashes.hash(open), hashes.hash(open)]);
  // Each looks at the file's state; one reads it.
  expect(opened).toBe(4);
});

test('a change of any kind makes another state of it', async () => {
  const changes = [
    () => writeFileSync(path, 'another'),
    () => appendFileSync(path, '!'),
    () => truncateSync(path, 3),
    () => writeFileSync(path, 'contenT'),
    () => {
      // The same size and the same modification time, as a program that hides its writing leaves them.
      const { atime, mtime } = statSync(path);
      writeFileSync(path, 'CONTENT');
      utimesSync(path, atime, mtime);
    },
    () => {
      writeFileSync(`${path}.new`, 'replaced');
      renameSync(`${path}.new`, path);
    },
  ];
  writeFileSync(path, 'content');
  for (const change of changes) {
    await hashes.hash(open);
    change();
    expect(known()).toBeUndefined();
    expect((await hashes.hash(open)).oid).toBe(sha(readFileSync(path)));
  }
});

test('what is written while a file is hashed is never missed', async () => {
  const random = createRandom(7);
  const content = randomBytes(2_000_000, 2);
  writeFileSync(path, content);
  const fd = openSync(path, 'r+');
  try {
    for (let round = 0; round < 30; round++) {
      const hashing = hashes.hash(open);
      for (let step = Math.floor(random() * 40); step > 0; step--) await immediate();
      const position = Math.floor(random() * content.length);
      content[position] = (content[position] ?? 0) ^ 1;
      writeSync(fd, content, position, 1, position);
      await hashing;
      const cached = known();
      expect(cached === undefined || cached === sha(content)).toBe(true);
      expect((await hashes.hash(open)).oid).toBe(sha(content));
    }
  } finally {
    closeSync(fd);
  }
});

test('a file that is written all the time is given up, with a reason', async () => {
  writeFileSync(path, 'content');
  let count = 0;
  const busy = (): number => {
    writeFileSync(path, `content ${count++}`);
    return open();
  };
  await expect(hashes.hash(busy)).rejects.toMatchObject({
    kind: 'invalid',
    message: expect.stringContaining('written to all the time') as string,
  });
});

test('hashing ends when nobody wants it any more, and at the end', async () => {
  writeFileSync(path, randomBytes(8_000_000, 3));
  const controller = new AbortController();
  const hashing = hashes.hash(open, { signal: controller.signal });
  await immediate();
  controller.abort();
  await expect(hashing).rejects.toMatchObject({ kind: 'aborted' });
  const another = hashes.hash(open);
  await immediate();
  const closing = hashes.close();
  await expect(another).rejects.toThrow();
  await closing;
});

test('a file that cannot be opened is no problem of the hashes', async () => {
  await expect(hashes.hash(open)).rejects.toMatchObject({ code: 'ENOENT' });
  writeFileSync(path, 'there now');
  expect((await hashes.hash(open)).oid).toBe(sha('there now'));
});

test('a damaged record costs what is damaged, and a torn line none but itself', async () => {
  writeFileSync(path, 'content');
  await hashes.hash(open);
  await hashes.close();
  const file = join(folder, 'state', 'hashes');
  writeFileSync(file, `garbage\n${readFileSync(file, 'latin1')}1.2.3.4.5.6.7 abc`);
  hashes = create();
  await hashes.ready();
  expect(known()).toBe(sha('content'));
  writeFileSync(path, 'more');
  await hashes.hash(open);
  await hashes.close();
  hashes = create();
  await hashes.ready();
  expect(known()).toBe(sha('more'));
  expect(warnings).toEqual([]);
});
