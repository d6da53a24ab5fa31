// Folders, names and refs: every answer against what the real git says.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ask, dataOf, escapeBytes } from './support.ts';
import type { Envelope } from './support.ts';
import { createMegaServer } from '../../../src/mega-server/mega-server.ts';
import type { MegaServer } from '../../../src/mega-server/mega-server.ts';
import { createGitRepository, utf8Name } from '../../support/git-repository.ts';
import type { FilesSpec, GitRepository } from '../../support/git-repository.ts';

interface HashItem {
  readonly name: string;
  readonly content_type: string;
  readonly oid: string;
}

const SUBMODULE = '0123456789abcdef0123456789abcdef01234567';
const DEEP = Array.from({ length: 40 }, (_, level) => `level-${level}`).join('/');
const LONG = 'n'.repeat(255);
const ODD_FOLDERS = [
  'with space',
  'per%cent',
  'per%20cent',
  '100%',
  'a&b=c',
  'a+b',
  'a#b',
  'a?b',
  'quote"s\\',
  'line\nfeed',
  utf8Name('grüße 世界'),
  'latin1-\xe9\xff',
  LONG,
];

const FILES: FilesSpec = {
  'plain.txt': 'hello\n',
  'bin/run': { content: '#!/bin/sh\n', mode: 0o100755 },
  'bin/link': { symlink: '../plain.txt' },
  'bin/module': { submodule: SUBMODULE },
  'bin.txt': 'sorts between bin and bin/',
  [`${DEEP}/bottom`]: 'deep',
  ...Object.fromEntries(ODD_FOLDERS.map((name) => [`odd/${name}/file`, name])),
};

/** `ls-tree` of an expression, in stored order: mode, id, name (a binary string). */
async function lsTree(repository: GitRepository, expression: string): Promise<[string, string, string][]> {
  const output = (await repository.gitBytes(['ls-tree', '-z', expression])).toString('latin1');
  return output
    .split('\0')
    .filter((line) => line !== '')
    .map((line) => {
      const [head = '', name = ''] = line.split('\t');
      const [mode = '', , id = ''] = head.split(' ');
      return [mode, id, name];
    });
}

async function expectedListing(repository: GitRepository, expression: string): Promise<HashItem[]> {
  const listed = await lsTree(repository, expression);
  const isFolder = ([mode]: [string, string, string]) => mode === '040000';
  const byName = (a: [string, string, string], b: [string, string, string]) => (a[2] < b[2] ? -1 : 1);
  return [
    ...listed.filter(isFolder).sort(byName),
    ...listed.filter((item) => !isFolder(item)).sort(byName),
  ].map((item) => ({
    name: Buffer.from(item[2], 'latin1').toString('utf8'),
    content_type: isFolder(item) ? 'directory' : 'file',
    oid: item[1],
  }));
}

describe.each([{ bare: true }, { bare: false }])('in a repository with bare=$bare', ({ bare }) => {
  let repository: GitRepository;
  let server: MegaServer;

  beforeAll(async () => {
    repository = await createGitRepository({ files: FILES, bare });
    server = await createMegaServer({ repo: repository.path, port: 0 });
  });

  afterAll(async () => {
    await server.close();
    await repository.remove();
  });

  test('content-hash lists what ls-tree lists, and symlinks, executables and submodules as files', async () => {
    for (const [path, expression] of [
      ['/', 'HEAD:'],
      ['', 'HEAD:'],
      ['/bin', 'HEAD:bin'],
      ['bin/', 'HEAD:bin'],
      ['//bin/./', 'HEAD:bin'],
      ['/odd', 'HEAD:odd'],
      [`/${DEEP}`, `HEAD:${DEEP}`],
    ] as const) {
      const listed = await dataOf<HashItem[]>(
        server.url,
        `/api/v1/tree/content-hash?path=${escapeBytes(path)}`,
      );
      expect(listed).toEqual(await expectedListing(repository, expression));
    }
  });

  test('every odd name is found by its bytes, as raw tree, listing and dir-hash', async () => {
    const trees = new Map((await lsTree(repository, 'HEAD:odd')).map(([, id, name]) => [name, id]));
    for (const name of ODD_FOLDERS) {
      const path = escapeBytes(`/odd/${name}`);
      const raw = await ask(server.url, `/api/v1/file/tree?path=${path}`);
      const id = trees.get(name) ?? 'missing';
      expect(raw.body).toEqual(await repository.gitBytes(['cat-file', 'tree', id]));
      const shown = Buffer.from(name, 'latin1').toString('utf8');
      expect(await dataOf(server.url, `/api/v1/tree/dir-hash?path=${path}`)).toEqual([
        { name: shown, content_type: 'directory', oid: id },
      ]);
      const [file] = await dataOf<HashItem[]>(server.url, `/api/v1/tree/content-hash?path=${path}`);
      expect(file?.name).toBe('file');
      expect(await dataOf(server.url, `/api/v1/blob?path=${path}%2Ffile`)).toBe(name);
    }
  });

  test('names that clients of the real server do not escape are found too', async () => {
    for (const [query, name] of [
      ['/odd/with+space', 'with space'],
      ['/odd/100%', '100%'],
      ['/odd/a%2Bb', 'a+b'],
      ['/odd/a?b', 'a?b'],
    ] as const) {
      const [item] = await dataOf<HashItem[]>(server.url, `/api/v1/tree/dir-hash?path=${query}`);
      expect(item?.name).toBe(name);
    }
  });

  test('a missing path and the path of a file give empty data, and an empty raw tree', async () => {
    for (const path of [
      '/no',
      '/plain.txt',
      '/bin/link',
      '/bin/module',
      '/plain.txt/below',
      '/bin/link/plain.txt',
    ]) {
      expect(await dataOf(server.url, `/api/v1/tree/content-hash?path=${path}`)).toEqual([]);
      expect(await dataOf(server.url, `/api/v1/tree/dir-hash?path=${path}`)).toEqual([]);
      expect(await dataOf(server.url, `/api/v1/tree/commit-info?path=${path}`)).toEqual([]);
      const brief = await dataOf<{ tree_items: unknown[] }>(server.url, `/api/v1/tree?path=${path}`);
      expect(brief.tree_items).toEqual([]);
      const raw = await ask(server.url, `/api/v1/file/tree?path=${path}`);
      expect([raw.status, raw.body.length, raw.headers['content-length']]).toEqual([200, 0, '0']);
    }
    expect(await dataOf(server.url, '/api/v1/tree/dir-hash?path=/')).toEqual([]);
  });

  test('the oid of file/tree is an assertion on the path', async () => {
    const id = await repository.git(['rev-parse', 'HEAD:bin']);
    const matching = await ask(server.url, `/api/v1/file/tree?path=/bin&oid=${id}`);
    expect(matching.body).toEqual(await repository.gitBytes(['cat-file', 'tree', id]));
    const other = await ask(server.url, `/api/v1/file/tree?path=/&oid=${id}`);
    expect([other.status, other.body.length]).toEqual([200, 0]);
  });

  test('blob gives text, null for what is no file, and tells of other content', async () => {
    expect(await dataOf(server.url, '/api/v1/blob?path=/plain.txt')).toBe('hello\n');
    expect(await dataOf(server.url, '/api/v1/blob?path=/bin/link')).toBe('../plain.txt');
    for (const path of ['/', '/bin', '/bin/module', '/missing', '']) {
      expect(await dataOf(server.url, `/api/v1/blob?path=${path}`)).toBe(null);
    }
    const id = await repository.git(['rev-parse', `HEAD:odd/${LONG}/file`]);
    expect(await dataOf(server.url, `/api/v1/blob?path=/odd/${LONG}/file`)).toBe(LONG);
    expect((await ask(server.url, `/api/v1/file/blob/${id}`)).body.toString('latin1')).toBe(LONG);
  });

  test('paths that mean to leave the tree, or cannot be meant, are refused', async () => {
    for (const path of ['/../etc', '/bin/..', '%2e%2e', 'a%00b', 'x'.repeat(70_000)]) {
      const answer = await ask(server.url, `/api/v1/tree/content-hash?path=${path}`);
      expect(answer.status).toBe(400);
      expect(answer.json<Envelope<null>>()).toMatchObject({ req_result: false, data: null });
    }
    expect((await ask(server.url, '/api/v1/tree?path=/&path=/bin')).status).toBe(400);
  });

  test('HEAD answers as GET does, without a body', async () => {
    const got = await ask(server.url, '/api/v1/file/tree?path=/bin');
    const head = await ask(server.url, '/api/v1/file/tree?path=/bin', { method: 'HEAD' });
    expect(head.headers['content-length']).toBe(String(got.body.length));
    expect(head.body.length).toBe(0);
  });
});

test('content that is not UTF-8 is an error in blob, never another content', async () => {
  await using repository = await createGitRepository({ files: { binary: Buffer.from([0x61, 0xff, 0x62]) } });
  await using server = await createMegaServer({ repo: repository.path, port: 0 });
  const answer = await ask(server.url, '/api/v1/blob?path=/binary');
  expect(answer.status).toBe(422);
  const { err_message } = answer.json<Envelope<null>>();
  const id = await repository.git(['rev-parse', 'HEAD:binary']);
  expect(err_message).toContain(`/api/v1/file/blob/${id}`);
});

test('unsorted trees, historical modes and an empty root read as they are', async () => {
  await using repository = await createGitRepository({ files: {} });
  await using server = await createMegaServer({ repo: repository.path, port: 0 });
  expect(await dataOf(server.url, '/api/v1/tree/content-hash')).toEqual([]);
  expect((await ask(server.url, '/api/v1/file/tree')).body.length).toBe(0);
  const blob = await repository.writeObject('blob', 'x');
  const entry = (mode: string, name: string) =>
    Buffer.concat([Buffer.from(`${mode} ${name}\0`), Buffer.from(blob, 'hex')]);
  const payload = Buffer.concat([entry('100640', 'z'), entry('100664', 'a'), entry('100644', '')]);
  const tree = await repository.writeObject('tree', payload);
  const commit = `tree ${tree}\nauthor a <a@b> 1 +0000\ncommitter a <a@b> 1 +0000\n\nmodes\n`;
  await repository.setHead(await repository.writeObject('commit', commit));
  const listed = await dataOf<HashItem[]>(server.url, '/api/v1/tree/content-hash');
  expect(listed.map(({ name, content_type }) => [name, content_type])).toEqual([
    ['', 'file'],
    ['a', 'file'],
    ['z', 'file'],
  ]);
  expect((await ask(server.url, '/api/v1/file/tree')).body).toEqual(payload);
  expect(await dataOf(server.url, '/api/v1/blob?path=/a')).toBe('x');
});

test('a malformed tree is an internal error, and the server goes on', async () => {
  await using repository = await createGitRepository({ files: { fine: '1' } });
  const fine = repository.head;
  const tree = await repository.writeObject('tree', '100644 cut\0short');
  const commit = `tree ${tree}\nauthor a <a@b> 1 +0000\ncommitter a <a@b> 1 +0000\n\nx\n`;
  await repository.setHead(await repository.writeObject('commit', commit));
  await using server = await createMegaServer({ repo: repository.path, port: 0 });
  const answer = await ask(server.url, '/api/v1/tree/content-hash');
  expect(answer.status).toBe(500);
  expect(answer.json()).toEqual({ req_result: false, data: null, err_message: 'Internal server error' });
  expect(await dataOf(server.url, `/api/v1/blob?path=/fine&refs=${fine}`)).toBe('1');
});

test('refs picks a commit or a tag; a branch is an error as with Mega', async () => {
  await using repository = await createGitRepository({ files: { a: 'one' } });
  const first = repository.head;
  await repository.git(['tag', 'light', first]);
  await repository.git(['tag', '-a', '-m', 'note', 'releases/v1', first]);
  const second = await repository.commit({ a: 'two' });
  await using server = await createMegaServer({ repo: repository.path, port: 0 });
  const read = (refs: string) => dataOf<string>(server.url, `/api/v1/blob?path=/a&refs=${refs}`);
  expect(await read('')).toBe('two');
  expect(await read(first)).toBe('one');
  expect(await read(first.toUpperCase())).toBe('one');
  expect(await read(second)).toBe('two');
  expect(await read('light')).toBe('one');
  expect(await read('releases/v1')).toBe('one');
  expect((await ask(server.url, `/api/v1/file/tree?path=/&refs=${first}`)).body).toEqual(
    await repository.gitBytes(['cat-file', 'tree', `${first}^{tree}`]),
  );
  for (const refs of ['main', 'no-such-tag', 'light~0', 'light%5E%7Btree%7D', '../heads/main', 'a%0Ab']) {
    const answer = await ask(server.url, `/api/v1/tree/content-hash?path=/&refs=${refs}`);
    expect([refs, answer.status]).toEqual([refs, 500]);
    expect(answer.body.toString('utf8')).toBe(
      '{"req_result":false,"data":null,"err_message":"Internal server error"}',
    );
  }
  const unknown = await ask(server.url, `/api/v1/tree?refs=${SUBMODULE}`);
  expect(unknown.status).toBe(404);
});
