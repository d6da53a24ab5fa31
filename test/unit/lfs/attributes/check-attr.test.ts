// The rules of .gitattributes, compared with the real `git check-attr` on random trees.
import { rmSync } from 'node:fs';
import { afterAll, expect, test } from 'vitest';
import { createRandom } from '../../../support/random.ts';
import { makeTestFolder } from '../../../support/test-folder.ts';
import { askGit, askRules, type AttributeTree } from './git-check-attr.ts';

const RUNS = Number(process.env['SCORPIO_TEST_ATTRIBUTE_RUNS'] ?? 40);

const parent = makeTestFolder();
afterAll(() => rmSync(parent, { recursive: true }));

const FOLDERS = ['', 'a', 'a/b', 'a/b/c', 'b', 'b/a', 'ab', 'ab/b', 'a b', 'x.d'];
const NAMES = [
  'a',
  'b',
  'c',
  'ab',
  'abc',
  'a.bin',
  'b.bin',
  'a.b.bin',
  '.bin',
  'bin',
  'a b',
  '-',
  ']',
  'A1',
  '#a',
  '!a',
  'a\\b',
  '\xe4.bin',
  '"q"',
  '[attr]m',
];
const PATHS = FOLDERS.flatMap((folder) => NAMES.map((name) => (folder === '' ? name : `${folder}/${name}`)));

const PARTS = [
  '*',
  '**',
  '***',
  '?',
  '/',
  '/',
  '/**/',
  '**/',
  '/**',
  'a',
  'b',
  'ab',
  'bin',
  '.bin',
  '.',
  '*.bin',
  '[ab]',
  '[!a]',
  '[^b]',
  '[a-c]',
  '[]-]',
  '[[:alpha:]]',
  '[[:nope:]]',
  '[[:digit:]A',
  '[a',
  '\\a',
  '\\*',
  '\\',
  '\\\\',
  '\xe4',
  '\\/',
  'x.d',
  '-',
  '[--a]',
  '[a\\]]',
  '[[a]',
  '[:a:]',
  '[[:]',
  '[b-a]',
  '[a-]',
  '\\!',
  '!',
  '#',
];
const STATES = [
  'filter=lfs',
  'filter=lfs',
  'filter=lfs',
  '-filter',
  '!filter',
  'filter',
  'filter=',
  'filter=x',
  'lockable',
  '-lockable',
  '!lockable',
  'lockable=true',
  'lockable=no',
  'm',
  'm',
  '-m',
  '!m',
  'm=1',
  'n',
  '-n',
  'binary',
  '-text',
  'eol=lf',
  '-filter=lfs',
  '-diff',
  '+bad',
  '--x',
  '=y',
];

class Source {
  readonly #random: () => number;
  constructor(seed: number) {
    this.#random = createRandom(seed);
  }
  below(limit: number): number {
    return Math.floor(this.#random() * limit);
  }
  of<T>(list: readonly T[]): T {
    return list[this.below(list.length)] as T;
  }
  chance(share: number): boolean {
    return this.#random() < share;
  }
}

function pattern(source: Source): string {
  if (source.chance(0.2)) return source.of(PATHS.map((path) => path.replace(/\\/gu, '\\\\')));
  let text = source.chance(0.2) ? '/' : '';
  for (let count = 1 + source.below(4); count > 0; count--) text += source.of(PARTS);
  return text;
}

function quoted(text: string, source: Source): string {
  const escaped = text.replace(/[\\"]/gu, '\\$&').replace(/\xe4/gu, '\\344');
  return source.chance(0.1) ? `"${escaped}` : `"${escaped}"`;
}

function line(source: Source, withMacros: boolean): string {
  const states = (list: readonly string[]): string => {
    const words = Array.from({ length: 1 + source.below(3) }, () => source.of(list));
    return words.join(source.of([' ', ' ', '\t', '  ', ' \r ']));
  };
  if (source.chance(0.05))
    return source.of([
      '',
      '# filter=lfs',
      ' \t',
      '#',
      '[attr]',
      '[attr] filter',
      '"a',
      `${'a'.repeat(2040)} filter=lfs`,
      `${'a'.repeat(2034)}  filter=lfs`,
    ]);
  const plain = STATES.filter((state) => withMacros || !/[mn]/u.test(state));
  if (withMacros && source.chance(0.15))
    return `[attr]${source.of(['m', 'n', 'binary', 'lockable', 'm x'])} ${states(plain)}`;
  const text = pattern(source);
  const shown = source.chance(0.25) || text.includes(' ') ? quoted(text, source) : text;
  return `${source.chance(0.1) ? ' ' : ''}${shown} ${states(plain)}`;
}

function file(source: Source, withMacros: boolean): string {
  const lines = Array.from({ length: 1 + source.below(10) }, () => line(source, withMacros));
  const newline = source.chance(0.2) ? '\r\n' : '\n';
  const bom = source.chance(0.1) ? '\xef\xbb\xbf' : '';
  const nul = source.chance(0.05) ? '*.bin filter=lfs\0 lockable' : '';
  return bom + lines.join(newline) + newline + nul;
}

test.each(Array.from({ length: RUNS }, (_, index) => index))(
  'git check-attr says the same of random tree %i',
  (seed) => {
    const source = new Source(seed + Number(process.env['SCORPIO_TEST_ATTRIBUTE_SEED'] ?? 0));
    const withMacros = source.chance(0.5);
    const tree: AttributeTree = Object.fromEntries(
      FOLDERS.filter((folder) => folder === '' || source.chance(0.3)).map((folder) => [
        folder,
        file(source, withMacros),
      ]),
    );
    const global = source.chance(0.3) ? file(source, withMacros) : undefined;
    const ours = askRules(tree, PATHS, global);
    const theirs = askGit(parent, tree, PATHS, global);
    const differences = PATHS.flatMap((path, index) => {
      const [here, there] = [ours[index], theirs[index]];
      const isSame = here?.isLfs === there?.isLfs && here?.isLockable === there?.isLockable;
      return isSame ? [] : [{ path, here, there }];
    });
    expect(differences, JSON.stringify({ tree, global }, undefined, 2)).toEqual([]);
  },
);
