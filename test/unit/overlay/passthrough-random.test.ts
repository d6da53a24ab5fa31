// Large files under random operations that overlap, with a kernel that reads some of them by itself.
import { closeSync, constants, openSync, readFileSync, readlinkSync } from 'node:fs';
import { afterEach, expect, test } from 'vitest';
import type { KernelNotifier, OpenedFile } from '../../../src/fuse/filesystem.ts';
import { ErrnoError } from '../../../src/util/errno.ts';
import { createMemoryLayer } from '../../support/memory-layer.ts';
import { createRandom, randomBytes } from '../../support/random.ts';
import { seedFile } from '../../support/seed-tree.ts';
import { UpperOverlay } from '../../support/upper-overlay.ts';

const { O_RDONLY, O_RDWR } = constants;
const LARGE = randomBytes(1024 * 1024 + 100, 4);
const SEEDS = Array.from({ length: 20 }, (_, index) => index + 1);
const STEPS = 60;
const SPARE_NAMES = 5;
const seed = { a: seedFile(LARGE), b: seedFile(LARGE) };

interface Opened extends OpenedFile {
  readonly node: number;
  readonly isWriting: boolean;
  readonly content: { bytes: Buffer };
}

let overlay: UpperOverlay;
let layer: ReturnType<typeof createMemoryLayer>;
let random: () => number;
/** Registered files, each as a descriptor of our own. */
const registered = new Set<number>();
/** What the kernel remembers of names, and the references that it holds. */
const nodes = new Map<string, number>();
const references = new Map<number, number>();
const contents = new Map<string, { bytes: Buffer }>();
const files: Opened[] = [];

const kernel: KernelNotifier = {
  invalidateInode: () => undefined,
  invalidateEntry: (_parent, name) => void nodes.delete(name),
  mayOmitOpen: true,
  passthrough: {
    register: (fd) => {
      const own = openSync(`/proc/self/fd/${fd}`, 'r');
      registered.add(own);
      return own;
    },
    unregister: (backingId) => {
      registered.delete(backingId);
      closeSync(backingId);
    },
  },
};

afterEach(async () => {
  for (const { fh } of files.splice(0)) overlay.fs.filesystem.release(fh);
  forgetUnused();
  for (const state of [nodes, references, contents]) state.clear();
  await overlay.dispose();
  layer.dispose();
  expect(registered.size).toBe(0);
});

const below = (limit: number): number => Math.floor(random() * limit);

/** Looks a name up, unless it is remembered. */
async function nodeOf(name: string, anew: boolean): Promise<number> {
  const known = anew ? undefined : nodes.get(name);
  if (known !== undefined) return known;
  const { node, attributes } = await overlay.fs.filesystem.lookup(1, name, overlay.fs.ctx);
  return remember(name, node ?? attributes.ino);
}

function remember(name: string, node: number): number {
  references.set(node, (references.get(node) ?? 0) + 1);
  nodes.set(name, node);
  return node;
}

/** Uses what a name stands for; as the kernel does, it looks the name up again after ESTALE. */
async function use<T>(name: string, call: (node: number) => Promise<T>): Promise<T> {
  try {
    return await call(await nodeOf(name, false));
  } catch (error) {
    if (!(error instanceof ErrnoError && error.code === 'ESTALE')) throw error;
    return call(await nodeOf(name, true));
  }
}

async function open(name: string, content: { bytes: Buffer }, isWriting: boolean): Promise<Opened> {
  const { filesystem, ctx } = overlay.fs;
  const opened = await use(name, async (node) => ({
    node,
    ...(await filesystem.open(node, isWriting ? O_RDWR : O_RDONLY, ctx)),
  }));
  // What the kernel demands, and what the store must never suffer.
  for (const other of files) if (other.node === opened.node) expect(other.backingId).toBe(opened.backingId);
  if (isWriting && opened.backingId !== undefined)
    expect(readlinkSync(`/proc/self/fd/${opened.backingId}`)).toContain(overlay.upper());
  const file = { ...opened, isWriting, content };
  files.push(file);
  return file;
}

async function read({ node, fh, backingId }: Opened): Promise<Buffer> {
  if (backingId !== undefined) return readFileSync(`/proc/self/fd/${backingId}`);
  const target = Buffer.alloc(LARGE.length * 2);
  return target.subarray(0, await overlay.fs.filesystem.read(node, fh, target, 0, overlay.fs.ctx));
}

function close(file: Opened): void {
  files.splice(files.indexOf(file), 1);
  overlay.fs.filesystem.release(file.fh);
}

function forgetUnused(): void {
  for (const [node, count] of references) {
    if (files.some((file) => file.node === node)) continue;
    references.delete(node);
    overlay.fs.filesystem.forget(node, count);
    for (const [name, known] of nodes) if (known === node) nodes.delete(name);
  }
}

/** Puts text into what a file is to hold. */
function expectText(content: { bytes: Buffer }, text: Buffer, at: number): void {
  const bytes = Buffer.alloc(Math.max(content.bytes.length, at + text.length));
  content.bytes.copy(bytes);
  text.copy(bytes, at);
  content.bytes = bytes;
}

async function change(name: string, content: { bytes: Buffer }): Promise<void> {
  const { filesystem, ctx } = overlay.fs;
  const spare = `spare-${below(SPARE_NAMES)}`;
  const file = files[below(files.length)];
  switch (below(7)) {
    case 0:
      await open(name, content, true);
      return;
    case 1:
      if (file !== undefined) close(file);
      return;
    case 2: {
      const size = LARGE.length + below(100) - 50;
      const bytes = Buffer.alloc(size);
      content.bytes.copy(bytes);
      content.bytes = bytes;
      await use(name, async (node) => filesystem.setattr(node, { size }, ctx));
      return;
    }
    case 3: {
      if (contents.has(spare)) return;
      const entry = await use(name, async (node) => filesystem.link(node, 1, spare, ctx));
      remember(spare, entry.node ?? entry.attributes.ino);
      contents.set(spare, content);
      return;
    }
    case 4:
      forgetUnused();
      return;
    default: {
      if (file?.isWriting !== true || file.backingId !== undefined) return;
      const text = Buffer.from(`text ${below(1000)}`);
      const at = below(1000);
      expectText(file.content, text, at);
      await filesystem.write(file.node, file.fh, text, at, 0, ctx);
    }
  }
}

test.each(SEEDS)(
  'readers by name see what was written, and nothing is written to the store (seed %i)',
  async (number) => {
    random = createRandom(number);
    layer = createMemoryLayer(seed, { delaySeed: number });
    overlay = new UpperOverlay(seed, { notifier: kernel, wrap: () => layer });
    for (const name of Object.keys(seed)) contents.set(name, { bytes: LARGE });
    for (let step = 0; step < STEPS; step++) {
      const [name, content] = [...contents][below(contents.size)] as [string, { bytes: Buffer }];
      // Somebody opens the file while it is changed.
      await Promise.all([open(name, content, false), change(name, content)]);
      const reader = await open(name, content, false);
      expect((await read(reader)).equals(content.bytes)).toBe(true);
      close(reader);
    }
  },
);
