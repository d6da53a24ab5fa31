// A disk that is full while something on it can go (needs root, to mount a small tmpfs).
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createOverlay } from '../../../src/overlay/overlay.ts';
import { ErrnoError } from '../../../src/util/errno.ts';
import { withRoom } from '../../../src/overlay/full-disk.ts';
import { FilesystemClient } from '../../support/filesystem-client.ts';
import { createMemoryLayer, type MemoryLayer } from '../../support/memory-layer.ts';
import { seedFile } from '../../support/seed-tree.ts';
import { CAN_MOUNT_DISKS, createSmallDisk, type SmallDisk } from '../../support/small-disk.ts';

const SPARE_BYTES = 256 * 1024;

describe.skipIf(!CAN_MOUNT_DISKS)('on a full disk', () => {
  let disk: SmallDisk;
  let layer: MemoryLayer;
  let fs: FilesystemClient;
  let asked: number;
  const spare = (): string => join(disk.path, 'spare');

  beforeEach(() => {
    disk = createSmallDisk(8_000_000);
    layer = createMemoryLayer({ 'lower.txt': seedFile('x'.repeat(100_000)) });
    asked = 0;
    mkdirSync(spare());
    for (let number = 0; number < 4; number++)
      writeFileSync(join(spare(), `${number}`), Buffer.alloc(SPARE_BYTES));
    fs = new FilesystemClient(
      createOverlay({
        layer,
        upperDir: join(disk.path, 'upper'),
        workDir: join(disk.path, 'work'),
        uid: 0,
        gid: 0,
        makeRoom: () => {
          asked++;
          const [name] = readdirSync(spare());
          if (name !== undefined) rmSync(join(spare(), name));
          return name !== undefined;
        },
      }),
    );
  });

  afterEach(async () => {
    await fs.filesystem.destroy();
    layer.dispose();
    disk[Symbol.dispose]();
  });

  test('what is written goes on in the place of what can be had again, and fails when nothing is left', async () => {
    await fs.writeFile('early.txt', 'early');
    disk.fill();
    await fs.writeFile('new.txt', 'n'.repeat(100_000));
    expect((await fs.readFile('new.txt')).toString()).toBe('n'.repeat(100_000));
    disk.fill();
    // Copied up for that.
    await fs.writeFile('lower.txt', 'changed');
    expect(asked).toBeGreaterThan(1);
    for (let number = 0; number < 20 && readdirSync(spare()).length > 0; number++) {
      disk.fill();
      await fs.writeFile(`more${number}`, 'm'.repeat(200_000)).catch(() => undefined);
    }
    disk.fill();
    await expect(fs.writeFile('last.txt', 'l'.repeat(100_000))).rejects.toMatchObject({ code: 'ENOSPC' });
    expect((await fs.readFile('early.txt')).toString()).toBe('early');
  });
});

test('nothing is tried again for other reasons, for ever, or where nobody makes room', async () => {
  let tried = 0;
  const fail = (code: 'EIO' | 'ENOSPC') => (): never => {
    tried++;
    throw new ErrnoError(code);
  };
  expect(() => withRoom(() => true, fail('EIO'))).toThrow('EIO');
  expect(() => withRoom(undefined, fail('ENOSPC'))).toThrow('ENOSPC');
  expect(() => withRoom(() => false, fail('ENOSPC'))).toThrow('ENOSPC');
  expect(tried).toBe(3);
  expect(() => withRoom(() => true, fail('ENOSPC'))).toThrow('ENOSPC');
  expect(tried).toBe(7);
  let left = 2;
  const later = async (): Promise<string> => {
    if (left-- > 0) throw new ErrnoError('ENOSPC');
    return 'done';
  };
  expect(await withRoom(() => true, later)).toBe('done');
});
