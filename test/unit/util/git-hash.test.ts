// Object ids, compared with what git itself says.
import { execFileSync } from 'node:child_process';
import { expect, test } from 'vitest';
import {
  createObjectHasher,
  EMPTY_BLOB_ID,
  EMPTY_TREE_ID,
  hashObject,
  isObjectId,
} from '../../../src/util/git-hash.ts';

const gitHash = (type: string, content: Buffer): string =>
  execFileSync('git', ['hash-object', '-t', type, '--stdin'], { input: content, encoding: 'utf8' }).trim();

test('a blob has the id that git gives it', () => {
  const content = Buffer.from([0, 255, 10, 13, 0, 128, 65]);
  expect(hashObject('blob', content)).toBe(gitHash('blob', content));
});

test('a tree has the id that git gives it', () => {
  const tree = Buffer.concat([
    Buffer.from('100644 .gitkeep\0'),
    Buffer.from('4faf56fa3768353248a1658ce71029e00cda7983', 'hex'),
  ]);
  expect(hashObject('tree', tree)).toBe(gitHash('tree', tree));
});

test('the empty objects have their well-known ids', () => {
  expect(hashObject('blob', new Uint8Array())).toBe(EMPTY_BLOB_ID);
  expect(hashObject('tree', new Uint8Array())).toBe(EMPTY_TREE_ID);
});

test('content that arrives in pieces has the same id, and the bytes are counted', () => {
  const content = Buffer.alloc(100_000, 'abc');
  const hasher = createObjectHasher('blob', content.length);
  for (let at = 0; at < content.length; at += 777) hasher.update(content.subarray(at, at + 777));
  expect(hasher.received).toBe(content.length);
  expect(hasher.digest()).toBe(gitHash('blob', content));
});

test('only 40 lower-case digits are an id', () => {
  expect(isObjectId(EMPTY_BLOB_ID)).toBe(true);
  for (const other of [
    EMPTY_BLOB_ID.toUpperCase(),
    EMPTY_BLOB_ID.slice(1),
    `${EMPTY_BLOB_ID}\n`,
    '',
    undefined,
    7,
  ]) {
    expect(isObjectId(other)).toBe(false);
  }
});
