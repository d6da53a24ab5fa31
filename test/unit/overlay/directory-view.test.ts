// The order of listings while a folder changes.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { DirectoryView, FIRST_COOKIE } from '../../../src/overlay/directory-view.ts';

/** Reads up to `count` names from a cookie on; returns them and the cookie to go on from. */
function readFrom(view: DirectoryView, cookie: number, count: number): { names: string[]; next: number } {
  const names: string[] = [];
  let next = cookie;
  for (let at = view.seek(cookie); at < view.length && names.length < count; at++) {
    const name = view.nameAt(at);
    if (name === undefined) continue;
    names.push(name);
    next = view.cookieAt(at) + 1;
  }
  return { names, next };
}

function all(view: DirectoryView): string[] {
  return readFrom(view, FIRST_COOKIE, Infinity).names;
}

test('names come in the order in which they were added', () => {
  const view = new DirectoryView(['b', 'a', 'c']);
  view.add('0');
  expect(all(view)).toEqual(['b', 'a', 'c', '0']);
});

test('a name that is there already keeps its place', () => {
  const view = new DirectoryView(['a', 'b']);
  view.add('a');
  expect(all(view)).toEqual(['a', 'b']);
});

test('a name that comes back stands at the end', () => {
  const view = new DirectoryView(['a', 'b']);
  view.remove('a');
  view.remove('never there');
  view.add('a');
  expect(all(view)).toEqual(['b', 'a']);
});

test('gaps are closed without changing the offsets of what is left', () => {
  const names = Array.from({ length: 1000 }, (_, index) => `n${index}`);
  const view = new DirectoryView(names);
  const { next } = readFrom(view, FIRST_COOKIE, 900);
  for (const name of names.slice(0, 900)) view.remove(name);
  expect(view.length).toBeLessThan(300);
  expect(readFrom(view, next, Infinity).names).toEqual(names.slice(900));
});

test('what stays during a listing is given exactly once, whatever else is added and removed', () => {
  const change = fc.record({ remove: fc.nat(99), add: fc.nat(999), read: fc.integer({ min: 1, max: 7 }) });
  fc.assert(
    fc.property(fc.array(change, { minLength: 1, maxLength: 60 }), (changes) => {
      const start = Array.from({ length: 100 }, (_, index) => `s${index}`);
      const view = new DirectoryView(start);
      const gone = new Set<string>();
      const seen: string[] = [];
      let cookie = FIRST_COOKIE;
      for (const { remove, add, read } of changes) {
        const { names, next } = readFrom(view, cookie, read);
        seen.push(...names);
        cookie = next;
        view.remove(`s${remove}`);
        gone.add(`s${remove}`);
        view.add(`x${add}`);
      }
      seen.push(...readFrom(view, cookie, Infinity).names);
      expect(new Set(seen).size).toBe(seen.length);
      for (const name of start) if (!gone.has(name)) expect(seen).toContain(name);
    }),
  );
});
