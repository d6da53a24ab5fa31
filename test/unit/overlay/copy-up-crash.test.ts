// A daemon that is killed while it copies content up: what it leaves on the disk is what was there before.
import { execFileSync } from 'node:child_process';
import { constants } from 'node:fs';
import { setImmediate as immediate } from 'node:timers/promises';
import { afterEach, expect, test } from 'vitest';
import { randomBytes } from '../../support/random.ts';
import { seedFile } from '../../support/seed-tree.ts';
import { UpperOverlay } from '../../support/upper-overlay.ts';

let overlay: UpperOverlay;
afterEach(() => overlay.dispose());

test('times and set-id bits are those from before the copy that never ended', async () => {
  const content = randomBytes(2_000_000, 1);
  let opened = false;
  overlay = new UpperOverlay(
    { file: seedFile(content) },
    {
      wrap: (layer) => ({
        ...layer,
        open: (entry, request) => {
          opened = true;
          return layer.open(entry, request);
        },
      }),
    },
  );
  const time = { seconds: -5, nanoseconds: 123_456_789 };
  await overlay.fs.setattr('file', { mode: 0o6755 });
  await overlay.fs.setattr('file', { atime: time, mtime: time });
  const before = await overlay.fs.stat('file');
  const fh = await overlay.fs.open('file', constants.O_RDWR);
  const writing = Promise.resolve(overlay.fs.write(fh, content.subarray(0, 1)));
  do await immediate();
  while (!opened);
  // What a killed process leaves: the copy is under way.
  execFileSync('cp', ['-a', overlay.upper(), overlay.path('killed')]);
  await writing;
  overlay.fs.close(fh);
  await overlay.reopen(() => {
    const script = 'rm -r upper; mv killed upper; chmod 755 upper/file; touch upper/file';
    execFileSync('sh', ['-euc', script], { cwd: overlay.path() });
  });
  const { mode, size, mtime, mtimeNsec } = await overlay.fs.stat('file');
  expect({ mode, size, mtime, mtimeNsec }).toEqual({
    mode: before.mode,
    size: before.size,
    mtime: before.mtime,
    mtimeNsec: before.mtimeNsec,
  });
  expect(await overlay.fs.readText('file')).toBe(content.toString('latin1'));
  // Once the copy is complete, times are those of the disk again.
  const again = await overlay.fs.open('file', constants.O_RDWR);
  await overlay.fs.write(again, content.subarray(0, 1));
  overlay.fs.close(again);
  await overlay.fs.setattr('file', { mtime: { seconds: 7, nanoseconds: 0 } });
  await overlay.reopen();
  expect(await overlay.fs.stat('file')).toMatchObject({ mtime: 7, size: content.length });
});
