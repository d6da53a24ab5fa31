// The records of the pointer store: keys and values, each value with a checksum over both.
import { crc32 } from 'node:zlib';
import type { ObjectId } from '../../util/types.ts';
import type { LfsObject } from '../lfs-object.ts';
import type { PathPointer } from '../pointer-store.ts';

const OID_BYTES = 32;
const BLOB_BYTES = 20;
const CHECKSUM_BYTES = 4;
const SIZE_BYTES = 8;
const OBJECT_BYTES = OID_BYTES + SIZE_BYTES;

/** A value that is not what was written. */
export class DamagedRecordError extends Error {
  override readonly name = 'DamagedRecordError';
}

/** Key of the record that says by which version of the format the others are to be read. */
export const FORMAT_KEY = 'f';
/** Value of that record. */
export const FORMAT: Buffer = Buffer.from('scorpio-pointers-1');

/** Key of what a blob is. Keys are latin1 binary strings: their order is that of the database. */
export function blobKey(id: ObjectId): string {
  return `b${Buffer.from(id, 'hex').toString('latin1')}`;
}

/** Beginning of the keys of a mount's paths. */
export function mountPrefix(mountId: string): string {
  return `p${Buffer.from(mountId).toString('latin1')}\0`;
}

/** Key of a path of a mount. */
export function pathKey(mountId: string, path: string): string {
  return mountPrefix(mountId) + path;
}

/** The first key after all that begin with `prefix`, which ends in a byte below 255. */
export function keyAfter(prefix: string): string {
  const last = prefix.length - 1;
  return prefix.slice(0, last) + String.fromCodePoint(prefix.charCodeAt(last) + 1);
}

/** What a blob is, as a value. */
export function encodeBlob(key: string, what: LfsObject | 'none'): Buffer {
  if (what === 'none') return seal(key, Buffer.alloc(CHECKSUM_BYTES));
  const value = Buffer.alloc(CHECKSUM_BYTES + OBJECT_BYTES);
  writeObject(value, what);
  return seal(key, value);
}

/** Reads such a value. Throws DamagedRecordError. */
export function decodeBlob(key: string, value: Buffer): LfsObject | 'none' {
  check(key, value);
  if (value.length === CHECKSUM_BYTES) return 'none';
  if (value.length !== CHECKSUM_BYTES + OBJECT_BYTES) throw new DamagedRecordError('a value of unknown form');
  return readObject(value);
}

/** The pointer of a path, as a value. */
export function encodePath(key: string, pointer: PathPointer): Buffer {
  const value = Buffer.alloc(CHECKSUM_BYTES + OBJECT_BYTES + BLOB_BYTES);
  writeObject(value, pointer);
  value.write(pointer.blob, CHECKSUM_BYTES + OBJECT_BYTES, 'hex');
  return seal(key, value);
}

/** Reads such a value. Throws DamagedRecordError. */
export function decodePath(key: string, value: Buffer): PathPointer {
  check(key, value);
  const end = CHECKSUM_BYTES + OBJECT_BYTES;
  if (value.length !== end + BLOB_BYTES) throw new DamagedRecordError('a value of unknown form');
  return { ...readObject(value), blob: value.toString('hex', end) };
}

function writeObject(value: Buffer, { oid, size }: LfsObject): void {
  value.write(oid, CHECKSUM_BYTES, 'hex');
  value.writeDoubleLE(size, CHECKSUM_BYTES + OID_BYTES);
}

function readObject(value: Buffer): LfsObject {
  return {
    oid: value.toString('hex', CHECKSUM_BYTES, CHECKSUM_BYTES + OID_BYTES),
    size: value.readDoubleLE(CHECKSUM_BYTES + OID_BYTES),
  };
}

function seal(key: string, value: Buffer): Buffer {
  value.writeUInt32LE(checksum(key, value), 0);
  return value;
}

/** LevelDB does not check what it reads, and a wrong size would be shown as the file's. */
function check(key: string, value: Buffer): void {
  if (value.length < CHECKSUM_BYTES || value.readUInt32LE(0) !== checksum(key, value)) {
    throw new DamagedRecordError('a value does not have its checksum');
  }
}

function checksum(key: string, value: Buffer): number {
  return crc32(value.subarray(CHECKSUM_BYTES), crc32(Buffer.from(key, 'latin1')));
}
