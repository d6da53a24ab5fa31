// What the overlay leaves in the upper folder: overlayfs's format, as other programs read it.
import { lstatSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Filesystem } from '../../../src/fuse/filesystem.ts';
import { createOverlay } from '../../../src/overlay/overlay.ts';
import { closeFd, getXattrAt, listXattrAt, O_PATH, openPath } from '../../../src/util/syscall.ts';
import { createCallContext } from '../../support/call-context.ts';
import { createMemoryLayer, type MemoryLayer } from '../../support/memory-layer.ts';
import { seedFile } from '../../support/seed-tree.ts';

const namespace = process.getuid?.() === 0 ? 'trusted.overlay.' : 'user.overlay.';
const ctx = createCallContext();
let folder: string;
let layer: MemoryLayer;
let overlay: Filesystem;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'scorpio-test-format-'));
  layer = createMemoryLayer({ 'dir/file': seedFile('lower content'), top: seedFile('top') });
  overlay = createOverlay({
    layer,
    upperDir: upper(),
    workDir: join(folder, 'work'),
    uid: process.getuid?.() ?? 0,
    gid: process.getgid?.() ?? 0,
  });
});

afterEach(async () => {
  await overlay.destroy();
  layer.dispose();
  rmSync(folder, { recursive: true, force: true });
});

const upper = (...names: string[]): string => join(folder, 'upper', ...names);

function attribute(path: string, key: string): string | undefined {
  const fd = openPath(path, O_PATH);
  try {
    return getXattrAt(fd, '', namespace + key)?.toString('latin1');
  } finally {
    closeFd(fd);
  }
}

async function ino(...names: string[]): Promise<number> {
  let at = 1;
  for (const name of names) at = (await overlay.lookup(at, name, ctx)).attributes.ino;
  return at;
}

function isWhiteout(path: string): boolean {
  const stat = lstatSync(path);
  return stat.isCharacterDevice() && stat.rdev === 0;
}

test('a deleted file leaves a whiteout', async () => {
  await overlay.unlink(1, 'top', ctx);
  expect(isWhiteout(upper('top'))).toBe(true);
});

test('a deleted folder leaves a whiteout, and one made in its place is opaque', async () => {
  await overlay.unlink(await ino('dir'), 'file', ctx);
  expect(isWhiteout(upper('dir', 'file'))).toBe(true);
  await overlay.rmdir(1, 'dir', ctx);
  expect(isWhiteout(upper('dir'))).toBe(true);
  await overlay.mkdir(1, 'dir', 0o755, ctx);
  expect(lstatSync(upper('dir')).isDirectory()).toBe(true);
  expect(attribute(upper('dir'), 'opaque')).toBe('y');
});

test('a renamed folder leaves a whiteout and says where it came from', async () => {
  await overlay.rename(1, 'dir', 1, 'moved', 0, ctx);
  expect(isWhiteout(upper('dir'))).toBe(true);
  expect(attribute(upper('moved'), 'redirect')).toBe('/dir');
  expect(readdirSync(upper('moved'))).toEqual([]);
});

test('changed metadata leave a hole of the full size, and the content below', async () => {
  await overlay.setattr(await ino('dir', 'file'), { mode: 0o600 }, ctx);
  const stat = lstatSync(upper('dir', 'file'));
  expect(stat.size).toBe('lower content'.length);
  expect(stat.mode & 0o7777).toBe(0o600);
  expect(attribute(upper('dir', 'file'), 'metacopy')).toBe('');
  expect(attribute(upper('dir', 'file'), 'redirect')).toBeUndefined();
});

test('a renamed file says where its content is', async () => {
  await overlay.rename(await ino('dir'), 'file', 1, 'elsewhere', 0, ctx);
  expect(attribute(upper('elsewhere'), 'metacopy')).toBe('');
  expect(attribute(upper('elsewhere'), 'redirect')).toBe('/dir/file');
});

test('a written file has its content, the mark is gone, and its origin is remembered', async () => {
  await overlay.rename(await ino('dir'), 'file', 1, 'elsewhere', 0, ctx);
  const file = await ino('elsewhere');
  const { fh } = await overlay.open(file, 2, ctx);
  await overlay.write(file, fh, Buffer.from('UPPER'), 0, 0, ctx);
  overlay.release(fh);
  expect(readFileSync(upper('elsewhere'), 'utf8')).toBe('UPPER content');
  expect(attribute(upper('elsewhere'), 'metacopy')).toBeUndefined();
  expect(attribute(upper('elsewhere'), 'redirect')).toBeUndefined();
  expect(attribute(upper('elsewhere'), 'scorpio')).toMatch(/^\d+ [0-9a-f]{40}$/);
});

test('a new folder that covers nothing carries no attribute', async () => {
  await overlay.mkdir(1, 'new', 0o755, ctx);
  const fd = openPath(upper('new'), O_PATH);
  expect(listXattrAt(fd, '')).toEqual([]);
  closeFd(fd);
});

test('the work folder is empty after every operation', async () => {
  await overlay.unlink(1, 'top', ctx);
  await overlay.mkdir(1, 'top', 0o755, ctx);
  await overlay.rename(1, 'dir', 1, 'moved', 0, ctx);
  await overlay.setattr(await ino('moved', 'file'), { size: 3 }, ctx);
  expect(readdirSync(join(folder, 'work'))).toEqual([]);
});

test('what a crash left in the work folder is removed at the next start', async () => {
  await overlay.destroy();
  mkdirSync(join(folder, 'work', '#1-1', 'deep'), { recursive: true });
  overlay = createOverlay({ layer, upperDir: upper(), workDir: join(folder, 'work'), uid: 0, gid: 0 });
  expect(readdirSync(join(folder, 'work'))).toEqual([]);
});

test('folders on two filesystems are refused with the reason', () => {
  const options = { layer, upperDir: upper(), workDir: '/dev/shm/scorpio-test-work', uid: 0, gid: 0 };
  try {
    expect(() => createOverlay(options)).toThrow(/must be on one filesystem/);
  } finally {
    rmSync('/dev/shm/scorpio-test-work', { recursive: true, force: true });
  }
});

test('a second overlay on the same folders is refused while the first is open', async () => {
  const options = { layer, upperDir: upper(), workDir: join(folder, 'work'), uid: 0, gid: 0 };
  expect(() => createOverlay(options)).toThrow(/in use by another mount/);
  await overlay.destroy();
  overlay = createOverlay(options);
});
