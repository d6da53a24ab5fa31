// The rules of folders, where they are more than what `git check-attr` is compared with.
import { rmSync } from 'node:fs';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import type { AttributeRules } from '../../../../src/lfs/attributes/attribute-rules.ts';
import { createRootRules } from '../../../../src/lfs/attributes/folder-rules.ts';
import { ATTRIBUTE_FILE_BYTES_MAX } from '../../../../src/lfs/attributes/parse-gitattributes.ts';
import { makeTestFolder } from '../../../support/test-folder.ts';
import { askGit, askRules, rulesAt } from './git-check-attr.ts';

const parent = makeTestFolder();
afterAll(() => rmSync(parent, { recursive: true }));

const bytes = (text: string): Buffer => Buffer.from(text, 'latin1');
const root = (gitattributes: string): AttributeRules =>
  createRootRules({ files: { gitattributes: bytes(gitattributes) } });

describe('rules that git confirms', () => {
  test.each<[string, Record<string, string>, string, boolean]>([
    ['the later line counts', { '': '*.bin filter=lfs\na.bin -filter\n' }, 'a.bin', false],
    ['the deeper file counts', { '': '*.bin filter=lfs\n', d: '*.bin !filter\n' }, 'd/a.bin', false],
    ['other attributes do not matter', { '': '*.bin filter=lfs\n', d: '*.bin -text\n' }, 'd/a.bin', true],
    ['another filter is none of ours', { '': '* filter=lfs\n*.c filter=indent\n' }, 'a.c', false],
    ['a folder’s pattern means no files', { '': 'd/ filter=lfs\n' }, 'd/a', false],
    ['all below a folder', { '': '/d/** filter=lfs\n' }, 'd/e/f/a', true],
    ['a pattern with a slash is anchored', { '': 'd/*.bin filter=lfs\n' }, 'e/d/a.bin', false],
    ['to its own folder', { e: 'd/*.bin filter=lfs\n' }, 'e/d/a.bin', true],
    ['a star stops at a slash', { '': 'd/*.bin filter=lfs\n' }, 'd/e/a.bin', false],
    ['two stars do not', { '': 'd/**/*.bin filter=lfs\n' }, 'd/e/f/a.bin', true],
    ['and may mean nothing', { '': 'd/**/*.bin filter=lfs\n' }, 'd/a.bin', true],
    ['but not half a name', { '': 'd/**/b.bin filter=lfs\n' }, 'd/ab.bin', false],
    ['right behind letters they go through folders', { '': 'd**/a filter=lfs\n' }, 'de/f/a', true],
    ['negative patterns are ignored', { '': '*.bin filter=lfs\n!a.bin -filter\n' }, 'a.bin', true],
    ['unless the sign is escaped', { '': '\\!a.bin filter=lfs\n' }, '!a.bin', true],
    ['quotes with escapes', { '': '"a b\\t\\303\\244\\"" filter=lfs\n' }, 'a b\t\xc3\xa4"', true],
    ['quotes that are not closed are part of the name', { '': '"a filter=lfs\n' }, '"a', true],
    ['a malformed attribute spoils its line', { '': 'a filter=lfs +x\n' }, 'a', false],
    ['a macro', { '': '[attr]big filter=lfs -text\n*.bin big\n' }, 'a.bin', true],
    ['a macro in use further down', { '': '[attr]big filter=lfs\n', d: '*.bin big\n' }, 'd/a.bin', true],
    ['no macros are made further down', { d: '[attr]big filter=lfs\n*.bin big\n' }, 'd/a.bin', false],
    ['a macro of macros', { '': '[attr]b a\n[attr]a filter=lfs\n* b\n' }, 'x', true],
    ['a macro that is taken back', { '': '[attr]a filter=lfs\n* a\n', d: '* -a\n' }, 'd/x', false],
    ['what it set before stays', { '': '[attr]a filter=lfs\n* a\n', d: 'x filter\n* !a\n' }, 'd/x', false],
    ['macros in a circle', { '': '[attr]a b\n[attr]b a filter=lfs\n* a\n' }, 'x', true],
    ['the binary macro says nothing of it', { '': '* filter=lfs\n*.png binary\n' }, 'a.png', true],
    ['a byte order mark', { '': '\xef\xbb\xbf*.bin filter=lfs\n' }, 'a.bin', true],
    ['CRLF', { '': '*.bin filter=lfs\r\n' }, 'a.bin', true],
    ['no newline at the end', { '': '*.bin filter=lfs' }, 'a.bin', true],
    ['a line of 2,047 bytes', { '': `${'*.bin filter=lfs'.padEnd(2047)}\n` }, 'a.bin', true],
    ['a line of 2,048 bytes', { '': `${'*.bin filter=lfs'.padEnd(2048)}\n` }, 'a.bin', false],
    ['unset by a value', { '': '* filter=lfs\na filter=\n' }, 'a', false],
    ['upper case', { '': '* filter=LFS\n' }, 'a', false],
  ])('%s', (_name, tree, path, isLfs) => {
    expect(askRules(tree, [path])[0]?.isLfs).toBe(isLfs);
    expect(askGit(parent, tree, [path])[0]?.isLfs).toBe(isLfs);
  });
});

test('lockable is set, or the word true, as git-lfs has it', () => {
  const rules = root('a lockable\nb lockable=true\nc lockable=yes\nd -lockable\n');
  expect(['a', 'b', 'c', 'd', 'e'].map((name) => rules.of(name).isLockable)).toEqual([
    true,
    true,
    false,
    false,
    false,
  ]);
});

test('a file that is too large is ignored', () => {
  const file = Buffer.alloc(ATTRIBUTE_FILE_BYTES_MAX, '#');
  file.write('*.bin filter=lfs\n');
  expect(createRootRules({ files: { gitattributes: file } }).isEmpty).toBe(true);
  expect(createRootRules({ files: { gitattributes: file.subarray(0, -1) } }).isEmpty).toBe(false);
});

describe('where nothing can match', () => {
  test('rules are empty without a rule that gives something', () => {
    expect(root('*.c text\n*.bin -filter\n').isEmpty).toBe(true);
    expect(root('[attr]big filter=lfs\n').isEmpty).toBe(true);
    expect(root('*.bin filter=lfs\n').isEmpty).toBe(false);
    expect(root('*.psd lockable\n').isEmpty).toBe(false);
  });

  test('they become so where patterns end', () => {
    const rules = root('/assets/*/x.bin filter=lfs\n');
    expect(rules.isEmpty).toBe(true);
    expect(rules.inside('src', {}).isEmpty).toBe(true);
    const assets = rules.inside('assets', {});
    expect(assets.isEmpty).toBe(true);
    expect(assets.inside('a', {}).isEmpty).toBe(false);
    expect(assets.inside('a', {}).inside('b', {}).isEmpty).toBe(true);
  });

  test('a folder that changes nothing has the same rules', () => {
    const names = root('*.bin filter=lfs\n');
    expect(names.inside('a', {})).toBe(names);
    expect(names.inside('a', { gitattributes: bytes('*.c text\n') })).toBe(names);
    const below = root('/assets/** filter=lfs\n').inside('assets', {});
    expect(below.inside('a', {})).toBe(below);
    const anywhere = root('**/assets/x filter=lfs\n').inside('a', {});
    expect(anywhere.inside('b', {})).toBe(anywhere);
  });
});

describe('.libra_attributes', () => {
  const libra = (text: string, gitattributes?: string): AttributeRules =>
    createRootRules({
      files: {
        libraAttributes: bytes(text),
        gitattributes: gitattributes === undefined ? undefined : bytes(gitattributes),
      },
    });
  const tail = 'filter=lfs diff=lfs merge=lfs -text\n';

  test('lines as Libra writes them', () => {
    const rules = libra(`*.bin ${tail}my\\ file.psd ${tail}/data/** ${tail}`);
    expect(rules.of('a.bin').isLfs).toBe(true);
    expect(rules.of('my file.psd').isLfs).toBe(true);
    expect(rules.of('my').isLfs).toBe(false);
    expect(rules.inside('data', {}).inside('x', {}).of('y').isLfs).toBe(true);
  });

  test.each([
    ['a comment', `# *.bin ${tail}`, false],
    ['another filter', '*.bin filter=x\n', false],
    ['nothing is unset', `*.bin ${tail}*.bin -filter\n`, true],
    ['a sign of a comment ends the pattern', `*.bin#x ${tail}`, true],
    ['a backslash ends the pattern', `*.bin\\x ${tail}`, true],
    ['white space in front', `  *.bin ${tail}`, true],
    ['a folder', `a.bin/ ${tail}`, false],
    ['excluded again', `*.bin ${tail}!a.bin ${tail}`, false],
    ['alternatives', `*.{psd,bin} ${tail}`, true],
    ['no quotes', `"a.bin" ${tail}`, false],
    ['no macros', `[attr]m ${tail}*.bin m\n`, false],
  ])('%s', (_name, text, isLfs) => {
    expect(libra(text).of('a.bin').isLfs).toBe(isLfs);
  });

  test('alternatives are globs of the whole path', () => {
    const rules = libra(`*.{psd,bin} ${tail}**/*.{raw,mov} ${tail}`).inside('d', {});
    expect(rules.of('a.bin').isLfs).toBe(false);
    expect(rules.of('a.mov').isLfs).toBe(true);
  });

  test('the root’s .gitattributes counts more, and so do those below', () => {
    const rules = libra(`*.bin ${tail}`, 'a.bin -filter\n');
    expect(rules.of('a.bin').isLfs).toBe(false);
    expect(rules.of('b.bin').isLfs).toBe(true);
    const below = rules.inside('d', { gitattributes: bytes('*.bin -filter\n') });
    expect(below.of('b.bin').isLfs).toBe(false);
  });

  test('it counts in a root only', () => {
    expect(root('').inside('d', { libraAttributes: bytes(`*.bin ${tail}`) }).isEmpty).toBe(true);
  });
});

describe('files above the tree, and for all trees', () => {
  const lfs = (pattern: string): { gitattributes: Buffer } => ({
    gitattributes: bytes(`${pattern} filter=lfs\n`),
  });

  test('each counts from its own folder', () => {
    const rules = createRootRules({
      files: lfs('/own.bin'),
      above: { path: 'project/a', files: [lfs('/project/*/top.bin'), lfs('/a/middle.bin')] },
      global: bytes('/project/a/global.bin filter=lfs\n'),
    });
    const names = ['own.bin', 'top.bin', 'middle.bin', 'global.bin', 'other.bin'];
    expect(names.filter((name) => rules.of(name).isLfs)).toEqual(names.slice(0, 4));
  });

  test('what is nearer counts more', () => {
    const files = { gitattributes: bytes('c -filter\n') };
    const rules = createRootRules({
      files,
      above: { path: 'a', files: [{ gitattributes: bytes('b -filter\n') }] },
      global: bytes('* filter=lfs\n'),
    });
    expect(['a', 'b', 'c'].map((name) => rules.of(name).isLfs)).toEqual([true, false, false]);
  });

  test('files that are not known count as none', () => {
    const rules = createRootRules({ files: lfs('*.bin'), above: { path: 'a/b/c', files: [] } });
    expect(rules.of('x.bin').isLfs).toBe(true);
  });

  test('macros are made in the top, in the tree’s root, and for all trees', () => {
    const macro = (name: string): { gitattributes: Buffer } => ({
      gitattributes: bytes(`[attr]${name} filter=lfs\n`),
    });
    const rules = createRootRules({
      files: macro('own'),
      above: { path: 'a/b', files: [macro('top'), macro('middle')] },
      global: bytes('[attr]everywhere filter=lfs\n'),
    });
    const below = rules.inside('d', {
      gitattributes: bytes('a own\nb top\nc middle\nd everywhere\n'),
    });
    expect(['a', 'b', 'c', 'd'].filter((name) => below.of(name).isLfs)).toEqual(['a', 'b', 'd']);
  });
});

describe('hostile files', () => {
  /** Milliseconds that are far beyond what is needed, and far below what going back at each star would take. */
  const LONG_MS = 5000;
  const inTime = (work: () => void): void => {
    const start = performance.now();
    work();
    expect(performance.now() - start).toBeLessThan(LONG_MS);
  };

  test('many stars in a name', () => {
    inTime(() => {
      const rules = root(`${'*a'.repeat(900)}b filter=lfs\n${'[ab]*'.repeat(300)}c filter=lfs\n`);
      for (let count = 0; count < 100; count++) expect(rules.of('a'.repeat(255)).isLfs).toBe(false);
    });
  });

  test('many stars in a path', () => {
    inTime(() => {
      let rules = root(
        `${'**/'.repeat(200)}${'*a'.repeat(200)}b filter=lfs\n${'**/*a'.repeat(300)}b filter=lfs\n`,
      );
      for (let depth = 0; depth < 15; depth++) rules = rules.inside('a'.repeat(255), {});
      expect(rules.of('a'.repeat(255)).isLfs).toBe(false);
      expect(rules.of('a'.repeat(254).concat('b')).isLfs).toBe(true);
    });
  });

  test('macros that double each other', () => {
    inTime(() => {
      const lines = Array.from({ length: 200 }, (_, n) => `[attr]m${n + 1} m${n} m${n}`);
      const rules = root(['[attr]m0 filter=lfs', ...lines, '*.bin m200'].join('\n'));
      expect(rules.of('a.bin').isLfs).toBe(true);
    });
  });

  test('nothing makes it throw, and an answer is always the same', () => {
    const piece = fc.constantFrom(
      '*',
      '**',
      '/',
      '[',
      ']',
      '\\',
      '!',
      '"',
      'a',
      '[attr]m',
      ' filter=lfs',
      ' m',
      '\n',
      '\r',
      '\0',
      '-',
      '[:alpha:]',
      '#',
      ' lockable',
      '?',
    );
    const text = fc.oneof(
      fc.uint8Array({ maxLength: 300 }),
      fc.array(piece, { maxLength: 60 }).map((pieces) => bytes(pieces.join(''))),
    );
    fc.assert(
      fc.property(text, text, text, (one, two, three) => {
        const rules = createRootRules({ files: { gitattributes: one, libraAttributes: two }, global: three });
        const inside = rules.inside('a', { gitattributes: two }).inside('\xff', { gitattributes: three });
        for (const name of ['a', 'b.bin', '\xff', ' ']) {
          expect(inside.of(name)).toEqual(inside.of(name));
          if (inside.isEmpty) expect(inside.of(name)).toEqual({ isLfs: false, isLockable: false });
        }
      }),
      { numRuns: 1000 },
    );
  });
});

test('a name is found among very many as among few', () => {
  const lines = Array.from(
    { length: 20_000 },
    (_, index) => `/dir${index % 100}/file${index}.bin filter=lfs`,
  );
  const tree = { '': lines.join('\n') };
  expect(rulesAt(tree, 'dir7').of('file1207.bin').isLfs).toBe(true);
  expect(rulesAt(tree, 'dir8').of('file1207.bin').isLfs).toBe(false);
});
