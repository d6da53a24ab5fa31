// Descriptors: none is lost, and none is used after it was closed.
import { afterEach, expect, test, vi } from 'vitest';
import { ErrnoError } from '../../../src/util/errno.ts';
import type * as Syscall from '../../../src/util/syscall.ts';
import { outcome } from '../../support/filesystem-assertions.ts';
import { openDescriptorsBelow } from '../../support/memory-layer.ts';
import { UpperOverlay } from '../../support/upper-overlay.ts';

const { failing } = vi.hoisted(() => ({ failing: { chmod: false } }));
vi.mock('../../../src/util/syscall.ts', async (load) => {
  const real = await load<typeof Syscall>();
  const chmodAt: typeof real.chmodAt = (...args) => {
    if (failing.chmod) throw new ErrnoError('EDQUOT');
    real.chmodAt(...args);
  };
  return { ...real, chmodAt };
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
  const result = await outcome(() => overlay.fs.create('new'));
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
