// Which attributes a mount's files have, as its attribute files come, change and go.
import { writeFileSync } from 'node:fs';
import { afterEach, expect, test, vi } from 'vitest';
import type { Layer } from '../../../../src/layers/layer.ts';
import { ATTRIBUTE_FILE_READ_MAX } from '../../../../src/mount/lfs/attribute-files.ts';
import { UpstreamError } from '../../../../src/upstream/upstream-error.ts';
import { ErrnoError } from '../../../../src/util/errno.ts';
import { seedFile, seedSymlink, type SeedTree } from '../../../support/seed-tree.ts';
import { createRandom } from '../../../support/random.ts';
import { BIN, POINTER_SIZED, TrackerStage, type TrackerStageOptions } from './tracker-stage.ts';

let stage: TrackerStage;
afterEach(() => stage.dispose());

function open(seed: SeedTree, options: TrackerStageOptions = {}): TrackerStage {
  stage = new TrackerStage(seed, options);
  return stage;
}

const TREE: SeedTree = {
  '.gitattributes': BIN,
  'a.bin': POINTER_SIZED,
  'large.bin': seedFile('x'.repeat(5000)),
  'sub/b.bin': POINTER_SIZED,
  'sub/c.dat': POINTER_SIZED,
  'sub/deep/.gitattributes': seedFile('*.bin -filter\n*.dat filter=lfs\n'),
  'sub/deep/d.bin': POINTER_SIZED,
  'sub/deep/d.dat': POINTER_SIZED,
  'other/.libra_attributes': BIN,
  'other/e.bin': POINTER_SIZED,
};

test('the repository’s files are read on the way down, also when they come later', async () => {
  open(TREE, { delaySeed: 7 });
  expect(stage.tracker.source.knownRules('sub/deep')).toBeUndefined();
  expect(await stage.isLower('sub/deep/d.dat')).toBe(true);
  expect(await stage.isLower('sub/deep/d.bin')).toBe(false);
  expect(await stage.isLower('sub/b.bin')).toBe(true);
  const known = stage.tracker.source.knownRules('sub/deep');
  expect(known).toBeDefined();
  expect(stage.tracker.source.knownRules('sub/deep')).toBe(known);
  expect(stage.tracker.knownMergedRules('sub/deep')).toBe(known);
});

test('a folder without attribute files has the very rules of the folder above', async () => {
  open(TREE);
  const root = await stage.tracker.source.rules('');
  expect(await stage.tracker.source.rules('sub')).toBe(root);
});

test('a changed file counts before the write returns, and tells of the files that it concerns', async () => {
  open(TREE);
  expect(await stage.isLower('sub/b.bin')).toBe(true);
  const fh = await stage.overlay.fs.open('.gitattributes', 1);
  await stage.overlay.fs.write(fh, '*.dat filter=lfs\n');
  expect(stage.tracker.source.knownRules('')?.of('x.dat').isLfs).toBe(true);
  expect(stage.tracker.source.knownRules('')?.of('x.bin').isLfs).toBe(false);
  stage.overlay.fs.close(fh);
  expect(await stage.isLower('sub/b.bin')).toBe(false);
  // In folders that nobody asked about, all that may be pointers; `large.bin` is none by its size.
  expect(stage.told[0]?.folder).toBe('');
  expect(stage.told[0]?.concerned).toContain('a.bin');
  expect(stage.told[0]?.concerned).toContain('sub/b.bin');
  expect(stage.told[0]?.concerned).toContain('sub/c.dat');
  expect(stage.told[0]?.concerned).not.toContain('large.bin');
});

test('a file that is emptied and written again never counts as empty, and one that stays empty does', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  try {
    open(TREE, { emptiedMs: 100 });
    const { fs } = stage.overlay;
    expect(await stage.isLower('sub/b.bin')).toBe(true);
    const isKnown = (name: string): boolean | undefined =>
      stage.tracker.source.knownRules('')?.of(name).isLfs;
    await fs.setattr('.gitattributes', { size: 0 });
    expect([isKnown('x.bin'), stage.told]).toEqual([true, []]);
    const fh = await fs.open('.gitattributes', 1);
    await fs.write(fh, '*.dat filter=lfs\n');
    fs.close(fh);
    expect([isKnown('x.bin'), isKnown('x.dat'), stage.told.length]).toEqual([false, true, 1]);
    vi.advanceTimersByTime(1000);
    expect(stage.told.length).toBe(1);
    await fs.setattr('.gitattributes', { size: 0 });
    expect(isKnown('x.dat')).toBe(true);
    vi.advanceTimersByTime(100);
    expect([isKnown('x.dat'), stage.told.length]).toEqual([false, 2]);
  } finally {
    vi.useRealTimers();
  }
});

test('files that read as before are not told of', async () => {
  open(TREE);
  for (const folder of ['', 'sub', 'sub/deep', 'other']) await stage.tracker.source.rules(folder);
  await stage.write('sub/.gitattributes', 'c.* filter=lfs\n');
  await vi.waitFor(() => expect(stage.tracker.source.knownRules('sub')?.of('c.dat').isLfs).toBe(true));
  await vi.waitFor(() => expect(stage.told.flatMap(({ concerned }) => concerned)).toContain('sub/c.dat'));
  const concerned = new Set(stage.told.flatMap((told) => told.concerned));
  expect(concerned).not.toContain('sub/b.bin');
  expect(concerned).not.toContain('a.bin');
});

test('a removed file counts no more, and comes back with its content', async () => {
  open(TREE);
  expect(await stage.isLower('sub/deep/d.dat')).toBe(true);
  await stage.overlay.fs.unlink('sub/deep/.gitattributes');
  expect(await stage.isLower('sub/deep/d.dat')).toBe(false);
  expect(await stage.isLower('sub/deep/d.bin')).toBe(true);
  await stage.write('sub/deep/.gitattributes', '*.dat filter=lfs\n');
  expect(await stage.isLower('sub/deep/d.dat')).toBe(true);
});

test('what was there before the tracker was made counts as well', async () => {
  open(TREE);
  writeFileSync(stage.overlay.upper('.gitattributes'), '*.dat filter=lfs\n');
  expect(await stage.isLower('sub/c.dat')).toBe(true);
  expect(await stage.isLower('a.bin')).toBe(false);
});

test('metadata alone changes nothing', async () => {
  open(TREE);
  await stage.overlay.fs.setattr('.gitattributes', { mode: 0o600 });
  expect(await stage.isLower('sub/b.bin')).toBe(true);
});

test('a file that is moved counts where it is', async () => {
  open(TREE);
  expect(await stage.isLower('sub/b.bin')).toBe(true);
  await stage.overlay.fs.rename('.gitattributes', 'other/.gitattributes');
  expect(await stage.isLower('sub/b.bin')).toBe(false);
  expect(await stage.isLower('other/e.bin')).toBe(true);
});

test('a file that takes the place of another is told of in both folders', async () => {
  open(TREE);
  for (const folder of ['', 'sub', 'sub/deep', 'other']) await stage.tracker.source.rules(folder);
  await stage.overlay.fs.rename('sub/deep/.gitattributes', '.gitattributes');
  const concerned = new Set(stage.told.flatMap((told) => told.concerned));
  expect([...concerned].sort()).toEqual(['a.bin', 'other/e.bin', 'sub/b.bin', 'sub/c.dat']);
  expect(await stage.isLower('sub/deep/d.dat')).toBe(true);
});

test('new folders have the rules of those above and of their own file', async () => {
  open(TREE);
  await stage.overlay.fs.mkdir('new');
  expect(await stage.isMerged('new/x.bin')).toBe(true);
  await stage.write('new/.gitattributes', '*.bin -filter\n*.raw filter=lfs\n');
  expect(await stage.isMerged('new/x.bin')).toBe(false);
  expect(await stage.isMerged('new/x.raw')).toBe(true);
  await stage.overlay.fs.rename('new', 'newer');
  expect(await stage.isMerged('newer/x.raw')).toBe(true);
  expect(await stage.isMerged('new/x.raw')).toBe(false);
  expect(stage.tracker.knownMergedRules('newer')?.of('x.raw').isLfs).toBe(true);
});

test('a moved folder is marked by where it is, its lower files by where they were', async () => {
  open({ ...TREE, 'plain/.gitattributes': seedFile('* -filter\n'), 'plain/f': POINTER_SIZED });
  await stage.overlay.fs.rename('sub', 'plain/sub');
  expect(await stage.isLower('sub/b.bin')).toBe(true);
  expect(await stage.isLower('sub/deep/d.dat')).toBe(true);
  expect(await stage.isMerged('plain/sub/b.bin')).toBe(false);
  expect(await stage.isMerged('plain/sub/deep/d.dat')).toBe(true);
});

test('a removed folder takes its attributes along, and so does one that takes its place', async () => {
  open(TREE);
  expect(await stage.isMerged('sub/deep/d.dat')).toBe(true);
  await stage.overlay.fs.remove('sub');
  await stage.overlay.fs.mkdir('sub');
  await stage.overlay.fs.mkdir('sub/deep');
  expect(await stage.isMerged('sub/deep/d.dat')).toBe(false);
  expect(await stage.isMerged('sub/deep/d.bin')).toBe(true);
});

test('Libra’s file counts in the root alone, below the root’s own', async () => {
  open({
    ...TREE,
    '.gitattributes': seedFile('no.dat -filter\n'),
    '.libra_attributes': seedFile('*.dat filter=lfs diff=lfs merge=lfs -text\n'),
  });
  expect(await stage.isLower('sub/c.dat')).toBe(true);
  expect(await stage.isLower('sub/no.dat')).toBe(false);
  expect(await stage.isLower('other/e.bin')).toBe(false);
  await stage.overlay.fs.unlink('.libra_attributes');
  expect(await stage.isLower('sub/c.dat')).toBe(false);
});

test('files of the folders above the mount count, and are asked for once', async () => {
  const above = vi.fn(async () => [
    { gitattributes: Buffer.from('/project/a/sub/*.dat filter=lfs\n') },
    { gitattributes: Buffer.from('/a/other/* filter=lfs\n') },
  ]);
  open(TREE, { rootPath: 'project/a', above });
  expect(await stage.isLower('sub/c.dat')).toBe(true);
  expect(await stage.isLower('other/e.bin')).toBe(true);
  expect(await stage.isLower('other/e.bin')).toBe(true);
  await stage.write('other/.gitattributes', '');
  expect(await stage.isLower('c.dat')).toBe(false);
  expect(above).toHaveBeenCalledTimes(1);
});

test('who gives up does not wait for the files above', async () => {
  open(TREE, { rootPath: 'a', above: () => new Promise(() => undefined) });
  const caller = new AbortController();
  const asked = Promise.resolve(stage.tracker.source.rules('', { signal: caller.signal }));
  caller.abort();
  await expect(asked).rejects.toMatchObject({ code: 'EINTR' });
});

test('a file that is a symlink does not count, in the repository or as an edit', async () => {
  open({ ...TREE, 'sub/.gitattributes': seedSymlink('../other/.libra_attributes') });
  expect(await stage.isLower('sub/c.dat')).toBe(false);
  await stage.overlay.fs.symlink('.gitattributes', 'other/.gitattributes');
  expect(await stage.isLower('other/e.bin')).toBe(true);
});

test('a folder of that name does not count', async () => {
  open({ 'sub/.gitattributes/x': BIN, 'sub/a.bin': POINTER_SIZED });
  expect(await stage.isLower('sub/a.bin')).toBe(false);
});

test('a file that is too large does not count, and there is one warning', async () => {
  open({ ...TREE, '.gitattributes': seedFile(`*.bin filter=lfs\n${'#'.repeat(ATTRIBUTE_FILE_READ_MAX)}`) });
  expect(await stage.isLower('sub/b.bin')).toBe(false);
  expect(await stage.isLower('other/e.bin')).toBe(false);
  expect(stage.warnings).toEqual([expect.stringContaining('.gitattributes is larger than 4 MiB')]);
});

test('rubbish breaks nothing', async () => {
  const rubbish = Buffer.from(Array.from({ length: 5000 }, (_, index) => (index * 7919) % 256));
  open({ ...TREE, 'sub/.gitattributes': seedFile(rubbish) });
  expect(await stage.isLower('sub/b.bin')).toBe(true);
});

function failing(error: Error): (layer: Layer) => Layer {
  return (layer) => ({
    ...layer,
    open: (entry, request) =>
      entry.path === 'sub/deep/.gitattributes' ? Promise.reject(error) : layer.open(entry, request),
  });
}

test('a file that is lost counts as empty, with a warning', async () => {
  open(TREE, { plain: failing(new UpstreamError('not-found', 'the server has lost it')) });
  expect(await stage.isLower('sub/deep/d.bin')).toBe(true);
  expect(stage.warnings).toEqual([
    'sub/deep/.gitattributes cannot be read: the server has lost it; its attributes do not count',
  ]);
});

test.each([new UpstreamError('unreachable', 'no route'), new ErrnoError('EINTR')])(
  'while the server is away the rules are not guessed: %s',
  async (error) => {
    open(TREE, { plain: failing(error) });
    await expect(stage.isLower('sub/deep/d.bin')).rejects.toBe(error);
    expect(stage.tracker.source.knownRules('sub/deep')).toBeUndefined();
    expect(await stage.isLower('sub/b.bin')).toBe(true);
  },
);

test('locks matter once a file speaks of them, and the policy hears of it', async () => {
  open(TREE);
  await stage.isLower('sub/deep/d.bin');
  expect(stage.tracker.mayHaveLockable).toBe(false);
  await stage.write('sub/.gitattributes', '*.psd lockable\n');
  await vi.waitFor(() => expect(stage.policyChanges).toBeGreaterThan(0));
  expect(stage.tracker.mayHaveLockable).toBe(true);
  expect(stage.tracker.knownMergedRules('sub')?.of('a.psd').isLockable).toBe(true);
});

test('an edit while rules are being found is not lost', async () => {
  for (let seed = 1; seed <= 20; seed++) {
    open(TREE, { delaySeed: seed });
    const asked = [stage.isLower('sub/deep/d.dat'), stage.isMerged('sub/b.bin')];
    await stage.write('.gitattributes', '*.raw filter=lfs\n');
    await Promise.all(asked);
    expect(await stage.isLower('sub/b.bin')).toBe(false);
    expect(await stage.isLower('sub/x.raw')).toBe(true);
    if (seed < 20) await stage.dispose();
  }
});

test('each change is told of before its write returns', async () => {
  open(TREE);
  for (const folder of ['', 'sub', 'sub/deep', 'other']) await stage.tracker.source.rules(folder);
  const fh = await stage.overlay.fs.open('.gitattributes', 1);
  for (let round = 0; round < 50; round++) {
    stage.told.length = 0;
    await stage.overlay.fs.write(fh, round % 2 === 0 ? '*.dat' : '*.bin');
    expect(stage.told.flatMap(({ concerned }) => concerned)).toContain('sub/c.dat');
    expect(stage.tracker.source.knownRules('')?.of('c.dat').isLfs).toBe(round % 2 === 0);
    await stage.tracker.source.rules('sub');
  }
  stage.overlay.fs.close(fh);
});

test('when telling takes long, changes are told of together', async () => {
  open(TREE);
  let told = 0;
  const hold = (): void => {
    told++;
    const end = performance.now() + 300;
    while (performance.now() < end);
  };
  stage.tracker.attach({
    policyChanged: () => undefined,
    policyChangedEverywhere: () => undefined,
    lowerChanged: hold,
  });
  const fh = await stage.overlay.fs.open('.gitattributes', 1);
  for (let round = 0; round < 20; round++) await stage.overlay.fs.write(fh, `*.x${round % 10} filter=lfs\n`);
  stage.overlay.fs.close(fh);
  const atOnce = told;
  expect(atOnce).toBeGreaterThanOrEqual(2);
  expect(atOnce).toBeLessThan(20);
  expect((await stage.tracker.source.rules('')).of('a.x9').isLfs).toBe(true);
  await vi.waitFor(() => expect(told).toBeGreaterThan(atOnce), { timeout: 20_000 });
});

const FOLDERS = ['a', 'b', 'a/c', 'b/c', 'a/c/d', 'b/d', 'a/b'];
const NEW_FOLDERS = ['n', 'a/n', 'b/n', 'n/c', 'a/n/d', 'b/d/n'];
const ALL_FOLDERS = ['', ...FOLDERS, ...NEW_FOLDERS];
const CONTENTS = ['*.bin filter=lfs\n', '*.bin -filter\n', 'c/*.dat filter=lfs\n', '**/d/* filter=lfs\n', ''];

/** One random change; those that cannot be are none. */
async function changeAtRandom(random: () => number): Promise<void> {
  const { fs } = stage.overlay;
  const pick = (list: readonly string[]): string => list[Math.floor(random() * list.length)] ?? '';
  const file = `${pick(ALL_FOLDERS)}/.gitattributes`.replace(/^\//u, '');
  const draw = random();
  try {
    if (draw < 0.15) await stage.write(file, pick(CONTENTS));
    else if (draw < 0.2) await fs.unlink(file);
    else if (draw < 0.25) await fs.setattr(file, { mode: 0o600 });
    else if (draw < 0.3) await fs.rename(file, `${pick(FOLDERS)}/.gitattributes`);
    else if (draw < 0.6) await fs.rename(pick(ALL_FOLDERS), pick(NEW_FOLDERS));
    else if (draw < 0.75) await fs.rename(pick(NEW_FOLDERS), pick(FOLDERS));
    else if (draw < 0.95) await fs.mkdir(pick(ALL_FOLDERS));
    else await fs.remove(pick(NEW_FOLDERS));
  } catch (error) {
    if (!(error instanceof ErrnoError)) throw error;
  }
}

test('whatever is changed, what is known is what one who looks anew would find', async () => {
  const seed: SeedTree = Object.fromEntries(
    ['', ...FOLDERS].flatMap((folder, index) => {
      const at = (name: string): string => (folder === '' ? name : `${folder}/${name}`);
      const own = index % 3 > 0 ? [[at('.gitattributes'), seedFile(CONTENTS[index % 5] ?? '')]] : [];
      return [...own, [at('x.bin'), POINTER_SIZED]] as [string, SeedTree[string]][];
    }),
  );
  for (let run = 0; run < 4; run++) {
    const random = createRandom(run);
    open(seed);
    for (let round = 0; round < 50; round++) {
      await changeAtRandom(random);
      const fresh = stage.another();
      for (const folder of ALL_FOLDERS) {
        const now = [await stage.tracker.mergedRules(folder), await stage.tracker.source.rules(folder)];
        const then = [await fresh.mergedRules(folder), await fresh.source.rules(folder)];
        const marks = (list: typeof now): boolean[] =>
          list.flatMap((rules) => ['x.bin', 'x.dat', 'x'].map((name) => rules.of(name).isLfs));
        expect([run, round, folder, ...marks(now)]).toEqual([run, round, folder, ...marks(then)]);
      }
      fresh.close();
    }
    if (run < 3) await stage.dispose();
  }
});

test('paths of two thousand folders are no problem', async () => {
  open(TREE);
  const deep = Array.from({ length: 2000 }, () => 'd').join('/');
  expect(await stage.isMerged(`${deep}/x.bin`)).toBe(true);
});

test('after it was closed nothing is told any more', async () => {
  open(TREE);
  stage.tracker.close();
  await stage.write('.gitattributes', '');
  expect(stage.told).toEqual([]);
});
