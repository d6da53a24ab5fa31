// Which mount a path lies in.
import { mkdirSync, realpathSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { findMount } from '../../../src/cli/find-mount.ts';
import { makeTestFolder } from '../../support/test-folder.ts';

let folder: string;
const at = (...names: string[]): string => join(folder, ...names);
const mount = (mountpoint: string): { mountpoint: string } => ({ mountpoint });

beforeEach(() => {
  folder = realpathSync(makeTestFolder());
  mkdirSync(at('real/mnt/inner'), { recursive: true });
});
afterEach(() => rmSync(folder, { recursive: true }));

test('by its text, the innermost first', async () => {
  const mounts = [mount(at('real/mnt')), mount(at('real/mnt/inner')), mount(at('real/m'))];
  expect(await findMount(at('real/mnt/a/../b'), mounts)).toEqual({ mount: mounts[0], inside: 'b' });
  expect(await findMount(at('real/mnt/inner/x/y'), mounts)).toEqual({ mount: mounts[1], inside: 'x/y' });
  expect(await findMount(at('real/mnt'), mounts)).toEqual({ mount: mounts[0], inside: '' });
  expect(await findMount(at('real/mnt2'), mounts)).toBeUndefined();
});

test('through symbolic links on the way to it, and not inside it', async () => {
  symlinkSync('real', at('way'));
  symlinkSync(at('way/mnt/deep'), at('shortcut'));
  symlinkSync('/etc', at('real/mnt/link'));
  for (const point of [at('real/mnt'), at('way/mnt')]) {
    const mounts = [mount(point)];
    expect(await findMount(at('way/mnt/src'), mounts)).toEqual({ mount: mounts[0], inside: 'src' });
    expect(await findMount(at('real/mnt/src'), mounts)).toEqual({ mount: mounts[0], inside: 'src' });
    expect(await findMount(at('shortcut/x'), mounts)).toEqual({ mount: mounts[0], inside: 'deep/x' });
    expect(await findMount(at('real/mnt/link/passwd'), mounts)).toMatchObject({ inside: 'link/passwd' });
  }
});

test('a loop of links leads nowhere', async () => {
  symlinkSync('loop', at('loop'));
  expect(await findMount(at('loop/x'), [mount(at('real/mnt'))])).toBeUndefined();
});
