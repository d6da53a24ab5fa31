// Notifications: their bytes, and that they are written in order and never within a call.
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  Notifications,
  encodeInvalidateEntry,
  encodeInvalidateInode,
} from '../../../../src/fuse/kernel/notifications.ts';

describe('the encoding of notifications', () => {
  it('names inode and range, -1 for attributes only', () => {
    const message = encodeInvalidateInode(2 ** 40, -1, 0);
    expect([message.readUInt32LE(0), message.readInt32LE(4), message.readBigUInt64LE(8)]).toEqual([
      40,
      2,
      0n,
    ]);
    expect([16, 24, 32].map((at) => message.readBigInt64LE(at))).toEqual([2n ** 40n, -1n, 0n]);
  });

  it('names folder and entry, with a terminator', () => {
    const message = encodeInvalidateEntry(3, 'a\xff');
    expect([message.length, message.readUInt32LE(0), message.readInt32LE(4)]).toEqual([35, 35, 3]);
    expect([message.readBigUInt64LE(16), message.readUInt32LE(24), message.readUInt32LE(28)]).toEqual([
      3n,
      2,
      0,
    ]);
    expect(message.toString('latin1', 32)).toBe('a\xff\0');
  });
});

describe('Notifications', () => {
  let folder: string;
  let fd: number;
  const written = (): Buffer => readFileSync(join(folder, 'device'));

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'scorpio-notify-'));
    fd = openSync(join(folder, 'device'), 'w');
  });
  afterEach(() => {
    closeSync(fd);
    rmSync(folder, { recursive: true });
  });

  it('writes in order, after the current call', async () => {
    const notifications = new Notifications();
    notifications.open(fd, { mayOmitOpen: false, passthrough: false });
    notifications.invalidateInode(1, -1, 0);
    notifications.invalidateEntry(1, 'a');
    expect(written()).toHaveLength(0);
    const all = Buffer.concat([
      encodeInvalidateInode(1, -1, 0),
      encodeInvalidateEntry(1, 'a'),
      encodeInvalidateEntry(2, 'b'),
    ]);
    await expect.poll(() => written().length).toBe(all.length - 34);
    notifications.invalidateEntry(2, 'b');
    await expect.poll(() => written().length).toBe(all.length);
    expect(written().equals(all)).toBe(true);
    await notifications.close();
  });

  it('writes beside the others what content is to be forgotten, which may have to wait', async () => {
    const notifications = new Notifications();
    notifications.open(fd, { mayOmitOpen: false, passthrough: false });
    notifications.invalidateInode(1, 0, 0);
    expect(written()).toHaveLength(0);
    await expect.poll(() => written().equals(encodeInvalidateInode(1, 0, 0))).toBe(true);
    await notifications.close();
  });

  it('drops what is said before it is open, and what is queued when it closes', async () => {
    const notifications = new Notifications();
    notifications.invalidateInode(1, 0, 0);
    notifications.open(fd, { mayOmitOpen: false, passthrough: false });
    notifications.invalidateInode(2, 0, 0);
    await notifications.close();
    notifications.invalidateInode(3, 0, 0);
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(written()).toHaveLength(0);
  });

  it('reports a failure that is no ordinary answer, and goes on', async () => {
    const faults: unknown[] = [];
    const notifications = new Notifications((operation, error) => faults.push([operation, error]));
    const readOnly = openSync(join(folder, 'device'), 'r');
    notifications.open(readOnly, { mayOmitOpen: false, passthrough: false });
    notifications.invalidateInode(1, 0, 0);
    notifications.invalidateInode(2, 0, 0);
    await expect.poll(() => faults.length).toBe(2);
    expect(faults[0]).toEqual(['NOTIFY', expect.objectContaining({ code: 'EBADF' })]);
    await notifications.close();
    closeSync(readOnly);
  });
});
