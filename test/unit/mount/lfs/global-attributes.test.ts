// Patterns that hold in all mounts: their file, and who hears of them.
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { createGlobalAttributes } from '../../../../src/mount/lfs/global-attributes.ts';
import { MountError } from '../../../../src/mount/mount-error.ts';
import { plainEnvironment } from '../../../support/run-program.ts';
import { makeTestFolder } from '../../../support/test-folder.ts';
import { POINTER_SIZED, TrackerStage } from './tracker-stage.ts';

let folder: string;
let file: string;
beforeEach(() => {
  folder = makeTestFolder();
  file = join(folder, 'lfs/attributes');
});
afterEach(() => rmSync(folder, { recursive: true }));

test('patterns are added once, kept, and removed as they were written', async () => {
  const attributes = createGlobalAttributes(file);
  expect(attributes.content).toBeUndefined();
  expect(await attributes.track(['*.bin', '*.b', '*.bin'])).toEqual(['*.bin', '*.b']);
  expect(await attributes.track(['*.b', 'a b/*.psd'])).toEqual(['*.bin', '*.b', 'a b/*.psd']);
  const tail = 'filter=lfs diff=lfs merge=lfs -text';
  expect(readFileSync(file, 'utf8')).toBe(`*.bin ${tail}\n*.b ${tail}\n"a b/*.psd" ${tail}\n`);
  expect(createGlobalAttributes(file).list()).toEqual(['*.bin', '*.b', 'a b/*.psd']);
  // Libra would take *.bin away with *.b.
  expect(await attributes.untrack(['*.b', 'never'])).toEqual(['*.bin', 'a b/*.psd']);
  expect(await attributes.untrack(['*.bin', 'a b/*.psd'])).toEqual([]);
  expect(attributes.content).toBeUndefined();
  expect(readdirSync(join(folder, 'lfs'))).toEqual(['attributes']);
});

test('what people wrote into the file stays, and counts', async () => {
  mkdirSync(join(folder, 'lfs'));
  writeFileSync(file, '# ours\n[attr]big filter=lfs\n*.raw big\n*.mov filter=lfs lockable\n');
  const attributes = createGlobalAttributes(file);
  expect(attributes.list()).toEqual(['*.mov']);
  await attributes.track(['*.bin']);
  await attributes.untrack(['*.mov']);
  expect(readFileSync(file, 'utf8')).toMatch(/^# ours\n\[attr\]big filter=lfs\n\*\.raw big\n\*\.bin /u);
});

test('requests at the same time do not lose each other’s patterns', async () => {
  const attributes = createGlobalAttributes(file);
  const patterns = Array.from({ length: 20 }, (_, index) => `*.x${index}`);
  await Promise.all(patterns.map((pattern) => attributes.track([pattern])));
  expect(createGlobalAttributes(file).list()).toEqual(patterns);
});

test.each(['', ' ', '!a', 'a\nb', 'a\0', '[attr]x', 'dir/', 'x'.repeat(1001)])(
  'a pattern that makes no sense is refused: %j',
  async (pattern) => {
    const attributes = createGlobalAttributes(file);
    await expect(attributes.track(['*.bin', pattern])).rejects.toThrow(MountError);
    expect(attributes.list()).toEqual([]);
  },
);

test('a pattern reads in the file as it was given, to git as well', async () => {
  const patterns = ['*.bin', 'a b', '"quoted"', 'back\\*slash', '#hash', '[a-c]x', 'ä.bin', 'a\\ b"c'];
  const attributes = createGlobalAttributes(file);
  expect(await attributes.track(patterns)).toEqual(patterns);
  expect(createGlobalAttributes(file).list()).toEqual(patterns);
  const repository = join(folder, 'repository');
  const env = { ...plainEnvironment(), HOME: folder };
  execFileSync('git', ['init', '-q', repository], { env });
  const asked = ['a b', '"quoted"', 'back*slash', '#hash', 'bx', 'ä.bin'];
  const said = execFileSync(
    'git',
    ['-c', `core.attributesFile=${file}`, 'check-attr', '-z', 'filter', '--', ...asked],
    { cwd: repository, env, encoding: 'utf8' },
  );
  expect(said).toBe(asked.map((path) => `${path}\0filter\0lfs\0`).join(''));
});

test('a file that cannot be written is said so, and nothing changes', async () => {
  writeFileSync(join(folder, 'lfs'), 'in the way');
  expect(() => createGlobalAttributes(file)).toThrow(file);
  rmSync(join(folder, 'lfs'));
  const attributes = createGlobalAttributes(file);
  writeFileSync(join(folder, 'lfs'), 'in the way');
  const heard = vi.fn();
  attributes.onChange(heard);
  await expect(attributes.track(['*.bin'])).rejects.toThrow('the patterns were not changed');
  expect(attributes.list()).toEqual([]);
  expect(heard).not.toHaveBeenCalled();
  rmSync(join(folder, 'lfs'));
  expect(await attributes.track(['*.bin'])).toEqual(['*.bin']);
});

test('mounts hear of them at once; what a repository says counts more', async () => {
  const global = createGlobalAttributes(file);
  const seed = { 'a.bin': POINTER_SIZED, 'sub/.gitattributes': POINTER_SIZED, 'sub/b.bin': POINTER_SIZED };
  const stage = new TrackerStage(seed, { global });
  try {
    expect(await stage.isLower('a.bin')).toBe(false);
    await global.track(['*.bin']);
    expect(stage.told).toEqual([{ folder: '', concerned: expect.arrayContaining(['a.bin', 'sub/b.bin']) }]);
    expect(await stage.isLower('a.bin')).toBe(true);
    await stage.write('sub/.gitattributes', 'b.bin -filter\n');
    expect(await stage.isLower('sub/b.bin')).toBe(false);
    await global.untrack(['*.bin']);
    expect(await stage.isLower('a.bin')).toBe(false);
    stage.tracker.close();
    stage.told.length = 0;
    await global.track(['*.bin']);
    expect(stage.told).toEqual([]);
  } finally {
    await stage.dispose();
  }
});
