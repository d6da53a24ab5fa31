// A session over a socket that keeps message boundaries, as the device does: the test plays the kernel.
import { closeSync, constants } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { CallContext, Entry, Filesystem } from '../../../../src/fuse/filesystem.ts';
import { Opcode } from '../../../../src/fuse/kernel/protocol.ts';
import { Session } from '../../../../src/fuse/kernel/session.ts';
import { read, write } from '../../../../src/fuse/kernel/system-calls.ts';
import { Errno, ErrnoError } from '../../../../src/util/errno.ts';
import { libc } from '../../../../src/util/libc.ts';

const socketpair = libc.func('int socketpair(int, int, int, void *)');
const AF_UNIX = 1;
const SOCK_SEQPACKET_CLOEXEC_NONBLOCK = 5 | 0o2000000 | 0o4000;

interface Answer {
  unique: bigint;
  errno: number;
  body: Buffer;
}

let kernel: number;
let device: number;
let session: Session;
let faults: [string, unknown][];
let ready: number;
let features: unknown;
let end: { error?: Error } | undefined;
let filesystem: Partial<Filesystem>;

beforeEach(() => {
  const sockets = new Int32Array(2);
  expect(socketpair(AF_UNIX, SOCK_SEQPACKET_CLOEXEC_NONBLOCK, 0, sockets)).toBe(0);
  [kernel, device] = sockets as unknown as [number, number];
  faults = [];
  ready = 0;
  end = undefined;
  filesystem = { negativeTtl: 0, attributesTtl: 1 };
  session = new Session(device, filesystem as Filesystem, {
    onReady: (settled) => {
      ready++;
      features = settled;
    },
    onEnd: (error) => {
      end = error ? { error } : {};
    },
    onFault: (operation, error) => faults.push([operation, error]),
  });
});

afterEach(() => {
  session.stop();
  closeSync(device);
  closeSync(kernel);
});

/** A process that is not there, and so cannot be asked what signals it has. */
const NOBODY = 0x7fff_ffff;

function send(opcode: number, unique: bigint, body: Buffer | string = '', nodeid = 1): void {
  const bytes = typeof body === 'string' ? Buffer.from(body, 'latin1') : body;
  const header = Buffer.alloc(40);
  header.writeUInt32LE(40 + bytes.length, 0);
  header.writeUInt32LE(opcode, 4);
  header.writeBigUInt64LE(unique, 8);
  header.writeBigUInt64LE(BigInt(nodeid), 16);
  header.writeUInt32LE(11, 24);
  header.writeUInt32LE(22, 28);
  header.writeUInt32LE(NOBODY, 32);
  const message = Buffer.concat([header, bytes]);
  expect(write(kernel, message, message.length)).toBe(message.length);
}

/** The replies that have come by now. */
function received(): Answer[] {
  const answers: Answer[] = [];
  const buffer = Buffer.alloc(200_000);
  for (;;) {
    const length = read(kernel, buffer, buffer.length);
    if (length < 0) return answers;
    expect(buffer.readUInt32LE(0)).toBe(length);
    answers.push({
      unique: buffer.readBigUInt64LE(8),
      errno: Math.abs(buffer.readInt32LE(4)),
      body: Buffer.from(buffer.subarray(16, length)),
    });
  }
}

/** Waits for so many replies, and makes sure that no more come. */
async function replies(count: number): Promise<Answer[]> {
  const answers: Answer[] = [];
  await expect
    .poll(() => {
      answers.push(...received());
      return answers.length;
    })
    .toBe(count);
  await delay(10);
  expect(received()).toEqual([]);
  return answers;
}

const uint32 = (...values: number[]): Buffer => Buffer.from(Uint32Array.from(values).buffer);
const uint64 = (...values: number[]): Buffer => Buffer.from(BigUint64Array.from(values.map(BigInt)).buffer);

const entry = { attributes: { ino: 5, mode: 0o100644 }, entryTtl: 1, attributesTtl: 1 } as Entry;

describe('a session', () => {
  it('shakes hands, with the older of both versions and only the flags that were offered', async () => {
    send(Opcode.INIT, 2n, uint32(7, 31, 65_536, 0xffff_ffff, 0));
    const [reply] = await replies(1);
    expect([0, 4, 8].map((at) => reply!.body.readUInt32LE(at))).toEqual([7, 31, 65_536]);
    expect(reply!.body).toHaveLength(64);
    // No locks (1, 10), no umask handling (6), no AUTO_INVAL_DATA (12), no WRITEBACK_CACHE (16).
    const flags = reply!.body.readUInt32LE(12);
    expect([1, 6, 10, 12, 16].filter((bit) => flags & (1 << bit))).toEqual([]);
    expect(flags & (1 << 13)).not.toBe(0);
    expect([reply!.body.readUInt32LE(20), reply!.body.readUInt16LE(28)]).toEqual([1024 * 1024, 256]);
    expect(ready).toBe(1);
    send(Opcode.INIT, 4n, uint32(7, 31, 65_536, 0, 0));
    expect((await replies(1))[0]!.body.readUInt32LE(12)).toBe(0);
  });

  it('takes what the kernel offers for opening files: all that the mount wants, and no more', async () => {
    const offer = uint32(7, 40, 65_536, 0xffff_ffff, 0xffff_ffff);
    send(Opcode.INIT, 2n, offer);
    const [reply] = await replies(1);
    const flags = reply!.body.readUInt32LE(12);
    // No ATOMIC_O_TRUNC (3); NO_OPEN_SUPPORT (17) and HANDLE_KILLPRIV_V2 (28).
    expect([3, 17, 28].map((bit) => (flags >>> bit) & 1)).toEqual([0, 1, 1]);
    const mayPass = process.getuid?.() === 0;
    expect(features).toEqual({ mayOmitOpen: true, passthrough: mayPass });
    // The second word: PASSTHROUGH alone, with the first word's INIT_EXT (30), and how deep files may lie.
    expect((flags >>> 30) & 1).toBe(mayPass ? 1 : 0);
    expect([32, 36].map((at) => reply!.body.readUInt32LE(at))).toEqual(mayPass ? [0x20, 1] : [0, 0]);
  });

  it('hands on what a write and a change of size are to do besides', async () => {
    const seen: unknown[] = [];
    filesystem.write = (ino, fh, data, position, options) => {
      seen.push([ino, fh, data.toString(), position, options]);
      return data.length;
    };
    filesystem.setattr = (_ino, changes) => {
      seen.push(changes);
      return entry.attributes;
    };
    const write = (flags: number, writeFlags: number): void =>
      send(
        Opcode.WRITE,
        2n,
        Buffer.concat([uint64(0, 7), uint32(2, writeFlags, 0, 0, flags, 0), Buffer.from('ab')]),
        9,
      );
    write(0, 0);
    write(constants.O_DSYNC, 4);
    write(constants.O_SYNC, 0);
    // FATTR_SIZE, FATTR_FH without a handle, FATTR_KILL_SUIDGID.
    send(Opcode.SETATTR, 4n, Buffer.concat([uint32(0x848, 0), uint64(0, 5), Buffer.alloc(64)]));
    await replies(4);
    expect(seen).toEqual([
      [9, 0, 'ab', 7, 0],
      [9, 0, 'ab', 7, 5],
      [9, 0, 'ab', 7, 2],
      { size: 5, clearSetId: true },
    ]);
  });

  it('names the registration of a file that the kernel is to use by itself', async () => {
    filesystem.open = (_ino, flags) => {
      if (flags === 1) throw new ErrnoError('ENOSYS');
      return { fh: 3, keepCache: false, backingId: 12 };
    };
    send(Opcode.OPEN, 2n, uint32(0, 0));
    const [reply] = await replies(1);
    expect([reply!.body.readUInt32LE(8), reply!.body.readUInt32LE(12)]).toEqual([0x80, 12]);
    expect(session.omitsOpen).toBe(false);
    send(Opcode.OPEN, 4n, uint32(1, 0));
    expect((await replies(1))[0]!.errno).toBe(Errno.ENOSYS);
    expect([session.omitsOpen, faults]).toEqual([true, []]);
  });

  it('asks a newer kernel to speak our version, and gives an older one up', async () => {
    send(Opcode.INIT, 2n, uint32(8, 1, 0, 0, 0));
    expect((await replies(1))[0]!.body.readUInt32LE(0)).toBe(7);
    expect([ready, end]).toEqual([0, undefined]);
    send(Opcode.INIT, 4n, uint32(7, 12, 0, 0, 0));
    expect((await replies(1))[0]!.errno).toBe(Errno.EPROTO);
    expect(end?.error?.message).toMatch(/too old/);
  });

  it('answers a lookup with the entry, and tells the filesystem who asks', async () => {
    let seen: unknown[] = [];
    filesystem.lookup = (parent, name, { uid, gid, pid }) => {
      seen = [parent, name, uid, gid, pid];
      return entry;
    };
    send(Opcode.LOOKUP, 0x8000_0000_0000_0005n, 'n\xe4me\0', 2 ** 40);
    const [reply] = await replies(1);
    expect(seen).toEqual([2 ** 40, 'n\xe4me', 11, 22, NOBODY]);
    expect([reply!.unique, reply!.errno, reply!.body.readBigUInt64LE(0)]).toEqual([
      0x8000_0000_0000_0005n,
      0,
      5n,
    ]);
  });

  it('answers that a name does not exist with ENOENT, or with an entry that may be kept', async () => {
    filesystem.lookup = () => {
      throw new ErrnoError('ENOENT');
    };
    send(Opcode.LOOKUP, 2n, 'a\0');
    expect((await replies(1))[0]!.errno).toBe(Errno.ENOENT);
    Object.assign(filesystem, { negativeTtl: 3 });
    send(Opcode.LOOKUP, 4n, 'a\0');
    const [kept] = await replies(1);
    expect([kept!.errno, kept!.body.readBigUInt64LE(0), kept!.body.readBigUInt64LE(16)]).toEqual([0, 0n, 3n]);
    // Only a missing name is one; everything else stays an error.
    filesystem.lookup = async () => Promise.reject(new ErrnoError('ESTALE'));
    send(Opcode.LOOKUP, 6n, 'a\0');
    expect((await replies(1))[0]!.errno).toBe(Errno.ESTALE);
    expect(faults).toEqual([]);
  });

  it('reads into the reply, and ends where the file ends', async () => {
    filesystem.read = (_ino, fh, target, position) => {
      expect([fh, target.length, position]).toEqual([7, 4096, 2 ** 40]);
      return Buffer.from(target.buffer, target.byteOffset).write('short');
    };
    send(Opcode.READ, 2n, Buffer.concat([uint64(7, 2 ** 40), uint32(4096), Buffer.alloc(20)]));
    expect((await replies(1))[0]!.body.toString()).toBe('short');
  });

  it('keeps the buffers of pending calls apart', async () => {
    const writes: Uint8Array[] = [];
    const reads: Uint8Array[] = [];
    const settle: (() => void)[] = [];
    const later = async (count: number): Promise<number> =>
      new Promise((resolve) => settle.push(() => resolve(count)));
    filesystem.write = async (_ino, _fh, data) => {
      writes.push(data);
      return later(data.length);
    };
    filesystem.read = async (_ino, _fh, target) => {
      reads.push(target);
      return later(target.length);
    };
    const header = (length: number): Buffer =>
      Buffer.concat([uint64(1, 0), uint32(length), Buffer.alloc(20)]);
    for (const [at, text] of ['first', 'other', 'third'].entries()) {
      send(Opcode.WRITE, BigInt(10 + at), Buffer.concat([header(text.length), Buffer.from(text)]));
      send(Opcode.READ, BigInt(20 + at), header(5));
    }
    await expect.poll(() => settle.length).toBe(6);
    expect(writes.map((data) => Buffer.from(data).toString())).toEqual(['first', 'other', 'third']);
    for (const [at, target] of reads.entries()) target.fill(97 + at);
    for (const answer of settle.toReversed()) answer();
    const answers = await replies(6);
    const bodyOf = (unique: bigint): string =>
      answers.find((answer) => answer.unique === unique)!.body.toString();
    expect([bodyOf(20n), bodyOf(21n), bodyOf(22n)]).toEqual(['aaaaa', 'bbbbb', 'ccccc']);
    expect(bodyOf(10n)).toBe('\u0005\0\0\0\0\0\0\0');
  });

  it('passes an interrupt on, also where the signal is asked for later, and only to its request', async () => {
    const contexts: CallContext[] = [];
    const rejects: ((error: Error) => void)[] = [];
    filesystem.open = async (_ino, _flags, ctx) => {
      contexts.push(ctx);
      return new Promise((_, reject) => rejects.push(reject));
    };
    for (const unique of [2n, 4n, 0x8000_0000_0000_0002n]) send(Opcode.OPEN, unique, uint32(0, 0));
    await expect.poll(() => contexts.length).toBe(3);
    const early = contexts[0]!.signal;
    send(Opcode.INTERRUPT, 3n, uint64(2));
    send(Opcode.INTERRUPT, 5n, uint64(4));
    send(Opcode.INTERRUPT, 7n, uint64(999));
    await expect.poll(() => early.aborted).toBe(true);
    await delay(10);
    expect(contexts[1]!.signal.aborted).toBe(true);
    expect(contexts[2]!.signal.aborted).toBe(false);
    for (const reject of rejects) reject(new ErrnoError('EINTR'));
    expect((await replies(3)).map(({ errno }) => errno)).toEqual([Errno.EINTR, Errno.EINTR, Errno.EINTR]);
  });

  it('gives each call that keeps its context one of its own, and others none', async () => {
    const contexts: CallContext[] = [];
    filesystem.fsync = (_ino, _fh, _dataOnly, ctx) => void contexts.push(ctx);
    const fsync = Buffer.concat([uint64(1), uint32(0, 0)]);
    send(Opcode.FSYNC, 2n, fsync);
    send(Opcode.FSYNC, 4n, fsync);
    await replies(2);
    expect(contexts[0]).toBe(contexts[1]);
    filesystem.fsync = (_ino, _fh, _dataOnly, ctx) => void contexts.push(ctx.signal && ctx);
    send(Opcode.FSYNC, 6n, fsync);
    send(Opcode.FSYNC, 8n, fsync);
    await replies(2);
    expect(contexts[2]).not.toBe(contexts[3]);
  });

  it('answers nothing to FORGET, BATCH_FORGET and INTERRUPT', async () => {
    const forgotten: number[][] = [];
    filesystem.forget = (ino, count) => void forgotten.push([ino, count]);
    send(Opcode.FORGET, 2n, uint64(3), 9);
    send(Opcode.BATCH_FORGET, 4n, Buffer.concat([uint32(2, 0), uint64(5, 1, 2 ** 40, 70)]));
    send(Opcode.INTERRUPT, 6n, uint64(2));
    await expect.poll(() => forgotten.length).toBe(3);
    expect(forgotten).toEqual([
      [9, 3],
      [5, 1],
      [2 ** 40, 70],
    ]);
    await replies(0);
  });

  it('refuses for good what the kernel can do without, and what nobody knows', async () => {
    const refused = [Opcode.FLUSH, Opcode.OPENDIR, Opcode.ACCESS, Opcode.BMAP, Opcode.POLL, 52, 53, 4711];
    for (const [at, opcode] of refused.entries()) send(opcode, BigInt(at), Buffer.alloc(64));
    expect((await replies(refused.length)).map(({ errno }) => errno)).toEqual(
      refused.map(() => Errno.ENOSYS),
    );
    send(Opcode.IOCTL, 99n, Buffer.alloc(32));
    expect((await replies(1))[0]!.errno).toBe(Errno.ENOTTY);
  });

  it('answers EIO to whatever goes wrong inside, reports it, and goes on', async () => {
    filesystem.getattr = () => {
      throw new TypeError('call');
    };
    filesystem.readlink = async () => Promise.reject(new RangeError('promise'));
    // Longer than any reply: writing it down fails.
    filesystem.getxattr = () => Buffer.alloc(2_000_000);
    filesystem.forget = () => {
      throw new TypeError('forget');
    };
    send(Opcode.GETATTR, 2n, Buffer.alloc(16));
    send(Opcode.READLINK, 4n);
    send(Opcode.GETXATTR, 6n, Buffer.concat([uint32(3_000_000, 0), Buffer.from('user.a\0')]));
    send(Opcode.FORGET, 8n, uint64(1));
    const answers = await replies(3);
    expect(answers.map(({ errno }) => errno)).toEqual([Errno.EIO, Errno.EIO, Errno.EIO]);
    expect(faults.map(([operation]) => operation).sort()).toEqual([
      'GETATTR',
      'GETXATTR',
      'READLINK',
      'opcode 2',
    ]);
  });

  it('reads all changes of SETATTR', async () => {
    const seen: unknown[] = [];
    filesystem.setattr = (_ino, changes) => {
      seen.push(changes);
      return entry.attributes;
    };
    const body = (valid: number): Buffer => {
      const buffer = Buffer.alloc(88);
      buffer.writeUInt32LE(valid, 0);
      buffer.writeBigUInt64LE(4n, 8);
      buffer.writeBigUInt64LE(2n ** 35n, 16);
      buffer.writeBigInt64LE(-7n, 32);
      buffer.writeBigInt64LE(8n, 40);
      buffer.writeUInt32LE(1, 56);
      buffer.writeUInt32LE(2, 60);
      buffer.writeUInt32LE(0o100640, 68);
      buffer.writeUInt32LE(12, 76);
      buffer.writeUInt32LE(13, 80);
      return buffer;
    };
    send(Opcode.SETATTR, 2n, body(0x7f));
    send(Opcode.SETATTR, 4n, body(0x1b0));
    send(Opcode.SETATTR, 6n, body(0x400));
    await replies(3);
    expect(seen).toEqual([
      {
        fh: 4,
        size: 2 ** 35,
        mode: 0o640,
        uid: 12,
        gid: 13,
        atime: { seconds: -7, nanoseconds: 1 },
        mtime: { seconds: 8, nanoseconds: 2 },
      },
      { atime: 'now', mtime: 'now' },
      {},
    ]);
  });

  it('reads the arguments of what makes and moves names', async () => {
    const seen: unknown[] = [];
    const note =
      (name: string) =>
      (...args: unknown[]): Entry => {
        seen.push([name, ...args.slice(0, -1)]);
        return entry;
      };
    Object.assign(filesystem, { mknod: note('mknod'), mkdir: note('mkdir'), symlink: note('symlink') });
    Object.assign(filesystem, { link: note('link'), rename: note('rename') });
    send(Opcode.MKNOD, 2n, Buffer.concat([uint32(0o010600, 0x105, 0o22, 0), Buffer.from('pipe\0')]));
    send(Opcode.MKDIR, 4n, Buffer.concat([uint32(0o755, 0o22), Buffer.from('folder\0')]));
    send(Opcode.SYMLINK, 6n, 'name\0targ\xe9t\0');
    send(Opcode.LINK, 8n, Buffer.concat([uint64(44), Buffer.from('new\0')]), 3);
    send(Opcode.RENAME, 10n, Buffer.concat([uint64(66), Buffer.from('from\0to\0')]));
    send(Opcode.RENAME2, 12n, Buffer.concat([uint64(66), uint32(2, 0), Buffer.from('from\0to\0')]));
    send(Opcode.RENAME, 14n, Buffer.concat([uint64(66), Buffer.from(`from\0${'x'.repeat(256)}\0`)]));
    const answers = await replies(7);
    expect(seen).toEqual([
      ['mknod', 1, 'pipe', 0o010600, 0x105],
      ['mkdir', 1, 'folder', 0o755],
      ['symlink', 1, 'name', Buffer.from('targ\xe9t', 'latin1')],
      ['link', 44, 3, 'new'],
      ['rename', 1, 'from', 66, 'to', 0],
      ['rename', 1, 'from', 66, 'to', 2],
    ]);
    expect(answers.at(-1)!.errno).toBe(Errno.ENAMETOOLONG);
  });

  it('tells the length of an attribute first, and refuses a buffer that is too small', async () => {
    filesystem.getxattr = () => Buffer.from('value');
    filesystem.listxattr = async () => Promise.resolve(['user.a', 'user.b']);
    const ask = (size: number): Buffer => Buffer.concat([uint32(size, 0), Buffer.from('user.a\0')]);
    send(Opcode.GETXATTR, 2n, ask(0));
    send(Opcode.GETXATTR, 4n, ask(4));
    send(Opcode.GETXATTR, 6n, ask(5));
    const [length, small, fits] = await replies(3);
    expect([length!.body.readUInt32LE(0), small!.errno, fits!.body.toString()]).toEqual([
      5,
      Errno.ERANGE,
      'value',
    ]);
    send(Opcode.LISTXATTR, 8n, uint32(64, 0));
    expect((await replies(1))[0]!.body.toString()).toBe('user.a\0user.b\0');
  });

  it('takes back what nobody waits for any more, and settles once nothing is pending', async () => {
    const taken: string[] = [];
    filesystem.release = (fh) => void taken.push(`release ${fh}`);
    filesystem.forget = (ino) => void taken.push(`forget ${ino}`);
    filesystem.create = async (_parent, _name, _mode, _flags, ctx) =>
      new Promise((resolve) => {
        ctx.signal.addEventListener('abort', () => resolve({ entry, file: { fh: 3, keepCache: false } }));
      });
    send(Opcode.CREATE, 2n, Buffer.concat([uint32(0, 0o644, 0, 0), Buffer.from('a\0')]));
    await delay(20);
    session.stop();
    expect([end, session.isOpen]).toEqual([{}, false]);
    await session.settle();
    expect(taken).toEqual(['release 3', 'forget 5']);
    expect(received()).toEqual([]);
  });

  it('lets timers run under a flood of requests', async () => {
    let served = 0;
    filesystem.getattr = () => {
      // Whoever asks is always ready with the next request.
      if (++served < 200_000 && session.isOpen) send(Opcode.GETATTR, 2n, Buffer.alloc(16));
      received();
      return entry.attributes;
    };
    send(Opcode.GETATTR, 2n, Buffer.alloc(16));
    await delay(20);
    expect(served).toBeGreaterThan(10);
    expect(served).toBeLessThan(200_000);
  });
});
