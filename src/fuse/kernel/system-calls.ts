// The system calls of the binding, through the C library.
//
// The synchronous ones never wait: the device is non-blocking. Those that may wait for the kernel go through
// `inBackground`, never on the main thread, because what the kernel waits for may well be an answer of ours.
import type { KoffiFunc } from 'koffi';
import { libc, lastErrno } from '../../util/libc.ts';

type Transfer = KoffiFunc<(fd: number, buffer: Uint8Array, length: number) => number>;

/** read(2): bytes read, or -1 and `lastErrno()`. */
export const read: Transfer = libc.func('long read(int fd, void *buffer, size_t length)') as Transfer;

/** write(2): bytes written, or -1 and `lastErrno()`. */
export const write: Transfer = libc.func('long write(int fd, const void *buffer, size_t length)') as Transfer;

type Ioctl = KoffiFunc<(fd: number, request: number, argument: Int32Array | Uint32Array) => number>;

/** ioctl(2): what it returns, or -1 and `lastErrno()`. */
export const ioctl: Ioctl = libc.func('int ioctl(int fd, unsigned long request, void *argument)') as Ioctl;

type Mount = KoffiFunc<(source: string, target: string, type: string, flags: number, data: string) => number>;
const mount2 = libc.func(
  'int mount(const char *source, const char *target, const char *type, unsigned long flags, const char *data)',
) as Mount;

type Umount = KoffiFunc<(target: string, flags: number) => number>;
const umount2 = libc.func('int umount2(const char *target, int flags)') as Umount;

/** Calls that run one after the other. */
class Background {
  #last: Promise<unknown> = Promise.resolve();

  run<T>(call: () => Promise<T>): Promise<T> {
    const result = this.#last.then(call);
    this.#last = result.catch(() => undefined);
    return result;
  }
}

/**
 * Calls of the process that may wait in libuv's thread pool run one after the other: each can be waiting for an answer
 * of ours that itself needs a thread of the pool, and several at once could leave none.
 */
const background = new Background();
/** Those that may wait for a server, which nothing else is to wait for; so few that threads of the pool are left. */
const patient: readonly Background[] = [new Background(), new Background()];
let turns = 0;

/** Runs a call in the thread pool, and resolves with its errno, 0 when it succeeded. */
function inPool(start: (done: (error: unknown, result: number) => void) => void): Promise<number> {
  return new Promise((resolve, reject) => {
    start((error, result) => {
      const errno = lastErrno();
      if (error) reject(error);
      else resolve(result < 0 ? errno : 0);
    });
  });
}

function inBackground(start: (done: (error: unknown, result: number) => void) => void): Promise<number> {
  return background.run(() => inPool(start));
}

/** write(2) in the thread pool, at once; resolves with the errno, 0 for success. */
export async function writeInPool(fd: number, buffer: Uint8Array): Promise<number> {
  return inPool((done) => write.async(fd, buffer, buffer.length, done));
}

/** Runs a call that may wait for long, in its turn among its like. */
export async function inPatience<T>(call: () => Promise<T>): Promise<T> {
  return (patient[turns++ % patient.length] as Background).run(call);
}

/** write(2) that may wait; resolves with the errno, 0 for success. */
export async function writeInBackground(fd: number, buffer: Uint8Array): Promise<number> {
  return background.run(() => writeInPool(fd, buffer));
}

/** mount(2); resolves with the errno, 0 for success. */
export async function mount(
  source: string,
  target: string,
  type: string,
  flags: number,
  data: string,
): Promise<number> {
  return inBackground((done) => mount2.async(source, target, type, flags, data, done));
}

/** umount2(2); resolves with the errno, 0 for success. */
export async function umount(target: string, flags: number): Promise<number> {
  return inBackground((done) => umount2.async(target, flags, done));
}
