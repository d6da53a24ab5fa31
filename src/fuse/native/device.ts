// The open /dev/fuse of libfuse, which tells how its session is doing. The package itself says nothing of its end.
import { fstatSync, readdirSync } from 'node:fs';
import type { KoffiFunc } from 'koffi';
import { libc } from '../../util/libc.ts';

/** Character device 10:229, as stat(2) encodes it. */
const FUSE_DEVICE = (10 << 8) | 229;
const POLLERR = 8;
const POLLFD_BYTES = 8;
const REVENTS_OFFSET = 6;

type Poll = KoffiFunc<(list: Uint8Array, count: number, timeoutMs: number) => number>;
const poll = libc.func('int poll(void *list, unsigned long count, int timeout)') as Poll;

function isFuseDevice(fd: number): boolean {
  try {
    return fstatSync(fd).rdev === FUSE_DEVICE;
  } catch {
    return false;
  }
}

/** All descriptors of this process that are the FUSE device. */
export function listDevices(): Set<number> {
  return new Set(readdirSync('/proc/self/fd').map(Number).filter(isFuseDevice));
}

/** `failed`: the kernel let go of the mount, and libfuse is about to notice. `closed`: libfuse is done with it. */
export type DeviceState = 'open' | 'failed' | 'closed';

/** How a device is doing. */
export function deviceState(fd: number): DeviceState {
  if (!isFuseDevice(fd)) return 'closed';
  const list = Buffer.alloc(POLLFD_BYTES);
  list.writeInt32LE(fd, 0);
  poll(list, 1, 0);
  return (list.readInt16LE(REVENTS_OFFSET) & POLLERR) === 0 ? 'open' : 'failed';
}
