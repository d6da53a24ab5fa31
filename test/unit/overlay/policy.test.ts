// What a policy says of files: who may write them, what mode they show, and attributes of its own.
import { constants, readFileSync, statSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { KernelNotifier } from '../../../src/fuse/filesystem.ts';
import type { FilePolicy, PolicyFile } from '../../../src/overlay/file-policy.ts';
import { ErrnoError } from '../../../src/util/errno.ts';
import { outcome } from '../../support/filesystem-assertions.ts';
import { ROOT } from '../../support/filesystem-client.ts';
import { seedFile, seedSymlink } from '../../support/seed-tree.ts';
import { UpperOverlay } from '../../support/upper-overlay.ts';

const { O_RDONLY, O_RDWR, O_TRUNC, O_WRONLY } = constants;
const ALLOCATE = 0;
const seed = {
  'art/hero.psd': seedFile('hero'),
  'art/link.psd': seedSymlink('hero.psd'),
  'art/tool.psd': seedFile('tool', { executable: true }),
  'notes.txt': seedFile('notes'),
};

let overlay: UpperOverlay;
let locked: Set<string>;
let mayBeReadOnly: boolean;
let asked: string[];
let invalidated: [number, number][];
let omits: boolean;

const kernel: KernelNotifier = {
  invalidateInode: (ino, offset) => void invalidated.push([ino, offset]),
  invalidateEntry: () => undefined,
  get mayOmitOpen() {
    return omits;
  },
};

const policy: FilePolicy = {
  get mayBeReadOnly() {
    return mayBeReadOnly;
  },
  isReadOnly: ({ path }) => locked.has(path),
  checkWrite: ({ path, lower, isUpper }: PolicyFile) => {
    asked.push(`${path} ${lower?.path ?? '-'} ${isUpper ? 'upper' : 'lower'}`);
    if (locked.has(path)) throw new ErrnoError('EACCES', `${path} is locked`);
  },
  xattrNames: ({ path }) => (path.endsWith('.psd') ? ['user.scorpio.lfs.oid'] : []),
  xattr: ({ path }, name) =>
    path.endsWith('.psd') && name === 'user.scorpio.lfs.oid' ? Buffer.from(`oid of ${path}`) : undefined,
};

beforeEach(() => {
  locked = new Set(['art/hero.psd', 'art/tool.psd']);
  mayBeReadOnly = true;
  asked = [];
  invalidated = [];
  omits = false;
  overlay = new UpperOverlay(seed, { notifier: kernel, policy });
});
afterEach(() => overlay.dispose());

const modeOf = async (path: string): Promise<number> => (await overlay.fs.stat(path)).mode & 0o7777;

describe('writing', () => {
  test('is refused at the open, however the file is opened, and reading is not', async () => {
    const { filesystem, ctx } = overlay.fs;
    const { ino } = await overlay.fs.stat('art/hero.psd');
    for (const flags of [O_WRONLY, O_RDWR, O_RDONLY | O_TRUNC]) {
      expect(await outcome(async () => filesystem.open(ino, flags, ctx))).toBe('EACCES');
    }
    const folder = (await overlay.fs.stat('art')).ino;
    expect(await outcome(async () => filesystem.create(folder, 'hero.psd', 0o644, O_RDWR, ctx))).toBe(
      'EACCES',
    );
    expect(await outcome(async () => filesystem.setattr(ino, { size: 0 }, ctx))).toBe('EACCES');
    expect(await outcome(async () => filesystem.setattr(ino, { size: 2 }, ctx))).toBe('EACCES');
    expect(await overlay.fs.readText('art/hero.psd')).toBe('hero');
    expect(new Set(asked)).toEqual(new Set(['art/hero.psd art/hero.psd lower']));
  });

  test('is refused without open files too, by write, fallocate and copies', async () => {
    omits = true;
    const { filesystem, ctx } = overlay.fs;
    const { ino } = await overlay.fs.stat('art/hero.psd');
    const bytes = Buffer.from('x');
    expect(await outcome(async () => filesystem.write(ino, 0, bytes, 0, 0, ctx))).toBe('EACCES');
    expect(await outcome(async () => filesystem.fallocate(ino, 0, ALLOCATE, 0, 9, ctx))).toBe('EACCES');
    const source = { ino: (await overlay.fs.stat('notes.txt')).ino, fh: 0, offset: 0 };
    const target = { ino, fh: 0, offset: 0 };
    expect(await outcome(async () => filesystem.copyFileRange(source, target, 5, ctx))).toBe('EACCES');
    omits = false;
    expect(await overlay.fs.readText('art/hero.psd')).toBe('hero');
  });

  test('without open files it is asked for once, until the policy changes', async () => {
    omits = true;
    const { filesystem, ctx } = overlay.fs;
    const { ino } = await overlay.fs.stat('notes.txt');
    for (let nth = 0; nth < 3; nth++) await filesystem.write(ino, 0, Buffer.from('x'), nth, 0, ctx);
    expect(asked).toEqual(['notes.txt notes.txt lower']);
    locked.add('notes.txt');
    overlay.control.policyChanged('notes.txt');
    expect(await outcome(async () => filesystem.write(ino, 0, Buffer.from('y'), 0, 0, ctx))).toBe('EACCES');
    locked.delete('notes.txt');
    overlay.control.policyChangedEverywhere();
    expect(await filesystem.write(ino, 0, Buffer.from('y'), 0, 0, ctx)).toBe(1);
    expect(asked.at(-1)).toBe('notes.txt notes.txt upper');
  });

  test('it is known which file of the repository a changed one was, also after a new mount, and that a new one is new', async () => {
    await overlay.fs.writeFile('art/brush', 'new');
    await overlay.fs.rename('notes.txt', 'art/moved.txt');
    await overlay.fs.append('art/moved.txt', '!');
    locked.clear();
    await overlay.fs.append('art/tool.psd', '!');
    await overlay.fs.writeFile('replacement', 'other');
    await overlay.fs.rename('replacement', 'art/hero.psd');
    await overlay.reopen();
    asked = [];
    for (const name of ['tool.psd', 'hero.psd', 'brush', 'moved.txt'])
      overlay.fs.close(await overlay.fs.open(`art/${name}`, O_RDWR));
    expect(asked).toEqual([
      'art/tool.psd art/tool.psd upper',
      'art/hero.psd art/hero.psd upper',
      'art/brush - upper',
      'art/moved.txt - upper',
    ]);
  });

  test('a folder of the repository that cannot be listed keeps nobody from writing', async () => {
    await overlay.dispose();
    let isAway = false;
    overlay = new UpperOverlay(seed, {
      policy,
      wrap: (layer) => ({
        ...layer,
        list: (directory, request) =>
          isAway && directory.path === 'art'
            ? Promise.reject(new ErrnoError('EHOSTUNREACH'))
            : layer.list(directory, request),
      }),
    });
    locked.clear();
    await overlay.fs.append('art/hero.psd', '!');
    await overlay.reopen(() => {
      isAway = true;
    });
    asked = [];
    await overlay.fs.append('art/hero.psd', '!');
    expect(asked).toEqual(['art/hero.psd - upper']);
  });

  test('who makes a file writes it, whatever the policy says of its name', async () => {
    omits = true;
    locked.add('new.psd');
    const { filesystem, ctx } = overlay.fs;
    const { entry } = await filesystem.create(ROOT, 'new.psd', 0o644, O_RDWR, ctx);
    const { ino } = overlay.fs.count(entry);
    expect(await filesystem.write(ino, 0, Buffer.from('new'), 0, 0, ctx)).toBe(3);
    await filesystem.setattr(ino, { size: 1 }, ctx);
    expect(asked).toEqual([]);
  });

  test('metadata, names and the end of a file are not writing', async () => {
    const { filesystem, ctx } = overlay.fs;
    const { ino } = await overlay.fs.stat('art/hero.psd');
    await filesystem.setattr(ino, { mtime: { seconds: 5, nanoseconds: 0 } }, ctx);
    await filesystem.setattr(ino, { mode: 0o640 }, ctx);
    const folder = (await overlay.fs.stat('art')).ino;
    await filesystem.rename(folder, 'hero.psd', ROOT, 'moved.psd', 0, ctx);
    await filesystem.unlink(ROOT, 'moved.psd', ctx);
    expect(asked).toEqual([]);
  });
});

describe('the mode', () => {
  test('is shown without write permissions, of unchanged files, open ones and copied-up ones', async () => {
    expect(await modeOf('art/hero.psd')).toBe(0o444);
    expect(await modeOf('art/tool.psd')).toBe(0o555);
    expect(await modeOf('notes.txt')).toBe(0o644);
    const listed = await overlay.fs.list('art', { plus: true });
    const shown = listed.find(({ name }) => name === 'hero.psd')?.attributes?.mode ?? 0;
    expect(shown & 0o777).toBe(0o444);
    const { filesystem, ctx } = overlay.fs;
    const { ino } = await overlay.fs.stat('art/hero.psd');
    const { fh } = await filesystem.open(ino, O_RDONLY, ctx);
    expect((await filesystem.getattr(ino, fh, ctx)).mode & 0o777).toBe(0o444);
    filesystem.release(fh);
    await filesystem.setattr(ino, { mtime: 'now' }, ctx);
    expect(await modeOf('art/hero.psd')).toBe(0o444);
    expect(statSync(overlay.upper('art/hero.psd')).mode & 0o777).toBe(0o644);
  });

  test('that is set is kept, and shown when the file may be written again', async () => {
    const { filesystem, ctx } = overlay.fs;
    const { ino } = await overlay.fs.stat('art/hero.psd');
    expect((await filesystem.setattr(ino, { mode: 0o660 }, ctx)).mode & 0o777).toBe(0o440);
    expect(statSync(overlay.upper('art/hero.psd')).mode & 0o777).toBe(0o660);
    locked.clear();
    invalidated = [];
    overlay.control.policyChanged('art/hero.psd');
    expect(invalidated).toEqual([[ino, -1]]);
    expect(await modeOf('art/hero.psd')).toBe(0o660);
  });

  test('is not asked for while no file could be read-only', async () => {
    mayBeReadOnly = false;
    expect(await modeOf('art/hero.psd')).toBe(0o644);
  });

  test('of a file that the kernel knows as a mere number is told anew, and nothing else is', async () => {
    const { ino } = await overlay.fs.stat('art/hero.psd');
    const notes = await overlay.fs.stat('notes.txt');
    overlay.control.policyChanged('art/hero.psd');
    overlay.control.policyChanged('art/unknown.psd');
    overlay.control.policyChanged('nowhere/at/all');
    expect(invalidated).toEqual([[ino, -1]]);
    overlay.control.policyChangedEverywhere();
    expect(new Set(invalidated.map(([known]) => known))).toEqual(new Set([ino, notes.ino]));
  });
});

describe('attributes', () => {
  test('are listed and read, of unchanged files, open ones and copied-up ones, and of nothing else', async () => {
    const { filesystem, ctx } = overlay.fs;
    const { ino } = await overlay.fs.stat('art/hero.psd');
    const check = async (): Promise<void> => {
      expect(await filesystem.listxattr(ino, ctx)).toEqual(['user.scorpio.lfs.oid']);
      const value = await filesystem.getxattr(ino, 'user.scorpio.lfs.oid', ctx);
      expect(value.toString()).toBe('oid of art/hero.psd');
      const none = outcome(async () => filesystem.getxattr(ino, 'user.scorpio.none', ctx));
      expect(await none).toBe('ENODATA');
    };
    await check();
    await filesystem.setattr(ino, { mode: 0o600 }, ctx);
    await check();
    for (const path of ['notes.txt', 'art', 'art/link.psd']) {
      const other = (await overlay.fs.stat(path)).ino;
      expect(await filesystem.listxattr(other, ctx)).toEqual([]);
      expect(await outcome(async () => filesystem.getxattr(other, 'user.scorpio.lfs.oid', ctx))).toBe(
        'ENODATA',
      );
    }
  });

  test('cannot be changed, and others beside them can', async () => {
    const { filesystem, ctx } = overlay.fs;
    const { ino } = await overlay.fs.stat('art/hero.psd');
    const value = Buffer.from('v');
    const set = async (name: string): Promise<void> => filesystem.setxattr(ino, name, value, 0, ctx);
    expect(await outcome(() => set('user.scorpio.lfs.oid'))).toBe('EPERM');
    expect(await outcome(() => set('user.scorpio.mine'))).toBe('EPERM');
    const removed = outcome(async () => filesystem.removexattr(ino, 'user.scorpio.lfs.oid', ctx));
    expect(await removed).toBe('EPERM');
    await set('user.mine');
    const names = await filesystem.listxattr(ino, ctx);
    expect(new Set(names)).toEqual(new Set(['user.mine', 'user.scorpio.lfs.oid']));
    expect(readFileSync(overlay.upper('art/hero.psd')).length).toBe(4);
  });
});
