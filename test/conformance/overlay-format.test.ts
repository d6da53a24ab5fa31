// The upper folder is in overlayfs's own format: the kernel's overlayfs, fuse-overlayfs and this program read what each
// other wrote.
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { ClientModel } from '../model/client-model.ts';
import {
  type ExistingPaths,
  modelParameters,
  modelSeed,
  type Operation,
  operationSequences,
  resolveOperation,
} from '../model/operations.ts';
import { diskState, setTimes } from '../support/disk-state.ts';
import { type ObjectState, treeState } from '../support/filesystem-assertions.ts';
import { createFolderAgent, type FolderAgent } from '../support/folder-agent.ts';
import { SEED_TIME } from '../support/memory-subject.ts';
import { writeSeed } from '../support/seed-tree.ts';
import { UpperOverlay } from '../support/upper-overlay.ts';

const DEFAULT_RUNS = 40;
const MAX_OPERATIONS = 60;
const RANDOM_TIMEOUT_MS = 300_000;

/** How a lower and an upper folder are mounted over each other. */
interface Mounter {
  readonly name: string;
  readonly command: (options: string, mountpoint: string) => [string, string[]];
}

const KERNEL: Mounter = {
  name: "the kernel's overlayfs",
  command: (options, mountpoint) => [
    'mount',
    ['-t', 'overlay', 'overlay', '-o', `${options},redirect_dir=on,metacopy=on`, mountpoint],
  ],
};
const KERNEL_FOR_USERS: Mounter = {
  name: "the kernel's overlayfs with attributes of users",
  command: (options, mountpoint) => [
    'mount',
    ['-t', 'overlay', 'overlay', '-o', `${options},userxattr`, mountpoint],
  ],
};
const FUSE_OVERLAYFS: Mounter = {
  name: 'fuse-overlayfs',
  command: (options, mountpoint) => ['fuse-overlayfs', ['-o', options, mountpoint]],
};

let folder: string;
let lower: string;
let agent: FolderAgent;
const mounted: string[] = [];
let count = 0;

beforeAll(() => {
  agent = createFolderAgent();
});

afterAll(async () => {
  await agent?.[Symbol.asyncDispose]();
});

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'scorpio-test-overlayfs-'));
  lower = join(folder, 'lower');
  mkdirSync(lower, { mode: 0o755 });
  writeSeed(lower, modelSeed);
  setTimes(lower, SEED_TIME);
});

afterEach(() => {
  for (const path of mounted.splice(0)) execFileSync('umount', [path]);
  rmSync(folder, { recursive: true, force: true });
});

/** Mounts an upper folder over the export of the lower tree; resolves with the mount point. */
function mount({ command }: Mounter, upper: string): string {
  const mountpoint = join(folder, `mnt-${count++}`);
  const work = join(upper, '..', `work-${count}`);
  for (const path of [mountpoint, work]) mkdirSync(path);
  const [program, args] = command(`lowerdir=${lower},upperdir=${upper},workdir=${work}`, mountpoint);
  execFileSync(program, args, { stdio: 'pipe' });
  mounted.push(mountpoint);
  return mountpoint;
}

function unmount(mountpoint: string): void {
  execFileSync('umount', [mountpoint]);
  mounted.splice(mounted.indexOf(mountpoint), 1);
}

/** Why a mounter cannot be used here; undefined: it can. */
function obstacleTo({ command }: Mounter): string | undefined {
  if (process.getuid?.() !== 0) return 'needs root';
  const base = mkdtempSync(join(tmpdir(), 'scorpio-test-overlayfs-'));
  try {
    for (const name of ['l', 'u', 'w', 'm']) mkdirSync(join(base, name));
    const [program, args] = command(
      `lowerdir=${base}/l,upperdir=${base}/u,workdir=${base}/w`,
      join(base, 'm'),
    );
    execFileSync(program, args, { stdio: 'pipe' });
    execFileSync('umount', [join(base, 'm')]);
    return undefined;
  } catch (error) {
    return (error as Error).message.split('\n', 1)[0];
  } finally {
    rmSync(base, { recursive: true, force: true });
  }
}

const obstacle = {
  kernel: obstacleTo(KERNEL),
  users: obstacleTo(KERNEL_FOR_USERS),
  fuse: obstacleTo(FUSE_OVERLAYFS),
};
const because = (reason: string | undefined): string => (reason === undefined ? '' : ` (skipped: ${reason})`);

/** With an upper layer of its own; `ours` shows it. */
async function withOverlay(use: (ours: UpperOverlay) => Promise<void>): Promise<void> {
  const ours = new UpperOverlay(modelSeed);
  try {
    await use(ours);
  } finally {
    for (const path of mounted.slice()) if (path.startsWith(folder)) unmount(path);
    await ours.dispose();
  }
}

const RICH: readonly Operation[] = [
  { op: 'unlink', path: 'a' },
  { op: 'rename', path: 'b', to: 'moved', flags: 0 },
  { op: 'chmod', path: 'moved/a', mode: 0o700 },
  { op: 'rename', path: 'moved/c', to: 'd/c', flags: 0 },
  { op: 'rename', path: 'd/c/a', to: 'renamed file', flags: 0 },
  { op: 'link', path: 'd/b', to: 'hard link' },
  { op: 'link', path: 'moved/\xe9', to: 'd/other link' },
  { op: 'write', path: 'moved/\xe9', position: 3, data: 'written' },
  { op: 'removeTree', path: 'd/a' },
  { op: 'mkdir', path: 'd/a', mode: 0o2755 },
  { op: 'create', path: 'd/a/new', mode: 0o640, exclusive: true },
  { op: 'symlink', path: 'd/a/link', target: 'new' },
  { op: 'mkfifo', path: 'd/fifo' },
  { op: 'unlink', path: 'c' },
  { op: 'mkdir', path: 'c', mode: 0o1777 },
  { op: 'rename', path: 'c', to: 'd/a', flags: 2 },
  { op: 'truncate', path: 'renamed file', size: 4 },
  { op: 'setxattr', path: 'hard link', name: 'user.one', data: 'value', flags: 0 },
  { op: 'setxattr', path: 'moved', name: 'user.two', data: '', flags: 0 },
  { op: 'utimes', path: 'moved/a', seconds: 1_500_000_000 },
  { op: 'create', path: 'a', mode: 0o600, exclusive: true },
  { op: 'append', path: 'a', data: 'again' },
];

type Tree = Record<string, ObjectState>;

/** What both see of an upper folder that this program wrote. */
async function compareOurs(operations: readonly Operation[], mounter: Mounter): Promise<void> {
  await withOverlay(async (ours) => {
    const reopen = async () => {
      await ours.reopen();
      return ours.fs;
    };
    const model = new ClientModel(ours.fs, reopen);
    for (const operation of operations) await model.run(resolveOperation(operation, await model.paths()));
    await model.run({ op: 'reopen' });
    const expected = await treeState(ours.fs);
    let seen: Tree = {};
    // One of them at a time: neither may change the folder under the other.
    await ours.reopen(() => {
      const mountpoint = mount(mounter, ours.upper());
      seen = diskState(mountpoint);
      unmount(mountpoint);
    });
    expect(seen).toEqual(expected);
    expect(await treeState(ours.fs)).toEqual(expected);
  });
}

/** What both see of an upper folder that the other one wrote. */
async function compareTheirs(
  operations: readonly Operation[],
  mounter: Mounter,
  { select = (tree: Tree): unknown => tree, flags = ~0 } = {},
): Promise<void> {
  await withOverlay(async (ours) => {
    await ours.fs.filesystem.destroy();
    const upper = join(folder, `upper-${count++}`);
    mkdirSync(upper, { mode: 0o755 });
    setTimes(upper, SEED_TIME);
    rmSync(ours.upper(), { recursive: true });
    const first = mount(mounter, upper);
    for (const drawn of operations) {
      const existing = await agent.perform<{ value: ExistingPaths }>(first, { op: 'paths' });
      const operation = resolveOperation(drawn, existing.value);
      if (operation.op === 'reopen') continue;
      await agent.perform(
        first,
        operation.op === 'rename' ? { ...operation, flags: operation.flags & flags } : operation,
      );
    }
    await agent.perform(first, { op: 'closeAll' });
    unmount(first);
    // Mounted anew: what it stored counts, not what it remembers.
    const mountpoint = mount(mounter, upper);
    const expected = diskState(mountpoint);
    unmount(mountpoint);
    execFileSync('cp', ['-a', '--no-target-directory', upper, ours.upper()]);
    await ours.reopen();
    expect(select(await treeState(ours.fs))).toEqual(select(expected));
  });
}

describe.skipIf(obstacle.kernel !== undefined)(`the kernel's overlayfs${because(obstacle.kernel)}`, () => {
  test('sees what this program wrote', () => compareOurs(RICH, KERNEL));

  test(
    'sees what this program wrote in random operations',
    async () => {
      const property = fc.asyncProperty(operationSequences(MAX_OPERATIONS), (operations) =>
        compareOurs(operations, KERNEL),
      );
      await fc.assert(property, modelParameters(DEFAULT_RUNS));
    },
    RANDOM_TIMEOUT_MS,
  );

  test('is understood', () => compareTheirs(RICH, KERNEL));

  test(
    'is understood after random operations',
    async () => {
      const property = fc.asyncProperty(operationSequences(MAX_OPERATIONS), (operations) =>
        compareTheirs(operations, KERNEL),
      );
      await fc.assert(property, modelParameters(DEFAULT_RUNS));
    },
    RANDOM_TIMEOUT_MS,
  );
});

/** What fuse-overlayfs shows as well as it stores: it counts links and keeps times otherwise. */
function withoutLinksAndTimes(tree: Tree): unknown {
  return Object.fromEntries(
    Object.entries(tree).map(([path, { nlink: _nlink, mtime: _mtime, ...rest }]) => [path, rest]),
  );
}

describe.skipIf(obstacle.fuse !== undefined)(`fuse-overlayfs${because(obstacle.fuse)}`, () => {
  // Version 3 loses track of what it shows when two objects trade places.
  const options = { select: withoutLinksAndTimes, flags: 1 };

  test('is understood', () => compareTheirs(RICH, FUSE_OVERLAYFS, options));

  test(
    'is understood after random operations',
    async () => {
      const property = fc.asyncProperty(operationSequences(MAX_OPERATIONS), (operations) =>
        compareTheirs(operations, FUSE_OVERLAYFS, options),
      );
      await fc.assert(property, modelParameters(DEFAULT_RUNS / 2));
    },
    RANDOM_TIMEOUT_MS,
  );
});

/** Turns the attributes of root into those that an ordinary user writes. Symlinks carry none of those. */
const TO_USER = `
import os, sys
for folder, folders, files in os.walk(os.fsencode(sys.argv[1])):
    for path in [folder] + [os.path.join(folder, name) for name in files]:
        for key in os.listxattr(path, follow_symlinks=False):
            if not key.startswith('trusted.overlay.'): continue
            value = os.getxattr(path, key, follow_symlinks=False)
            os.removexattr(path, key, follow_symlinks=False)
            if os.path.isfile(path) or os.path.isdir(path):
                os.setxattr(path, key.replace('trusted', 'user', 1), value, follow_symlinks=False)
`;

/** What an ordinary user writes without renaming or changing mere metadata: the kernel reads nothing else of theirs. */
const PLAIN: readonly Operation[] = [
  { op: 'unlink', path: 'a' },
  { op: 'removeTree', path: 'd/a' },
  { op: 'mkdir', path: 'd/a', mode: 0o755 },
  { op: 'create', path: 'd/a/new', mode: 0o640, exclusive: true },
  { op: 'write', path: 'b/a', position: 2, data: 'written' },
  { op: 'symlink', path: 'b/link', target: 'a' },
  { op: 'removeTree', path: 'b/c' },
];

describe.skipIf(obstacle.users !== undefined)(`attributes of users${because(obstacle.users)}`, () => {
  test('that the kernel wrote are understood', () => compareTheirs(RICH, KERNEL_FOR_USERS));

  test.each([
    ['by this program', RICH, undefined],
    ['by the kernel, as far as it allows', PLAIN, KERNEL_FOR_USERS],
  ])('that this program wrote are understood %s', async (_who, operations, mounter) => {
    await withOverlay(async (ours) => {
      const model = new ClientModel(ours.fs);
      for (const operation of operations) {
        expect(await model.run(operation)).not.toHaveProperty('errno');
      }
      const expected = await treeState(ours.fs);
      let seen: Tree | undefined;
      await ours.reopen(() => {
        execFileSync('python3', ['-c', TO_USER, ours.upper()]);
        if (mounter === undefined) return;
        const mountpoint = mount(mounter, ours.upper());
        seen = diskState(mountpoint);
        unmount(mountpoint);
      });
      expect(await treeState(ours.fs)).toEqual(expected);
      expect(seen ?? expected).toEqual(expected);
    });
  });
});
