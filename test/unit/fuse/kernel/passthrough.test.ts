// Registering files with the kernel, against system calls that only remember what they were asked.
import { expect, test, vi } from 'vitest';
import { openPassthrough } from '../../../../src/fuse/kernel/passthrough.ts';
import type * as SystemCalls from '../../../../src/fuse/kernel/system-calls.ts';
import type * as Libc from '../../../../src/util/libc.ts';

const EBADF = 9;
const { asked } = vi.hoisted(() => ({ asked: [] as number[] }));
vi.mock('../../../../src/fuse/kernel/system-calls.ts', async (load) => ({
  ...(await load<typeof SystemCalls>()),
  ioctl: (device: number, _request: number, argument: ArrayLike<number>) => {
    asked.push(device);
    return device < 0 || argument[0] === -1 ? -1 : 1;
  },
}));
vi.mock('../../../../src/util/libc.ts', async (load) => ({
  ...(await load<typeof Libc>()),
  lastErrno: () => EBADF,
}));

test('once the mount has ended, its descriptor is not used any more: another mount may have the number', () => {
  let device: number | undefined = 7;
  const passthrough = openPassthrough(
    () => device,
    () => undefined,
  );
  expect(passthrough?.register(20)).toBe(1);
  device = undefined;
  asked.length = 0;
  passthrough?.unregister(1);
  expect(passthrough?.register(20)).toBeUndefined();
  expect(asked.filter((fd) => fd >= 0)).toEqual([]);
});
