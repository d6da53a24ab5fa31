// Files that are rows of a table until an operation needs them: they stay objects while it does, whatever runs meanwhile.
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, expect, test } from 'vitest';
import { MemoryBudget } from '../../../src/overlay/memory-budget.ts';
import { outcome } from '../../support/filesystem-assertions.ts';
import { seedFile } from '../../support/seed-tree.ts';
import { UpperOverlay } from '../../support/upper-overlay.ts';

/** The budget is looked at each time so many inodes were added. */
const INODES_A_LOOK = 2048;

let overlay: UpperOverlay;
afterEach(() => overlay.dispose());

const seed = { source: seedFile('source'), target: seedFile('target'), other: seedFile('other') };

test.each([1, 2, 3, 4])(
  'a rename is whole, also where its look-up number %i finds the budget used up',
  async (at) => {
    const memory = new MemoryBudget(1, { allowance: 1 });
    overlay = new UpperOverlay(seed, { memory });
    const { ino } = await overlay.fs.stat('source');
    await overlay.fs.stat('target');
    for (let count = 0; count < INODES_A_LOOK - 2 - at; count++) memory.grown();
    await overlay.fs.filesystem.rename(1, 'source', 1, 'target', 0, overlay.fs.ctx);
    expect(await overlay.fs.stat('target')).toMatchObject({ ino, size: 6 });
    await overlay.fs.filesystem.write(ino, 0, Buffer.from('UP'), 0, 0, overlay.fs.ctx);
    expect(await overlay.fs.readText('target')).toBe('UPurce');
    expect(await overlay.fs.exists('source')).toBe(false);
  },
);

/** A layer that makes callers wait until `arrive` is called, and a budget that has everything idle given up. */
function openSlowly(what: 'sizes' | 'open'): {
  arrive: () => void;
  forgetSizes: () => void;
  giveUpIdle: () => Promise<void>;
} {
  let arrive!: () => void;
  const arrival = new Promise<void>((resolve) => {
    arrive = resolve;
  });
  let isKnown = true;
  const memory = new MemoryBudget(1, { allowance: 1 });
  overlay = new UpperOverlay(seed, {
    memory,
    wrap: (layer) => ({
      ...layer,
      knownSize: (entry) => (isKnown ? layer.knownSize(entry) : undefined),
      size: async (entry, request) => {
        await arrival;
        isKnown = true;
        return layer.size(entry, request);
      },
      open: async (entry, request) => {
        if (what === 'open') await arrival;
        return layer.open(entry, request);
      },
    }),
  });
  const giveUpIdle = async (): Promise<void> => {
    for (let count = 0; count < INODES_A_LOOK; count++) memory.grown();
    await delay(10);
  };
  const forgetSizes = (): void => {
    isKnown = false;
  };
  return { arrive, forgetSizes, giveUpIdle };
}

const readBare = async (ino: number): Promise<string> => {
  const target = Buffer.alloc(100);
  const { filesystem, ctx } = overlay.fs;
  return target.subarray(0, await filesystem.read(ino, 0, target, 0, ctx)).toString('latin1');
};

test('what is written to a file is in it, also where its size was waited for and idle files were given up', async () => {
  const { arrive, forgetSizes, giveUpIdle } = openSlowly('sizes');
  const { filesystem, ctx } = overlay.fs;
  const { ino } = await overlay.fs.stat('source');
  forgetSizes();
  const writing = [
    Promise.resolve(filesystem.write(ino, 0, Buffer.from('UP'), 0, 0, ctx)),
    Promise.resolve(filesystem.fallocate(ino, 0, 0, 0, 8, ctx)),
  ];
  await giveUpIdle();
  arrive();
  await Promise.all(writing);
  expect(await readBare(ino)).toBe('UPurce\0\0');
  expect(await overlay.fs.stat('source')).toMatchObject({ ino, size: 8 });
});

test('a copy from a file that was given up meanwhile succeeds', async () => {
  const { arrive, giveUpIdle } = openSlowly('open');
  const { filesystem, ctx } = overlay.fs;
  const from = (await overlay.fs.stat('source')).ino;
  const to = (await overlay.fs.stat('target')).ino;
  const copying = Promise.resolve(
    filesystem.copyFileRange({ ino: from, fh: 0, offset: 0 }, { ino: to, fh: 0, offset: 0 }, 3, ctx),
  );
  await giveUpIdle();
  arrive();
  expect(await copying).toBe(3);
  expect(await readBare(to)).toBe('souget');
});

test('the listing of a folder that was forgotten before it came is not counted', async () => {
  let arrive!: () => void;
  const arrival = new Promise<void>((resolve) => {
    arrive = resolve;
  });
  const memory = new MemoryBudget(2 ** 30);
  overlay = new UpperOverlay(
    { 'dir/file': seedFile('x') },
    {
      memory,
      wrap: (layer) => ({
        ...layer,
        list: async (directory, request) => {
          if (directory.path === 'dir') await arrival;
          return layer.list(directory, request);
        },
      }),
    },
  );
  await overlay.fs.lookup(1, 'other').catch(() => undefined);
  const { held } = memory.report();
  const { ino } = await overlay.fs.lookup(1, 'dir');
  const looking = outcome(async () => overlay.fs.filesystem.lookup(ino, 'file', overlay.fs.ctx));
  overlay.fs.forget(ino);
  arrive();
  expect(await looking).toBe('ESTALE');
  expect(memory.report().held).toBe(held);
});
