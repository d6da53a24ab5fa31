// The lower layer shows other sizes and contents than before: what the kernel and open files get to know of it.
import { constants, statSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { KernelNotifier } from '../../../src/fuse/filesystem.ts';
import type { Layer, LayerEntry } from '../../../src/layers/layer.ts';
import { outcome } from '../../support/filesystem-assertions.ts';
import { createMemoryLayer, type MemoryLayer } from '../../support/memory-layer.ts';
import { seedFile } from '../../support/seed-tree.ts';
import { UpperOverlay } from '../../support/upper-overlay.ts';

const { O_RDONLY, O_RDWR } = constants;
const LARGE = 'L'.repeat(2 * 1024 * 1024);
const before = {
  'art/brush.psd': seedFile('pointer to the brush'),
  'art/notes.txt': seedFile('notes'),
  'art/deep/layer.psd': seedFile('pointer to the layer'),
  'src/icon.psd': seedFile('pointer to the icon'),
  'art/long.bin': seedFile('L'.repeat(20_000)),
};
const after = {
  'art/brush.psd': seedFile('the brush itself, which is larger than its pointer'),
  'art/notes.txt': seedFile('notes'),
  'art/deep/layer.psd': seedFile('small'),
  'src/icon.psd': seedFile('the icon itself'),
  'art/long.bin': seedFile('short'),
};

let overlay: UpperOverlay;
let other: MemoryLayer;
let isAfter: boolean;
let knowsSizes: boolean;
let invalidated: Set<number>;
let mayPass: boolean;

const kernel: KernelNotifier = {
  invalidateInode: (ino, offset) => {
    if (offset === 0) invalidated.add(ino);
  },
  invalidateEntry: () => undefined,
  get passthrough() {
    return mayPass ? { register: (fd: number) => fd + 1, unregister: () => undefined } : undefined;
  },
};

/** Shows the one tree, then the other. */
function switching(layer: Layer): Layer {
  const shown = (): Layer => (isAfter ? other : layer);
  return {
    ...layer,
    knownSize: (entry) => (knowsSizes ? shown().knownSize(entry) : undefined),
    size: (entry, request) => shown().size(entry, request),
    open: (entry, request) => shown().open(entry, request),
  };
}

beforeEach(() => {
  isAfter = false;
  knowsSizes = true;
  mayPass = false;
  invalidated = new Set();
  other = createMemoryLayer(after);
  overlay = new UpperOverlay(before, { notifier: kernel, wrap: switching });
});
afterEach(async () => {
  await overlay.dispose();
  other.dispose();
});

const isPicture = ({ name }: LayerEntry): boolean => name.endsWith('.psd');

/** The other tree is shown from now on, below a folder. */
function change(folder = ''): void {
  isAfter = true;
  invalidated.clear();
  overlay.control.lowerChanged(folder, isPicture);
}

const inosOf = async (...paths: string[]): Promise<Set<number>> =>
  new Set(await Promise.all(paths.map(async (path) => (await overlay.fs.stat(path)).ino)));

const sizeOf = async (path: string): Promise<number> => (await overlay.fs.stat(path)).size;

test('the kernel forgets those that are concerned, wherever they are shown, and no others', async () => {
  const { fs } = overlay;
  await inosOf(...Object.keys(before));
  const { ino } = await fs.stat('art/brush.psd');
  const { fh } = await fs.filesystem.open(ino, O_RDONLY, fs.ctx);
  await fs.rename('art', 'images');
  const below = await inosOf('images/brush.psd', 'images/deep/layer.psd');
  change('art');
  expect(invalidated).toEqual(below);
  change('art/deep');
  expect(invalidated).toEqual(await inosOf('images/deep/layer.psd'));
  change();
  expect(invalidated).toEqual(new Set([...below, ...(await inosOf('src/icon.psd'))]));
  fs.filesystem.release(fh);
});

test('a file that is open goes on with the new content', async () => {
  const { fs } = overlay;
  const fh = await fs.open('art/brush.psd');
  expect((await fs.read(fh)).toString()).toBe('pointer to the brush');
  change();
  expect(await sizeOf('art/brush.psd')).toBe(50);
  expect((await fs.read(fh)).toString()).toBe('the brush itself, which is larger than its pointer');
  fs.close(fh);
});

test('a read by the size of the larger content before is an error, not the new content and zeros', async () => {
  const { fs } = overlay;
  const fh = await fs.open('art/long.bin');
  await fs.read(fh);
  const { ino } = await fs.stat('art/long.bin');
  isAfter = true;
  overlay.control.lowerChanged('', ({ name }) => name === 'long.bin');
  const reading = (length: number) =>
    outcome(async () => fs.filesystem.read(ino, fh, Buffer.alloc(length), 0, fs.ctx));
  expect(await reading(20_480)).toBe('EIO');
  expect(await reading(4096)).not.toBe('EIO');
  expect((await fs.stat('art/long.bin')).size).toBe(5);
  fs.close(fh);
});

test('one that the user wrote is what the user wrote', async () => {
  const { fs } = overlay;
  await fs.append('art/brush.psd', '!');
  change();
  expect(invalidated).toEqual(new Set());
  expect(await fs.readText('art/brush.psd')).toBe('pointer to the brush!');
});

describe('a file whose metadata alone was changed', () => {
  test('shows the new size, and reads the new content', async () => {
    const { fs } = overlay;
    await fs.setattr('art/brush.psd', { mode: 0o600 });
    await fs.rename('art/deep/layer.psd', 'layer.psd');
    const concerned = await inosOf('art/brush.psd', 'layer.psd');
    change();
    expect(invalidated).toEqual(concerned);
    expect([await sizeOf('art/brush.psd'), await sizeOf('layer.psd')]).toEqual([50, 5]);
    expect(await fs.readText('art/brush.psd')).toBe('the brush itself, which is larger than its pointer');
    expect(await fs.readText('layer.psd')).toBe('small');
  });

  test('gets a hole of the new size when it is touched, and keeps its times', async () => {
    const { fs } = overlay;
    const mtime = { seconds: 1000, nanoseconds: 5 };
    await fs.setattr('art/brush.psd', { mtime });
    change();
    await fs.setattr('art/brush.psd', { mode: 0o600 });
    expect(statSync(overlay.upper('art/brush.psd')).size).toBe(50);
    expect(await fs.stat('art/brush.psd')).toMatchObject({ mtime: 1000, mtimeNsec: 5, size: 50 });
  });

  test.each(['art/brush.psd', 'art/deep/layer.psd'])('is copied up as it is now: %s', async (path) => {
    const { fs } = overlay;
    const text = after[path as keyof typeof after];
    const content = text.kind === 'file' ? text.content.toString() : '';
    await fs.setattr(path, { mode: 0o600 });
    change();
    await fs.append(path, '!');
    expect(await fs.readText(path)).toBe(`${content}!`);
    await overlay.reopen();
    expect(await overlay.fs.readText(path)).toBe(`${content}!`);
  });

  test('shows it after a new mount, too, where nothing says that something changed', async () => {
    await overlay.fs.setattr('art/brush.psd', { mode: 0o600 });
    await overlay.reopen(() => {
      isAfter = true;
    });
    expect(await sizeOf('art/brush.psd')).toBe(50);
    expect(await overlay.fs.readText('art/brush.psd')).toBe(
      'the brush itself, which is larger than its pointer',
    );
  });

  test('fails once where only the hole told of a size, and that was wrong', async () => {
    await overlay.fs.setattr('art/brush.psd', { mode: 0o600 });
    await overlay.reopen(() => {
      isAfter = true;
      knowsSizes = false;
    });
    const { fs } = overlay;
    expect(await sizeOf('art/brush.psd')).toBe(20);
    const { ino } = await fs.stat('art/brush.psd');
    expect(await outcome(() => fs.readText('art/brush.psd'))).toBe('EIO');
    expect(invalidated).toEqual(new Set([ino]));
    expect(await sizeOf('art/brush.psd')).toBe(50);
    expect((await fs.readText('art/brush.psd')).length).toBe(50);
  });
});

test('readers by passthrough keep what they have until they close it', async () => {
  await overlay.dispose();
  other.dispose();
  mayPass = true;
  other = createMemoryLayer({ 'a.psd': seedFile('pointer') });
  overlay = new UpperOverlay({ 'a.psd': seedFile(LARGE) }, { notifier: kernel, wrap: switching });
  const { fs } = overlay;
  const { ino } = await fs.stat('a.psd');
  const first = await fs.filesystem.open(ino, O_RDONLY, fs.ctx);
  expect(first.backingId).toBeDefined();
  change();
  const second = await fs.filesystem.open(ino, O_RDONLY, fs.ctx);
  expect(second.backingId).toBe(first.backingId);
  for (const { fh } of [first, second]) fs.filesystem.release(fh);
  const third = await fs.filesystem.open(ino, O_RDWR, fs.ctx);
  expect(third.backingId).toBeUndefined();
  fs.filesystem.release(third.fh);
  expect(await fs.readText('a.psd')).toBe('pointer');
});
