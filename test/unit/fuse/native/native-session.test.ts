// The session over fuse-native: every call is answered exactly once, whatever happens.
import { expect, it } from 'vitest';
import type { Filesystem } from '../../../../src/fuse/filesystem.ts';
import { NativeDriver } from '../../../support/native-driver.ts';

/** A filesystem of which only some methods are there. */
const only = (methods: Partial<Filesystem>): Filesystem => methods as Filesystem;

it('answers EIO, and reports, what nobody foresaw, at once or late', async () => {
  const driver = new NativeDriver(
    only({
      statfs: () => {
        throw new TypeError('at once');
      },
      getattr: () => Promise.reject(new TypeError('late')),
    }),
  );
  expect((await driver.call('statfs', '/')).result).toBe('EIO');
  expect((await driver.call('getattr', '/')).result).toBe('EIO');
  expect(driver.faults.map(({ operation, error }) => [operation, (error as Error).message])).toEqual([
    ['STATFS', 'at once'],
    ['GETATTR', 'late'],
  ]);
});

it('gives the buffer of a read back when the read fails', async () => {
  const driver = new NativeDriver(only({}));
  const target = Buffer.alloc(8);
  const { result, values } = await driver.call('read', '/x', 5, target, 8, 0, 0);
  expect([result, values[1]]).toEqual(['EBADF', target.buffer]);
});

it('interrupts what is pending at the end, and refuses what comes later', async () => {
  const driver = new NativeDriver(
    only({
      getattr: (_ino, _fh, { signal }) =>
        new Promise((_resolve, reject) => {
          signal.addEventListener('abort', () => reject(signal.reason as Error));
        }),
    }),
  );
  const pending = [driver.call('getattr', '/'), driver.call('getattr', '/')];
  await driver.session.stop();
  expect((await Promise.all(pending)).map(({ result }) => result)).toEqual(['EINTR', 'EINTR']);
  expect((await driver.call('getattr', '/')).result).toBe('ENODEV');
  expect(driver.faults).toEqual([]);
});

it('names the owner of the mount as the caller', async () => {
  const callers: number[][] = [];
  const driver = new NativeDriver(
    only({
      readlink: (_ino, { uid, gid }) => {
        callers.push([uid, gid]);
        return Buffer.from('x');
      },
    }),
  );
  await driver.do('readlink', '/');
  expect(callers).toEqual([[process.getuid?.(), process.getgid?.()]]);
});
