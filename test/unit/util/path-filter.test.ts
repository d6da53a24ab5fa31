// Which files globs want, as in a .gitignore file.
import { expect, test } from 'vitest';
import { createPathFilter, type FilterState } from '../../../src/util/path-filter.ts';

const FILES = [
  'README.md',
  'a.ts',
  'docs/a.md',
  'docs/deep/b.md',
  'src/a.ts',
  'src/.hidden.ts',
  'src/lib/b.ts',
  'src/lib/b.js',
  'src/lib/docs/c.md',
  'vendor/x/src/v.ts',
];

/** The files that are wanted, and the folders that were entered. */
function walk(include: string[], exclude: string[] = []): { files: string[]; entered: string[] } {
  const filter = createPathFilter(include, exclude);
  const files: string[] = [];
  const entered = new Set<string>();
  for (const file of FILES) {
    const names = file.split('/');
    const last = names.pop() as string;
    let state: FilterState | undefined = filter.start;
    const path: string[] = [];
    for (const name of names) {
      path.push(name);
      state = filter.enter(state, name);
      if (state === undefined) break;
      entered.add(path.join('/'));
    }
    if (state !== undefined && filter.wantsFile(state, last)) files.push(file);
  }
  return { files, entered: [...entered] };
}

test('without patterns everything is wanted', () => {
  expect(walk([]).files).toEqual(FILES);
  expect(createPathFilter([], []).wantsAll).toBe(true);
  expect(createPathFilter([], ['x']).wantsAll).toBe(false);
});

test.each<[string[], string[]]>([
  [['*.ts'], ['a.ts', 'src/a.ts', 'src/.hidden.ts', 'src/lib/b.ts', 'vendor/x/src/v.ts']],
  [['/*.ts'], ['a.ts']],
  [['docs'], ['docs/a.md', 'docs/deep/b.md', 'src/lib/docs/c.md']],
  [['docs/'], ['docs/a.md', 'docs/deep/b.md', 'src/lib/docs/c.md']],
  [['/docs/'], ['docs/a.md', 'docs/deep/b.md']],
  [['README.md/'], []],
  [['src/*.ts'], ['src/a.ts', 'src/.hidden.ts']],
  [['src/**/*.ts'], ['src/a.ts', 'src/.hidden.ts', 'src/lib/b.ts']],
  [
    ['**/src'],
    ['src/a.ts', 'src/.hidden.ts', 'src/lib/b.ts', 'src/lib/b.js', 'src/lib/docs/c.md', 'vendor/x/src/v.ts'],
  ],
  [['src/lib/**'], ['src/lib/b.ts', 'src/lib/b.js', 'src/lib/docs/c.md']],
  [['b.{ts,js}'], ['src/lib/b.ts', 'src/lib/b.js']],
  [['{src,docs/deep}/*.{md,ts}'], ['docs/deep/b.md', 'src/a.ts', 'src/.hidden.ts']],
  [
    ['[ab].md', 'c.?d'],
    ['docs/a.md', 'docs/deep/b.md', 'src/lib/docs/c.md'],
  ],
])('%j wants %j', (include, files) => {
  expect(walk(include).files).toEqual(files);
});

test('what is excluded is not wanted, whatever else is', () => {
  expect(walk(['*.ts'], ['src/lib', '.hidden*']).files).toEqual(['a.ts', 'src/a.ts', 'vendor/x/src/v.ts']);
  expect(walk([], ['src', 'docs', 'vendor']).files).toEqual(['README.md', 'a.ts']);
});

test('a folder in which nothing can be wanted is not entered', () => {
  expect(walk(['src/*.ts']).entered).toEqual(['src']);
  expect(walk([], ['src', 'vendor/x']).entered).toEqual(['docs', 'docs/deep', 'vendor']);
});

test('names are bytes, and patterns text', () => {
  const filter = createPathFilter(['gr?ße.txt'], []);
  const bytes = Buffer.from('größe.txt').toString('latin1');
  expect(filter.wantsFile(filter.start, bytes)).toBe(true);
  expect(filter.wantsFile(filter.start, 'gr\xf6\xdfe.txt')).toBe(false);
});

test('no pattern keeps the process busy', () => {
  const name = 'a'.repeat(255);
  // Each of these would take longer than a test may.
  for (const pattern of [`${'*a'.repeat(100)}*b`, `${'**/'.repeat(500)}b`, `${'*'.repeat(2000)}b`]) {
    const filter = createPathFilter([pattern], [pattern]);
    expect(filter.wantsFile(filter.start, name)).toBe(false);
    filter.enter(filter.start, name);
  }
  expect(() => createPathFilter(['{a,b}'.repeat(60)], [])).toThrow('more than 1000 patterns');
  expect(() => createPathFilter(['a'.repeat(5000)], [])).toThrow('4096 characters');
});

test('a pattern cannot take back what others say', () => {
  expect(() => createPathFilter(['!a'], [])).toThrow('starts with !');
});

test.each(['', '/', 'a/../b', './a', 'a\0b'])('%j is no pattern', (pattern) => {
  expect(() => createPathFilter([pattern], [])).toThrow('no pattern');
});
