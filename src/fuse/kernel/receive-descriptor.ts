// Receiving an open descriptor from a helper program over a socket (SCM_RIGHTS).
import koffi, { type KoffiFunc } from 'koffi';
import { ErrnoError } from '../../util/errno.ts';
import { lastErrno, libc } from '../../util/libc.ts';

const AF_UNIX = 1;
const SOCK_STREAM = 1;
const SOCK_CLOEXEC = 0o2000000;
const SOL_SOCKET = 1;
const SCM_RIGHTS = 1;
const MSG_DONTWAIT = 0x40;
const MSG_CMSG_CLOEXEC = 0x4000_0000;
const F_GETFL = 3;
const F_SETFL = 4;
const O_NONBLOCK = 0o4000;

/** `struct cmsghdr` (length, level, type) of a 64-bit system, and the descriptor after it, padded. */
const CONTROL_BYTES = 24;
const CONTROL_HEADER_BYTES = 16;

const iovec = koffi.struct({ base: 'void *', length: 'size_t' });
const messageHeader = koffi.struct({
  name: 'void *',
  nameLength: 'uint32_t',
  vectors: koffi.pointer(iovec),
  vectorCount: 'size_t',
  control: 'void *',
  controlLength: 'size_t',
  flags: 'int',
});

interface MessageHeader {
  name: null;
  nameLength: number;
  vectors: { base: Buffer; length: number }[];
  vectorCount: number;
  control: Buffer;
  controlLength: number;
  flags: number;
}

const socketpair = libc.func(
  'int socketpair(int domain, int type, int protocol, void *sockets)',
) as KoffiFunc<(domain: number, type: number, protocol: number, sockets: Int32Array) => number>;
const recvmsg = libc.func('recvmsg', 'long', ['int', koffi.pointer(messageHeader), 'int']) as KoffiFunc<
  (socket: number, header: MessageHeader, flags: number) => number
>;
const fcntl = libc.func('int fcntl(int fd, int command, ...)') as KoffiFunc<
  (fd: number, command: number, type: 'int', argument: number) => number
>;

/** Makes a pair of connected sockets, closed on exec. Throws ErrnoError. */
export function makeSocketPair(): [number, number] {
  const sockets = new Int32Array(2);
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) < 0) throw new ErrnoError(lastErrno());
  return [sockets[0]!, sockets[1]!];
}

/**
 * The descriptor that was sent over a socket, non-blocking and closed on exec. It does not wait: call it when the
 * sender is done. Throws ErrnoError EPROTO where there is none.
 */
export function receiveDescriptor(socket: number): number {
  const control = Buffer.alloc(CONTROL_BYTES);
  const header: MessageHeader = {
    name: null,
    nameLength: 0,
    vectors: [{ base: Buffer.alloc(1), length: 1 }],
    vectorCount: 1,
    control,
    controlLength: CONTROL_BYTES,
    flags: 0,
  };
  if (recvmsg(socket, header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) < 0) throw new ErrnoError(lastErrno());
  if (control.readUInt32LE(8) !== SOL_SOCKET || control.readUInt32LE(12) !== SCM_RIGHTS) {
    throw new ErrnoError('EPROTO', 'no descriptor was received');
  }
  const fd = control.readInt32LE(CONTROL_HEADER_BYTES);
  fcntl(fd, F_SETFL, 'int', fcntl(fd, F_GETFL, 'int', 0) | O_NONBLOCK);
  return fd;
}
