// What a layer knows only for the moment: listings it cannot keep, sizes that the server lost or told wrongly.
import { constants } from 'node:fs';
import { setImmediate as immediate, setTimeout as sleep } from 'node:timers/promises';
import { afterEach, expect, test } from 'vitest';
import { ErrnoError } from '../../../src/util/errno.ts';
import { outcome } from '../../support/filesystem-assertions.ts';
import { seedFile } from '../../support/seed-tree.ts';
import { UpperOverlay } from '../../support/upper-overlay.ts';

const WAIT_MS = 2000;
let overlay: UpperOverlay;
afterEach(() => overlay.dispose());

test('stat of a file whose blob the server lost fails, and asks once for the folder', async () => {
  let asked = 0;
  overlay = new UpperOverlay(
    { file: seedFile('lost') },
    {
      wrap: (layer) => ({
        ...layer,
        knownSize: () => undefined,
        loadSizes: async () => {
          asked++;
          await immediate();
        },
        size: async () => {
          await immediate();
          throw new ErrnoError('EIO');
        },
      }),
    },
  );
  const late = sleep(WAIT_MS, 'still waiting', { ref: false });
  expect(await Promise.race([outcome(() => overlay.fs.stat('file')), late])).toBe('EIO');
  expect(asked).toBe(1);
});

test('a listing that the layer cannot keep is asked for once', async () => {
  let asked = 0;
  overlay = new UpperOverlay(
    { 'docs/file': seedFile('content') },
    {
      wrap: (layer) => ({
        ...layer,
        list: async (directory, request) => {
          asked++;
          await immediate();
          return layer.list(directory, request);
        },
      }),
    },
  );
  const late = sleep(WAIT_MS, 'still waiting', { ref: false });
  expect(await Promise.race([overlay.fs.readText('docs/file'), late])).toBe('content');
  expect(await overlay.fs.names('docs')).toEqual(['file']);
  expect(asked).toBe(2);
});

for (const told of [3, 30]) {
  test(`a size told wrongly (${told} for 10) is put right when the content comes, and the kernel told`, async () => {
    let known = told;
    const invalidated: number[] = [];
    overlay = new UpperOverlay(
      { file: seedFile('0123456789') },
      {
        wrap: (layer) => ({
          ...layer,
          knownSize: () => known,
          correctSize: (_entry, right) => {
            known = right;
          },
        }),
        notifier: {
          invalidateInode: (ino) => void invalidated.push(ino),
          invalidateEntry: () => undefined,
        },
      },
    );
    const { ino, size } = await overlay.fs.stat('file');
    expect(size).toBe(told);
    const fh = await overlay.fs.open('file', constants.O_RDWR);
    expect(await outcome(() => overlay.fs.write(fh, 'x', told))).toBe('EIO');
    expect((await overlay.fs.stat('file')).size).toBe(10);
    expect(await overlay.fs.readText('file')).toBe('0123456789');
    expect(invalidated).toEqual([ino]);
    await overlay.fs.write(fh, 'x', 10);
    expect(await overlay.fs.readText('file')).toBe('0123456789x');
    overlay.fs.close(fh);
  });
}

test('a file whose content is another one once its size is right is never copied with the wrong content', async () => {
  let known = 3;
  overlay = new UpperOverlay(
    { file: seedFile('pointer'), content: seedFile('what it points to') },
    {
      wrap: (layer) => ({
        ...layer,
        knownSize: (entry) => (entry.name === 'file' ? known : layer.knownSize(entry)),
        // As it reads pointers: what is of their size is another file.
        correctSize: () => {
          known = 17;
        },
        open: async (entry, request) => {
          const other = entry.name === 'file' && known === 17 ? await layer.resolve('content') : entry;
          return layer.open(other ?? entry, request);
        },
      }),
    },
  );
  await overlay.fs.stat('file');
  expect(await outcome(() => overlay.fs.append('file', '!'))).toBe('EIO');
  expect((await overlay.fs.stat('file')).size).toBe(17);
  await overlay.fs.append('file', '!');
  expect(await overlay.fs.readText('file')).toBe('what it points to!');
});

test('reading a file of a wrongly told size fails once instead of giving cut bytes, then works', async () => {
  let known = 3;
  const invalidated: number[] = [];
  overlay = new UpperOverlay(
    { file: seedFile('0123456789') },
    {
      wrap: (layer) => ({
        ...layer,
        knownSize: () => known,
        correctSize: (_entry, size) => {
          known = size;
        },
      }),
      notifier: {
        invalidateInode: (ino) => void invalidated.push(ino),
        invalidateEntry: () => undefined,
      },
    },
  );
  const { ino } = await overlay.fs.stat('file');
  expect(await outcome(() => overlay.fs.readText('file'))).toBe('EIO');
  expect(invalidated).toEqual([ino]);
  expect((await overlay.fs.stat('file')).size).toBe(10);
  expect(await overlay.fs.readText('file')).toBe('0123456789');
});
