// What a file that is arriving leaves behind, on the disk and in the bookkeeping.
import { existsSync, renameSync } from 'node:fs';
import { afterEach, expect, test, vi } from 'vitest';
import { IncompleteObject } from '../../../../src/lfs/download/incomplete-object.ts';
import { folder } from './fixture.ts';

const OID = 'a'.repeat(64);

afterEach(() => {
  vi.useRealTimers();
});

test('an object that is published while its ranges are being noted counts as arriving no more', async () => {
  const noted: number[] = [];
  const room = {
    stored: () => undefined,
    used: () => undefined,
    removed: () => undefined,
    makeRoom: () => false,
    arrived: (_: string, bytes: number) => void noted.push(bytes),
  };
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  const file = new IncompleteObject(folder.path, { oid: OID, size: 10 }, room);
  await file.write(0, [Buffer.alloc(10)]);
  await vi.advanceTimersByTimeAsync(300);
  renameSync(file.path, `${folder.path}/published`);
  await file.finish();
  expect(noted.at(-1)).toBe(0);
  expect(existsSync(file.path)).toBe(false);
});
