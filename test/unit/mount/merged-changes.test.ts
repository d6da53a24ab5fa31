// What differs between a mount and its commit: laid over the commit's tree it gives what the mount shows.
import { closeSync, constants, readFileSync } from 'node:fs';
import fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';
import { type MergedChange, mergedChanges } from '../../../src/mount/merged-changes.ts';
import { UpperChanges } from '../../../src/overlay/upper-changes.ts';
import { walkUpper } from '../../../src/overlay/upper-walk.ts';
import { ClientModel } from '../../model/client-model.ts';
import { modelParameters, modelSeed, operationSequences, resolveOperation } from '../../model/operations.ts';
import { createMemoryLayer } from '../../support/memory-layer.ts';
import { lowerSeed, seedFile, type SeedNode, type SeedTree } from '../../support/seed-tree.ts';
import { UpperOverlay } from '../../support/upper-overlay.ts';

const DEFAULT_RUNS = 150;
const MAX_OPERATIONS = 60;
const { S_IFMT, S_IFLNK, S_IFREG } = constants;

let overlay: UpperOverlay | undefined;
afterEach(async () => {
  await overlay?.dispose();
  overlay = undefined;
});

async function changesOf(seed: SeedTree): Promise<Map<string, MergedChange>> {
  const layer = createMemoryLayer(seed);
  const found = new Map<string, MergedChange>();
  try {
    const upperDir = (overlay as UpperOverlay).upper();
    for await (const change of mergedChanges(layer, upperDir, new AbortController().signal)) {
      expect(found.has(change.path), `${change.path} comes twice`).toBe(false);
      found.set(change.path, change);
    }
    return found;
  } finally {
    layer.dispose();
  }
}

const show = (mode: number, content: () => string): string => {
  const type = mode & S_IFMT;
  if (type === S_IFREG) return `${(mode & 0o100) === 0 ? 'file' : 'program'} ${content()}`;
  return type === S_IFLNK ? 'link' : 'other';
};
const showSeed = (node: SeedNode): string => {
  if (node.kind === 'submodule') return 'submodule';
  if (node.kind === 'symlink') return 'link';
  return `${node.executable ? 'program' : 'file'} ${node.content.toString('latin1')}`;
};

function readUpper(path: string): string {
  const fd = new UpperChanges((overlay as UpperOverlay).upper()).open(path.split('/')) as number;
  try {
    return readFileSync(fd, 'latin1');
  } finally {
    closeSync(fd);
  }
}

/** The commit's files with the changes laid over them. */
function apply(seed: SeedTree, changes: ReadonlyMap<string, MergedChange>): Record<string, string> {
  const tree = new Map(Object.entries(seed).map(([path, node]) => [path, showSeed(node)]));
  for (const [path, { before, after }] of changes) {
    expect(before?.path).toBe(seed[path] === undefined ? undefined : path);
    if (after === undefined) tree.delete(path);
    else if (after.upper === undefined) {
      tree.set(path, showSeed(seed[after.lower?.path ?? ''] as SeedNode));
    } else {
      const { mode } = after.upper;
      const { lower } = after;
      const content = (): string =>
        lower === undefined ? readUpper(path) : showSeed(seed[lower.path] as SeedNode).replace(/^\w+ /u, '');
      tree.set(path, lower?.isSubmodule === true ? 'submodule' : show(mode, content));
    }
  }
  // A submodule is a folder to who looks.
  const files = [...tree].filter(([, node]) => node !== 'submodule');
  return Object.fromEntries(files.sort(([one], [other]) => (one < other ? -1 : 1)));
}

/** What the overlay shows, without folders. */
async function shown(): Promise<Record<string, string>> {
  const { fs } = overlay as UpperOverlay;
  const { files } = await new ClientModel(fs).paths();
  const tree: [string, string][] = [];
  for (const path of files) {
    const { mode } = await fs.stat(path);
    const content = (mode & S_IFMT) === S_IFREG ? (await fs.readFile(path)).toString('latin1') : '';
    tree.push([path, show(mode, () => content)]);
  }
  return Object.fromEntries(tree.sort(([one], [other]) => (one < other ? -1 : 1)));
}

async function check(seed: SeedTree): Promise<ReadonlyMap<string, MergedChange>> {
  const changes = await changesOf(seed);
  expect(apply(seed, changes)).toEqual(await shown());
  return changes;
}

test('over random changes, they give what the mount shows', async () => {
  const property = fc.asyncProperty(operationSequences(MAX_OPERATIONS, { setgid: false }), async (drawn) => {
    overlay = new UpperOverlay(modelSeed);
    try {
      const model = new ClientModel(overlay.fs);
      for (const operation of drawn) {
        if (operation.op === 'reopen') continue;
        await model.run(resolveOperation(operation, await model.paths()));
      }
      await check(modelSeed);
    } finally {
      await overlay.dispose();
      overlay = undefined;
    }
  });
  await fc.assert(property, modelParameters(DEFAULT_RUNS));
});

describe('one change', () => {
  const start = (): UpperOverlay['fs'] => {
    overlay = new UpperOverlay(lowerSeed);
    return overlay.fs;
  };

  test('nothing was changed: nothing is told', async () => {
    start();
    expect((await changesOf(lowerSeed)).size).toBe(0);
  });

  test('metadata alone leaves the content where it is', async () => {
    await start().setattr('big.bin', { mode: 0o100755 });
    const changes = await changesOf(lowerSeed);
    expect([...changes.keys()]).toEqual(['big.bin']);
    expect(changes.get('big.bin')).toMatchObject({
      before: { path: 'big.bin' },
      after: { lower: { path: 'big.bin' } },
    });
  });

  test('a folder that was moved: its files are gone from the one place and are at the other', async () => {
    const fs = start();
    await fs.rename('docs', 'papers');
    await fs.rename('papers/deep/note.txt', 'papers/note.txt');
    const changes = await check(lowerSeed);
    expect(changes.get('docs/a.md')).toMatchObject({ after: undefined });
    expect(changes.get('papers/a.md')?.after?.lower?.path).toBe('docs/a.md');
    expect(changes.get('papers/note.txt')?.after?.lower?.path).toBe('docs/deep/note.txt');
    expect(changes.has('papers/deep/note.txt')).toBe(false);
    await fs.rename('papers', 'docs');
    expect([...(await check(lowerSeed)).keys()].sort()).toEqual(['docs/deep/note.txt', 'docs/note.txt']);
  });

  test('a file where a folder was, and a folder where a file was', async () => {
    const fs = start();
    await fs.rename('src', 'old');
    await fs.writeFile('src', 'a file now');
    await fs.unlink('README.md');
    await fs.mkdir('README.md');
    await fs.writeFile('README.md/inside', 'x');
    const changes = await check(lowerSeed);
    expect(changes.get('src')).toMatchObject({ before: undefined });
    expect(changes.get('src/main.ts')).toMatchObject({ after: undefined });
    expect(changes.get('README.md')).toMatchObject({ after: undefined });
  });

  test('a submodule stays one when it is moved, and when only its attributes change', async () => {
    const fs = start();
    await fs.setattr('vendor/module', { mode: 0o040700 });
    expect((await changesOf(lowerSeed)).size).toBe(0);
    await fs.rename('vendor/module', 'elsewhere');
    const changes = await changesOf(lowerSeed);
    expect(changes.get('vendor/module')).toMatchObject({ before: { isSubmodule: true }, after: undefined });
    expect(changes.get('elsewhere')).toMatchObject({ after: { lower: { isSubmodule: true } } });
  });

  test('a folder that was removed and made again hides what was in it', async () => {
    const fs = start();
    for (const name of ['one.ts', 'two.ts']) await fs.unlink(`src/util/${name}`);
    await fs.rmdir('src/util');
    await fs.mkdir('src/util');
    await fs.writeFile('src/util/two.ts', 'new');
    const changes = await check(lowerSeed);
    expect([...changes.keys()].sort()).toEqual(['src/util/one.ts', 'src/util/two.ts']);
  });

  test('whiteouts in the style of container images count, and are no files', async () => {
    start();
    const upper = overlay as UpperOverlay;
    await upper.reopen(() => {
      const { mkdirSync, writeFileSync } = process.getBuiltinModule('node:fs');
      mkdirSync(upper.upper('docs'));
      writeFileSync(upper.upper('.wh.run.sh'), '');
      writeFileSync(upper.upper('docs', '.wh..wh..opq'), '');
      writeFileSync(upper.upper('docs', 'mine'), 'x');
    });
    const changes = await check(lowerSeed);
    expect(changes.get('run.sh')).toMatchObject({ after: undefined });
    expect(changes.get('docs/mine')).toMatchObject({ before: undefined });
    expect([...changes.keys()].some((path) => path.includes('.wh.'))).toBe(false);
  });
});

describe('a walk', () => {
  test('goes down where a path is longer than the kernel takes', async () => {
    overlay = new UpperOverlay({ a: seedFile('a') });
    const name = 'n'.repeat(200);
    const { fs } = overlay;
    let at = 1;
    for (let depth = 0; depth < 60; depth++) {
      at = fs.count(await fs.filesystem.mkdir(at, name, 0o755, fs.ctx)).ino;
    }
    let deepest = 0;
    for await (const { names } of walkUpper(overlay.upper())) deepest = Math.max(deepest, names.length);
    expect(deepest).toBe(60);
  });

  test('ends when it is told to, and survives that what it walks is taken away', async () => {
    overlay = new UpperOverlay(lowerSeed);
    const { fs } = overlay;
    for (const name of ['one', 'two', 'three']) {
      await fs.mkdir(name);
      await fs.mkdir(`${name}/inside`);
    }
    const met: string[] = [];
    for await (const { names } of walkUpper(overlay.upper())) {
      if (met.length === 0) await fs.rename('two', 'one/inside/two');
      met.push(names.join('/'));
    }
    expect(met).toContain('one/inside');
    const controller = new AbortController();
    const walk = walkUpper(overlay.upper(), controller.signal);
    await walk.next();
    controller.abort(new Error('enough'));
    await expect(walk.next()).rejects.toThrow('enough');
  });
});
