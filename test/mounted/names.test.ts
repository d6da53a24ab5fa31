// Odd names on a real mount.
import {
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { expect, test } from 'vitest';
import { lacks } from '../support/binding.ts';
import { codeOf, useMounts } from '../support/mounted.ts';
import { LONGEST_NAME } from '../support/seed-tree.ts';

const mounts = useMounts();

function at(root: string, name: string): Buffer {
  return Buffer.concat([Buffer.from(`${root}/`), Buffer.from(name, 'latin1')]);
}

const namesOf = (path: string | Buffer): string[] =>
  readdirSync(path, { encoding: 'buffer' })
    .map((name) => name.toString('latin1'))
    .sort();

test.skipIf(lacks('utf8-names'))('lower names of any bytes are listed and read', async () => {
  const root = await mounts.fresh();
  expect(namesOf(`${root}/odd`)).toEqual(['caf\xe9', LONGEST_NAME, 'per%cent & more+#?'].sort());
  expect(readFileSync(at(root, 'odd/caf\xe9'), 'utf8')).toBe('latin1\n');
  expect(readFileSync(`${root}/odd/per%cent & more+#?`, 'utf8')).toBe('odd\n');
  expect(readFileSync(`${root}/odd/${LONGEST_NAME}`, 'utf8')).toBe('long\n');
});

const names = [
  '\xff\xfe',
  'new\nline',
  ' blank ',
  'per%20cent&+#?',
  'quote\'"\\',
  '\u00e9\u00a9',
  '.wh.x',
  '-rf',
  LONGEST_NAME,
];
for (const name of names) {
  const isUtf8 = Buffer.from(Buffer.from(name, 'latin1').toString(), 'utf8').toString('latin1') === name;
  test.skipIf(!isUtf8 && lacks('utf8-names'))(
    `${JSON.stringify(name.slice(0, 20))} can be made, read, renamed, kept over a new mount and removed`,
    async () => {
      const root = await mounts.fresh();
      writeFileSync(at(root, name), 'content');
      mkdirSync(at(root, `docs/${name}`));
      writeFileSync(at(root, `docs/${name}/${name}`), 'below');
      await mounts.current[0]?.remount();
      expect(readFileSync(at(root, name), 'utf8')).toBe('content');
      expect(namesOf(at(root, `docs/${name}`))).toEqual([name]);
      renameSync(at(root, `docs/${name}`), at(root, `src/${name}`));
      expect(readFileSync(at(root, `src/${name}/${name}`), 'utf8')).toBe('below');
      unlinkSync(at(root, name));
      unlinkSync(at(root, `src/${name}/${name}`));
      expect(namesOf(at(root, `src/${name}`))).toEqual([]);
    },
  );
}

test('a name of 256 bytes is ENAMETOOLONG', async () => {
  const root = await mounts.fresh();
  const path = `${root}/${LONGEST_NAME}x`;
  expect(await codeOf(() => statSync(path))).toBe('ENAMETOOLONG');
  expect(await codeOf(() => writeFileSync(path, ''))).toBe('ENAMETOOLONG');
  expect(await codeOf(() => mkdirSync(path))).toBe('ENAMETOOLONG');
  expect(await codeOf(() => renameSync(`${root}/README.md`, path))).toBe('ENAMETOOLONG');
});

test('names that differ in case only are different', async () => {
  const root = await mounts.fresh();
  writeFileSync(`${root}/readme.MD`, 'other');
  expect(readFileSync(`${root}/README.md`, 'utf8')).toBe('hello, lower\n');
  rmSync(`${root}/README.md`);
  expect(readFileSync(`${root}/readme.MD`, 'utf8')).toBe('other');
});
