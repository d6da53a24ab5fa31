// Query strings as bytes, paths, and names of refs.
import { expect, test } from 'vitest';
import { parsePath, parseQuery, queryOf } from '../../../src/mega-server/query.ts';
import { isRefName } from '../../../src/mega-server/repository-view.ts';

test('escapes are bytes, not characters', () => {
  expect({ ...parseQuery('path=%C3%A9%ff%00+x%2B&refs=&flag') }).toEqual({
    path: '\xc3\xa9\xff\0 x+',
    refs: '',
    flag: '',
  });
  expect({ ...parseQuery('a=1%&b=%zz&c=%4&%64=d=e&&') }).toEqual({ a: '1%', b: '%zz', c: '%4', d: 'd=e' });
});

test('a parameter may have any name, but be there once', () => {
  expect(queryOf('/x?__proto__=1')['__proto__']).toBe('1');
  expect(queryOf('/x')['toString']).toBeUndefined();
  expect(() => parseQuery('path=a&path=b')).toThrow('duplicate');
});

test('paths are names without empty ones, and never lead out', () => {
  expect(parsePath()).toEqual([]);
  expect(parsePath('//a/./b//')).toEqual(['a', 'b']);
  expect(parsePath('..a/b..')).toEqual(['..a', 'b..']);
  for (const path of ['..', '/a/../b', 'a/..']) expect(() => parsePath(path)).toThrow('..');
});

test('expressions are no names of refs', () => {
  for (const name of ['v1', 'releases/v1.0', 'caf\xe9', '@a', 'a@b']) expect(isRefName(name)).toBe(true);
  for (const name of [
    '',
    '@',
    'a b',
    'a~1',
    'a^',
    'a:b',
    'a..b',
    'a@{1}',
    '/a',
    'a/',
    'a//b',
    'a.',
    '.a',
    'a/.b',
    'a.lock',
    'a\nb',
    'a\\b',
    'a*',
    'a?',
    'a[',
  ]) {
    expect([name, isRefName(name)]).toEqual([name, false]);
  }
});
