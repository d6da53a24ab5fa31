// The framing of a batch, however it is cut into chunks.
import { expect, test } from 'vitest';
import { readBatch } from '../../../../src/upstream/mega/batch-reader.ts';

const A = 'a'.repeat(40);
const B = 'b'.repeat(40);

async function read(text: string, chunkLength: number): Promise<string[]> {
  const events: string[] = [];
  const bytes = Buffer.from(text, 'latin1');
  async function* body(): AsyncGenerator<Buffer> {
    for (let at = 0; at < bytes.length; at += chunkLength) yield bytes.subarray(at, at + chunkLength);
  }
  await readBatch(body(), {
    missing: (id) => void events.push(`missing ${id[0]}`),
    begin: (id, size) => void events.push(`begin ${id[0]} ${size}`, ''),
    write: (chunk) => void (events[events.length - 1] += Buffer.from(chunk).toString('latin1')),
    end: () => void events.push('end'),
  });
  return events;
}

test.each([1, 2, 7, 40, 53, 1000])('records are read from chunks of %i bytes', async (chunkLength) => {
  const text = `${A} blob 5\nx\n\0\ny\n${B} missing\n${B} blob 0\n\n${A} blob 3\nend\n`;
  expect(await read(text, chunkLength)).toEqual([
    'begin a 5',
    'x\n\0\ny',
    'end',
    'missing b',
    'begin b 0',
    '',
    'end',
    'begin a 3',
    'end',
    'end',
  ]);
});

test('an empty body is an empty batch', async () => {
  expect(await read('', 10)).toEqual([]);
});

test.each([
  ['a cut header', `${A} blo`],
  ['a cut content', `${A} blob 5\nxy`],
  ['no line feed at the end', `${A} blob 2\nxy`],
  ['more content than announced', `${A} blob 2\nxyz\n`],
  ['an object that is no blob', `${A} tree 2\nxy\n`],
  ['no id', `hello blob 2\nxy\n`],
  ['no size', `${A} blob\n`],
  ['a size that is none', `${A} blob -1\n`],
  ['a word too many', `${A} blob 2 3\nxy\n`],
  ['a header without an end', 'x'.repeat(200)],
])('%s is refused', async (_what, text) => {
  await expect(read(text, 9)).rejects.toMatchObject({ kind: 'server', repeat: 'once' });
});
