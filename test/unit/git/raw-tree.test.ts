// Raw trees: parsing, writing, and the order of entries, against the real git.
import { expect, test } from 'vitest';
import {
  compareTreeEntries,
  encodeRawTree,
  kindOfMode,
  MalformedTreeError,
  parseRawTree,
} from '../../../src/git/raw-tree.ts';
import { hashObject } from '../../../src/util/git-hash.ts';
import { createGitRepository } from '../../support/git-repository.ts';

const ID = '0123456789abcdef0123456789abcdef01234567';

test('a real tree parses to its entries and back to its bytes', async () => {
  await using repository = await createGitRepository({
    files: {
      'a.b': '1',
      'a/x': '2',
      a0: '3',
      run: { content: '4', mode: 0o100755 },
      link: { symlink: 'a' },
      module: { submodule: ID },
      'b\xff\n "%': '5',
    },
  });
  const payload = await repository.gitBytes(['cat-file', 'tree', 'HEAD^{tree}']);
  const entries = parseRawTree(payload);
  const listed = (await repository.gitBytes(['ls-tree', '-z', 'HEAD']))
    .toString('latin1')
    .split('\0')
    .slice(0, -1);
  const types = { directory: 'tree', submodule: 'commit', file: 'blob', executable: 'blob', symlink: 'blob' };
  expect(
    entries.map(
      ({ mode, name, id }) =>
        `${mode.toString(8).padStart(6, '0')} ${types[kindOfMode(mode)]} ${id}\t${name}`,
    ),
  ).toEqual(listed);
  expect(encodeRawTree(entries)).toEqual(payload);
  expect(encodeRawTree(entries.toReversed().sort(compareTreeEntries))).toEqual(payload);
  expect(hashObject('tree', payload)).toBe(await repository.git(['rev-parse', 'HEAD^{tree}']));
});

test('order, odd modes and odd names are kept as they are', () => {
  const entries = [
    { mode: 0o100664, name: 'z', id: ID },
    { mode: 0o40000, name: '', id: ID },
    { mode: 0o100640, name: '..', id: ID },
    { mode: 0o160000, name: 'a/b', id: ID },
  ];
  expect(parseRawTree(encodeRawTree(entries))).toEqual(entries);
  const padded = Buffer.concat([Buffer.from('040000 d\0'), Buffer.from(ID, 'hex')]);
  expect(parseRawTree(padded)).toEqual([{ mode: 0o40000, name: 'd', id: ID }]);
  expect(parseRawTree(Buffer.alloc(0))).toEqual([]);
});

test('modes are read as Git reads them', () => {
  const kinds = [0o40000, 0o100644, 0o100664, 0o100640, 0o100755, 0o100744, 0o120000, 0o160000].map(
    kindOfMode,
  );
  expect(kinds).toEqual([
    'directory',
    'file',
    'file',
    'file',
    'executable',
    'executable',
    'symlink',
    'submodule',
  ]);
});

test('every cut of a payload, and nonsense, is a typed error that says where', () => {
  const payload = encodeRawTree([
    { mode: 0o100644, name: 'a', id: ID },
    { mode: 0o40000, name: 'bc', id: ID },
  ]);
  const first = payload.indexOf('40000 bc');
  for (let length = 1; length < payload.length; length++) {
    if (length === first) continue;
    expect(() => parseRawTree(payload.subarray(0, length))).toThrow(MalformedTreeError);
  }
  for (const text of [' a\0', '10064x a\0', '100648 a\0', '777777777 a\0', '100644\0a']) {
    const bytes = Buffer.concat([Buffer.from(text), Buffer.from(ID, 'hex')]);
    expect(() => parseRawTree(bytes)).toThrow(MalformedTreeError);
  }
  expect(() => parseRawTree(Buffer.concat([payload, Buffer.from('junk')]))).toThrow(
    `at byte ${payload.length}`,
  );
});

test('what no tree can hold is not written', () => {
  expect(() => encodeRawTree([{ mode: 0o100644, name: 'a\0b', id: ID }])).toThrow(TypeError);
  expect(() => encodeRawTree([{ mode: 0o100644, name: '世', id: ID }])).toThrow(TypeError);
  expect(() => encodeRawTree([{ mode: 0o100644, name: 'a', id: 'HEAD' }])).toThrow(TypeError);
});
