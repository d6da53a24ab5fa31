// The binding over fuse-native, driven as the package drives it, over every implementation of the filesystem contract.
import { constants } from 'node:fs';
import { afterEach, describe, expect, it } from 'vitest';
import type { SeedTree } from '../support/seed-tree.ts';
import { createMemorySubject } from '../support/memory-subject.ts';
import { NativeDriver } from '../support/native-driver.ts';
import { createOverlaySubject } from '../support/overlay-subject.ts';
import type { FilesystemSubject } from './filesystem/subject.ts';

const seed: SeedTree = {
  'a/file': { kind: 'file', content: Buffer.from('lower\n'), executable: false },
  'a/b/deep': { kind: 'file', content: Buffer.from('deep\n'), executable: false },
  'a/link': { kind: 'symlink', target: 'b/deep' },
  'odd/caf\xe9': { kind: 'file', content: Buffer.from('latin1'), executable: false },
  'odd/caf\xc3\xa9': { kind: 'file', content: Buffer.from('utf8'), executable: false },
};
const HIDDEN = '/a/.fuse_hidden0000000500000001';

const factories: Readonly<Record<string, () => Promise<FilesystemSubject>>> = {
  'the in-memory reference': async () => {
    const filesystem = await createMemorySubject(seed);
    return { filesystem, dispose: async () => filesystem.destroy() };
  },
  'the overlay, over a layer that knows everything': async () => createOverlaySubject(seed),
  'the overlay, over a layer that has to fetch': async () =>
    createOverlaySubject(seed, { delaySeed: 20_261_121 }),
};

describe.each(Object.entries(factories))('fuse-native over %s', (_name, create) => {
  const started: { subject: FilesystemSubject; driver: NativeDriver }[] = [];

  async function start(): Promise<NativeDriver> {
    const subject = await create();
    const driver = new NativeDriver(subject.filesystem);
    started.push({ subject, driver });
    return driver;
  }

  afterEach(async () => {
    for (const { subject, driver } of started.splice(0)) {
      await driver.session.stop();
      driver.paths.close();
      expect(driver.paths.held).toEqual({ files: 0, hidden: 0, inodes: 0 });
      await subject.dispose();
    }
  });

  it('finds, lists and reads what is there', async () => {
    const driver = await start();
    expect(await driver.names('/')).toEqual(['a', 'odd']);
    expect(await driver.names('/a')).toEqual(['b', 'file', 'link']);
    expect((await driver.stat('/a/b')).mode & constants.S_IFMT).toBe(constants.S_IFDIR);
    const handle = await driver.open('/a/b/deep');
    expect(await driver.read(handle)).toBe('deep\n');
    expect(await driver.read(handle, 2, 2)).toBe('ep');
    await driver.do('release', '-', handle);
    expect(await driver.do('readlink', '/a/link')).toEqual(['b/deep']);
    expect((await driver.call('getattr', '/a/missing/x')).result).toBe('ENOENT');
    expect((await driver.call('getattr', '/a/file/x')).result).toBe('ENOTDIR');
  });

  it('lists types and numbers that agree with the attributes', async () => {
    const driver = await start();
    const [names, stats] = (await driver.do('readdir', '/a')) as [string[], Uint32Array[]];
    for (const [index, name] of names.entries()) {
      if (name.startsWith('.')) continue;
      const { mode, ino } = await driver.stat(`/a/${name}`);
      expect([name, stats[index]?.[0], stats[index]?.[7]]).toEqual([name, mode & constants.S_IFMT, ino]);
    }
  });

  it('makes, writes, truncates and removes', async () => {
    const driver = await start();
    await driver.do('mkdir', '/new', 0o750);
    const handle = await driver.create('/new/file', 0o640);
    expect(await driver.write(handle, 'hello, world')).toBe(12);
    await driver.do('ftruncate', '-', handle, 5, 0);
    await driver.do('fsync', '/new/file', 0, handle);
    await driver.do('release', '-', handle);
    await driver.do('truncate', '/new/file', 4, 0);
    expect(await driver.stat('/new/file')).toMatchObject({ size: 4, nlink: 1 });
    await driver.do('symlink', 'file', '/new/pointer');
    await driver.do('mknod', '/new/pipe', constants.S_IFIFO | 0o600, 0);
    await driver.do('fsyncdir', '/new', 0, 0);
    expect(await driver.names('/new')).toEqual(['file', 'pipe', 'pointer']);
    expect((await driver.call('rmdir', '/new')).result).toBe('ENOTEMPTY');
    for (const name of ['file', 'pipe', 'pointer']) await driver.do('unlink', `/new/${name}`);
    await driver.do('rmdir', '/new');
    expect((await driver.call('getattr', '/new')).result).toBe('ENOENT');
  });

  it('follows paths through renames of files and folders, whatever was looked up before', async () => {
    const driver = await start();
    await driver.stat('/a/b/deep');
    const { ino } = await driver.stat('/a/file');
    await driver.do('rename', '/a', '/moved');
    expect((await driver.call('getattr', '/a/b/deep')).result).toBe('ENOENT');
    expect((await driver.stat('/moved/file')).ino).toBe(ino);
    await driver.do('mkdir', '/a', 0o755);
    await driver.do('release', '-', await driver.create('/a/file'));
    expect(await driver.stat('/a/file')).toMatchObject({ size: 0 });
    await driver.do('rename', '/moved/file', '/a/file');
    expect((await driver.stat('/a/file')).ino).toBe(ino);
    expect((await driver.call('getattr', '/moved/file')).result).toBe('ENOENT');
  });

  it('shows two names of a file as one', async () => {
    const driver = await start();
    await driver.do('link', '/a/file', '/second');
    const [one, two] = [await driver.stat('/a/file'), await driver.stat('/second')];
    expect(two).toEqual(one);
    expect(one.nlink).toBe(2);
  });

  it('removes an open file at once, and serves it under the name that libfuse made up until it is closed', async () => {
    const driver = await start();
    await driver.do('link', '/a/file', '/second');
    const handle = await driver.open('/a/file', constants.O_RDWR);
    await driver.do('rename', '/a/file', HIDDEN);
    expect(await driver.names('/a')).toEqual(['b', 'link']);
    // One more than there are: libfuse takes one off.
    expect((await driver.stat(HIDDEN)).nlink).toBe(2);
    await driver.do('unlink', '/second');
    expect(await driver.stat(HIDDEN)).toMatchObject({ nlink: 0, size: 6 });
    expect(await driver.write(handle, 'LOWER')).toBe(5);
    expect(await driver.read(handle)).toBe('LOWER\n');
    await driver.do('chmod', HIDDEN, 0o600);
    expect((await driver.stat(HIDDEN)).mode & 0o777).toBe(0o600);
    expect(driver.paths.held).toMatchObject({ files: 1, hidden: 1 });
    await driver.do('release', '-', handle);
    await driver.do('unlink', HIDDEN);
    expect((await driver.call('getattr', HIDDEN)).result).toBe('ENOENT');
    expect(driver.paths.held).toMatchObject({ files: 0, hidden: 0 });
  });

  it('serves it under that name in a folder that is renamed, too', async () => {
    const driver = await start();
    const handle = await driver.open('/a/file', constants.O_RDWR);
    await driver.do('rename', '/a/file', HIDDEN);
    await driver.do('rename', '/a', '/z');
    const hidden = HIDDEN.replace('/a/', '/z/');
    expect(await driver.stat(hidden)).toMatchObject({ nlink: 0, size: 6 });
    expect((await driver.call('getattr', HIDDEN)).result).toBe('ENOENT');
    await driver.do('release', '-', handle);
    await driver.do('unlink', hidden);
    expect(driver.paths.held).toMatchObject({ files: 0, hidden: 0 });
  });

  it.each(['removed', 'replaced'])(
    'keeps nothing of it once it is closed, where its folder was %s',
    async (how) => {
      const driver = await start();
      await driver.do('mkdir', '/new', 0o755);
      await driver.do('mkdir', '/other', 0o755);
      const handle = await driver.create('/new/file');
      const second = await driver.open('/new/file', constants.O_RDWR);
      await driver.do('rename', '/new/file', HIDDEN.replace('/a/', '/new/'));
      if (how === 'removed') await driver.do('rmdir', '/new');
      else await driver.do('rename', '/other', '/new');
      // libfuse knows no path of it any more, so it asks for no removal.
      await driver.do('release', '-', second);
      expect(driver.paths.held).toMatchObject({ files: 1, hidden: 1 });
      await driver.do('release', '-', handle);
      expect(driver.paths.held).toMatchObject({ files: 0, hidden: 0 });
    },
  );

  it('refuses what is no UTF-8 with EILSEQ, and lists the rest of its folder', async () => {
    const driver = await start();
    expect(await driver.names('/odd')).toEqual(['caf\u00e9']);
    expect(driver.unlisted).toEqual(['caf\xe9']);
    const lossy = '/odd/caf\ufffd';
    for (const [name, ...rest] of [
      ['getattr'],
      ['open', 0],
      ['create', 0o644],
      ['mkdir', 0o755],
      ['unlink'],
      ['rename', '/odd/other'],
    ] as const)
      expect([name, (await driver.call(name, lossy, ...rest)).result]).toEqual([name, 'EILSEQ']);
    expect((await driver.call('symlink', 'to\ufffd', '/odd/link')).result).toBe('EILSEQ');
    expect((await driver.call('rename', '/odd/caf\u00e9', '/odd/\ufffd')).result).toBe('EILSEQ');
    const handle = await driver.open('/odd/caf\u00e9');
    expect(await driver.read(handle)).toBe('utf8');
  });

  it('sets both times, before 1970 too, and shows them in ms', async () => {
    const driver = await start();
    await driver.utimens('/a/file', 1_000_000_000_123, 5_000_000_000_456);
    const [numbers] = (await driver.do('getattr', '/a/file')) as [Uint32Array];
    const time = (at: number): number => (numbers[at] ?? 0) + (numbers[at + 1] ?? 0) * 2 ** 32;
    expect([time(12), time(14)]).toEqual([1_000_000_000_123, 5_000_000_000_456]);
    await driver.utimens('/a/file', -1500, -1500);
    const [early] = (await driver.do('getattr', '/a/file')) as [Uint32Array];
    expect([...early.subarray(12, 16)]).toEqual([0, 0, 0, 0]);
  });

  it('carries extended attributes, and never more than the caller has room for', async () => {
    const driver = await start();
    const get = async (name: string, room: number): Promise<[number | string, string]> => {
      const target = Buffer.alloc(room);
      const { result, values } = await driver.call('getxattr', '/a/file', name, target, 0);
      expect(values[0]).toBe(target.buffer);
      return [result, target.toString()];
    };
    await driver.do('setxattr', '/a/file', 'user.a', Buffer.from('value'), 0, 0);
    expect(await get('user.a', 0)).toEqual([5, '']);
    expect(await get('user.a', 5)).toEqual([5, 'value']);
    expect((await get('user.a', 4))[0]).toBe('ERANGE');
    expect((await get('user.b', 4))[0]).toBe('ENODATA');
    expect((await driver.call('listxattr', '/a/file', Buffer.alloc(0))).result).toBe(7);
    expect((await driver.call('listxattr', '/a/file', Buffer.alloc(3))).result).toBe('ERANGE');
    const list = Buffer.alloc(20);
    await driver.do('listxattr', '/a/file', list);
    expect(list.toString('latin1', 0, 7)).toBe('user.a\0');
    await driver.do('removexattr', '/a/file', 'user.a');
    expect((await get('user.a', 4))[0]).toBe('ENODATA');
  });

  it('truncates when opening, and takes set-id bits away then', async () => {
    const driver = await start();
    await driver.do('chmod', '/a/file', 0o6755);
    const handle = await driver.open('/a/file', constants.O_WRONLY | constants.O_TRUNC);
    expect(await driver.stat('/a/file')).toMatchObject({ mode: constants.S_IFREG | 0o755, size: 0 });
    await driver.do('release', '-', handle);
  });

  it('refuses long names, positions beyond every disk, and handles that are not open', async () => {
    const driver = await start();
    const long = `/${'n'.repeat(256)}`;
    for (const name of ['getattr', 'mkdir', 'create'])
      expect((await driver.call(name, long, 0o755)).result).toBe('ENAMETOOLONG');
    const handle = await driver.open('/a/file', constants.O_RDWR);
    expect(await driver.write(handle, 'x', 2 ** 62)).toBe('EFBIG');
    expect((await driver.call('truncate', '/a/file', 0, 0x7fff_ffff)).result).toBe('EFBIG');
    expect(await driver.read(handle)).toBe('lower\n');
    await driver.do('release', '-', handle);
    expect(await driver.write(handle, 'x')).toBe('EBADF');
  });
});
