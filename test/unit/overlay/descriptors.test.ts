// System calls that fail: nothing is lost or left behind. Descriptors: none is used after it was closed.
import { afterEach, expect, test, vi } from 'vitest';
import { ErrnoError } from '../../../src/util/errno.ts';
import type * as Syscall from '../../../src/util/syscall.ts';
import { outcome } from '../../support/filesystem-assertions.ts';
import { openDescriptorsBelow } from '../../support/memory-layer.ts';
import { seedFile } from '../../support/seed-tree.ts';
import { UpperOverlay } from '../../support/upper-overlay.ts';

const { failing } = vi.hoisted(() => ({ failing: { chmod: false, rename: '' } }));
vi.mock('../../../src/util/syscall.ts', async (load) => {
  const real = await load<typeof Syscall>();
  const chmodAt: typeof real.chmodAt = (...args) => {
    if (failing.chmod) throw new ErrnoError('EDQUOT');
    real.chmodAt(...args);
  };
  const renameAt: typeof real.renameAt = (dirfd, name, ...rest) => {
    if (failing.rename === name) throw new ErrnoError('EDQUOT');
    real.renameAt(dirfd, name, ...rest);
  };
  return { ...real, chmodAt, renameAt };
});

const DEPTH = 650;
/** More folders than are kept open. */
const OTHERS = 1100;
let overlay: UpperOverlay;
afterEach(() => overlay.dispose());

test('a file that cannot be given to its owner is neither there nor open', async () => {
  overlay = new UpperOverlay({});
  await overlay.fs.writeFile('before', '');
  const before = openDescriptorsBelow(overlay.path()).length;
  failing.chmod = true;
  // A mode that a mask would narrow, or a set-id bit, has to be set after making the file.
  const result = await outcome(() => overlay.fs.create('new', { mode: 0o2666 }));
  failing.chmod = false;
  expect(result).toBe('EDQUOT');
  expect(openDescriptorsBelow(overlay.path()).length).toBe(before);
  expect(await overlay.fs.names('')).toEqual(['before']);
});

test('a rename into a folder deeper than there are descriptors to keep finds its way', async () => {
  overlay = new UpperOverlay({});
  const { filesystem, ctx } = overlay.fs;
  let deep = 1;
  for (let depth = 0; depth < DEPTH; depth++) {
    deep = overlay.fs.count(await filesystem.mkdir(deep, 'd', 0o755, ctx)).ino;
  }
  const source = await overlay.fs.mkdir('source');
  overlay.fs.count(await filesystem.symlink(source.ino, 'link', Buffer.from('target'), ctx));
  for (let index = 0; index < OTHERS; index++) {
    const other = await overlay.fs.mkdir(`other-${index}`);
    await filesystem.fsyncdir(other.ino, true, ctx);
  }
  await filesystem.rename(source.ino, 'link', deep, 'moved', 0, ctx);
  const { ino } = overlay.fs.count(await filesystem.lookup(deep, 'moved', ctx));
  expect((await filesystem.readlink(ino, ctx)).toString()).toBe('target');
}, 60_000);

test('a folder that a rename could not replace is still there, empty, and takes new files', async () => {
  overlay = new UpperOverlay({ 'from/file': seedFile('1'), 'to/gone': seedFile('2') });
  await overlay.fs.unlink('to/gone');
  const before = await overlay.fs.stat('to');
  failing.rename = 'from';
  const result = await outcome(() => overlay.fs.rename('from', 'to'));
  failing.rename = '';
  expect(result).toBe('EDQUOT');
  expect(await overlay.fs.stat('to')).toMatchObject({ ino: before.ino, mode: before.mode, uid: before.uid });
  expect(await overlay.fs.names('to')).toEqual([]);
  await overlay.fs.writeFile('to/new', 'new');
  await overlay.reopen();
  expect(await overlay.fs.stat('to')).toMatchObject({ ino: before.ino, mode: before.mode });
  expect(await overlay.fs.names('to')).toEqual(['new']);
  expect(await overlay.fs.names('from')).toEqual(['file']);
});
