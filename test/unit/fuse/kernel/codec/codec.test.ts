// Reading requests and writing replies, against the byte layouts of linux/fuse.h.
import { describe, expect, it } from 'vitest';
import { ReplySink, listedInodes } from '../../../../../src/fuse/kernel/codec/directory-sink.ts';
import { Reply } from '../../../../../src/fuse/kernel/codec/reply.ts';
import { Request } from '../../../../../src/fuse/kernel/codec/request.ts';
import {
  writeAttributesReply,
  writeEntry,
  writeNegativeEntry,
  writeOpen,
} from '../../../../../src/fuse/kernel/codec/structures.ts';
import type { Attributes, Entry } from '../../../../../src/fuse/filesystem.ts';

const BIG = 2 ** 40 + 5;

const attributes: Attributes = {
  ino: BIG,
  mode: 0o100644,
  nlink: 2,
  uid: 4_294_967_294,
  gid: 7,
  rdev: 0x0801,
  size: 2 ** 33 + 1,
  blocks: 17,
  blksize: 4096,
  atime: -1,
  atimeNsec: 5,
  mtime: 2 ** 34,
  mtimeNsec: 999_999_999,
  ctime: 3,
  ctimeNsec: 4,
};
const entry: Entry = { attributes, entryTtl: 1.5, attributesTtl: Infinity };

function requestOf(body: Buffer): Request {
  const request = new Request();
  const header = Buffer.alloc(40);
  header.writeUInt32LE(40 + body.length, 0);
  header.writeUInt32LE(9, 4);
  header.writeBigUInt64LE(0x8000_0001_0000_0002n, 8);
  header.writeBigUInt64LE(BigInt(BIG), 16);
  header.writeUInt32LE(1, 24);
  header.writeUInt32LE(2, 28);
  header.writeUInt32LE(3, 32);
  header.copy(request.buffer);
  body.copy(request.buffer, 40);
  return request;
}

const int64 = (value: bigint): Buffer => {
  const buffer = Buffer.alloc(8);
  buffer.writeBigInt64LE(value);
  return buffer;
};

describe('Request', () => {
  it('reads the header', () => {
    const { opcode, uniqueLow, uniqueHigh, nodeid, uid, gid, pid } = requestOf(Buffer.alloc(0));
    expect([opcode, uniqueLow, uniqueHigh, nodeid]).toEqual([9, 2, 0x8000_0001, BIG]);
    expect([uid, gid, pid]).toEqual([1, 2, 3]);
  });

  it('reads 64-bit numbers, signed and unsigned', () => {
    const request = requestOf(Buffer.concat([int64(BigInt(BIG)), int64(-3n)]));
    expect(request.u64(0)).toBe(BIG);
    expect(request.i64(8)).toBe(-3);
  });

  it('refuses offsets that are negative or not exact', () => {
    const request = requestOf(Buffer.concat([int64(-1n), int64(2n ** 53n), int64(2n ** 53n - 1n)]));
    expect(() => request.offset(0, 'EINVAL')).toThrow(expect.objectContaining({ code: 'EINVAL' }));
    expect(() => request.offset(8, 'EFBIG')).toThrow(expect.objectContaining({ code: 'EFBIG' }));
    expect(request.offset(16, 'EINVAL')).toBe(Number.MAX_SAFE_INTEGER);
  });

  it('reads names as bytes, one after the other, of at most 255 bytes', () => {
    const request = requestOf(Buffer.from('\xff\xfe\0second\0', 'latin1'));
    expect(request.name(0)).toBe('\xff\xfe');
    expect(request.name(request.after(0))).toBe('second');
    expect(requestOf(Buffer.from(`${'x'.repeat(255)}\0`)).name(0)).toHaveLength(255);
    expect(() => requestOf(Buffer.from(`${'x'.repeat(256)}\0`)).name(0)).toThrow(
      expect.objectContaining({ code: 'ENAMETOOLONG' }),
    );
  });
});

describe('replies', () => {
  it('carry the header with a negative errno and the whole 64-bit number of the request', () => {
    const reply = new Reply();
    expect(reply.seal(2, 0x8000_0001, 0, 5)).toBe(16);
    expect(reply.buffer.readUInt32LE(0)).toBe(16);
    expect(reply.buffer.readInt32LE(4)).toBe(-5);
    expect(reply.buffer.readBigUInt64LE(8)).toBe(0x8000_0001_0000_0002n);
  });

  it('carry an entry with its attributes', () => {
    const reply = new Reply();
    expect(writeEntry(reply, 0, entry)).toBe(128);
    const body = reply.body(128);
    expect(body.readBigUInt64LE(0)).toBe(BigInt(BIG));
    expect([body.readBigUInt64LE(16), body.readUInt32LE(32)]).toEqual([1n, 500_000_000]);
    expect([body.readBigUInt64LE(24), body.readUInt32LE(36)]).toEqual([0x7fff_ffffn, 0]);
    const attr = body.subarray(40);
    expect([0, 8, 16].map((at) => attr.readBigUInt64LE(at))).toEqual([BigInt(BIG), 2n ** 33n + 1n, 17n]);
    expect([24, 32, 40].map((at) => attr.readBigInt64LE(at))).toEqual([-1n, 2n ** 34n, 3n]);
    expect([48, 52, 56].map((at) => attr.readUInt32LE(at))).toEqual([5, 999_999_999, 4]);
    expect([60, 64, 68, 72, 76, 80, 84].map((at) => attr.readUInt32LE(at))).toEqual([
      0o100644, 2, 4_294_967_294, 7, 0x0801, 4096, 0,
    ]);
  });

  it('carry attributes with their time to live', () => {
    const reply = new Reply();
    expect(writeAttributesReply(reply, attributes, 1e9)).toBe(104);
    const body = reply.body(104);
    expect([body.readBigUInt64LE(0), body.readUInt32LE(8)]).toEqual([1_000_000_000n, 0]);
    expect(body.readBigUInt64LE(16)).toBe(BigInt(BIG));
  });

  it('carry the absence of a name, whatever the buffer held before', () => {
    const reply = new Reply();
    writeEntry(reply, 0, entry);
    expect(writeNegativeEntry(reply, 0.25)).toBe(128);
    const body = reply.body(128);
    expect(body.readUInt32LE(32)).toBe(250_000_000);
    expect(body.subarray(0, 32).every((byte) => byte === 0)).toBe(true);
  });

  it('carry an open file', () => {
    const reply = new Reply();
    expect(writeOpen(reply, 0, { fh: BIG, keepCache: true })).toBe(16);
    expect(reply.body(16)).toEqual(Buffer.concat([int64(BigInt(BIG)), int64(2n)]));
  });
});

describe('ReplySink', () => {
  it('aligns entries to 8 bytes and clears the padding', () => {
    const reply = new Reply();
    reply.body(200).fill(0xaa);
    const sink = new ReplySink(reply, 200, false);
    expect(sink.add('abc', 9, 0o040000, 1)).toBe(true);
    expect(sink.add('\xff2345678', BIG, 0o100000, 2)).toBe(true);
    expect(sink.length).toBe(64);
    const body = reply.body(64);
    expect(body.toString('latin1', 24, 32)).toBe('abc\0\0\0\0\0');
    expect([body.readUInt32LE(16), body.readUInt32LE(20)]).toEqual([3, 4]);
    expect([body.readBigUInt64LE(32), body.readBigUInt64LE(40)]).toEqual([BigInt(BIG), 2n]);
    expect([body.readUInt32LE(48), body.readUInt32LE(52)]).toEqual([8, 8]);
    expect(body.toString('latin1', 56)).toBe('\xff2345678');
  });

  it('refuses what does not fit, and leaves what is there', () => {
    const sink = new ReplySink(new Reply(), 63, false);
    expect(sink.add('abc', 9, 0o040000, 1)).toBe(true);
    expect(sink.add('abc', 9, 0o040000, 2)).toBe(false);
    expect(sink.length).toBe(32);
    const plus = new ReplySink(new Reply(), 128 + 31, true);
    expect(plus.addEntry('abc', entry, 1)).toBe(false);
  });

  it('knows which entries count a reference', () => {
    const reply = new Reply();
    reply.body(1000).fill(0xaa);
    const sink = new ReplySink(reply, 1000, true);
    sink.add('.', 1, 0o040000, 1);
    sink.addEntry('first name', entry, 2);
    sink.add('listed only', 5, 0o100000, 3);
    sink.addEntry('b', { ...entry, attributes: { ...attributes, ino: 8 } }, 4);
    expect([...listedInodes(reply, sink.length)]).toEqual([BIG, 8]);
  });

  it('takes no entries with attributes for READDIR, whose references nobody would give back', () => {
    expect(() => new ReplySink(new Reply(), 1000, false).addEntry('a', entry, 1)).toThrow(TypeError);
  });
});
