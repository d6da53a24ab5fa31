// From errors to errnos, and which of them are logged.
import { expect, test } from 'vitest';
import { isNewFault, toErrno } from '../../../src/fuse/errno.ts';
import { UpstreamError } from '../../../src/upstream/upstream-error.ts';
import { Errno, ErrnoError, type ErrnoName } from '../../../src/util/errno.ts';

test('an errno goes through as it is', () => {
  for (const name of ['ENODATA', 'EACCES', 'EHOSTUNREACH', 'ETIMEDOUT', 'ENOSPC'] as const) {
    expect(toErrno(new ErrnoError(name, 'of a large file'))).toBe(Errno[name]);
  }
});

test('an ordinary answer is no fault, with a message or without', () => {
  expect(isNewFault(new ErrnoError('ENOENT'))).toBe(false);
  expect(isNewFault(new ErrnoError('EACCES', 'somebody else has locked it'))).toBe(false);
});

test('what nobody foresaw, and what has a cause beneath, is one; the latter once for each cause', () => {
  expect(isNewFault(new TypeError('a slip'))).toBe(true);
  expect(isNewFault(new UpstreamError('unreachable', 'away'))).toBe(true);
  const cause = new Error('404');
  const failed = (errno: ErrnoName): ErrnoError => new ErrnoError(errno, 'a.bin cannot be had', { cause });
  expect([failed('ENODATA'), failed('ENODATA')].map(isNewFault)).toEqual([true, false]);
  expect(isNewFault(new ErrnoError('ENODATA', 'b.bin', { cause: new Error('404') }))).toBe(true);
});

test('a caller that gave up met no fault', () => {
  expect(isNewFault(new ErrnoError('EINTR', 'interrupted', { cause: new Error('aborted') }))).toBe(false);
  expect(isNewFault(new UpstreamError('aborted', 'interrupted'))).toBe(false);
});
