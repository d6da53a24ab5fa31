// What a mount says of its large files after each kind of change.
import { setImmediate } from 'node:timers/promises';
import { expect, test, afterEach, describe } from 'vitest';
import { lfsOid, lfsPointerTo, noise } from '../../../support/lfs-repository.ts';
import { ATTRIBUTES, LargeMount, never } from './large-mount.ts';

const A = noise(200_000, 'a');
const B = noise(150_000, 'b');
const NEW = noise(90_000, 'new');

let mount: LargeMount;
afterEach(() => mount.dispose());

const start = async (): Promise<LargeMount['fs']> => {
  mount = await LargeMount.create(
    { 'a.bin': A, 'dir/b.bin': B, 'dir/deep/c.bin': B },
    { 'plain.txt': 'text', 'small.bin': 'an ordinary file that the attributes mark', 'dir/x.txt': 'x' },
  );
  return mount.fs;
};

test('nothing was changed, nothing is told', async () => {
  await start();
  expect(await mount.status()).toEqual({});
});

test('touch, chmod and mv change no content, and fetch none', async () => {
  const fs = await start();
  await fs.setattr('a.bin', { mode: 0o100755 });
  await fs.setattr('dir/b.bin', { mtime: { seconds: 5, nanoseconds: 0 } });
  await fs.rename('dir/deep/c.bin', 'moved.bin');
  const files = await mount.status();
  expect(files['a.bin']).toMatchObject({
    change: 'unmodified',
    oid: lfsOid(A),
    size: A.length,
    isUploaded: true,
  });
  expect(files['dir/b.bin']).toMatchObject({ change: 'unmodified', oid: lfsOid(B), oldOid: lfsOid(B) });
  expect(files['moved.bin']).toMatchObject({
    change: 'renamed',
    from: 'dir/deep/c.bin',
    oid: lfsOid(B),
    oldOid: lfsOid(B),
    isUploaded: true,
  });
  expect(Object.keys(files).sort()).toEqual(['a.bin', 'dir/b.bin', 'moved.bin']);
  expect(mount.proxy.count(lfsOid(A), 'GET') + mount.proxy.count(lfsOid(B), 'GET')).toBe(0);
});

test('new, modified and deleted files, with their hashes and sizes', async () => {
  const fs = await start();
  await fs.writeFile('a.bin', NEW);
  await fs.writeFile('dir/added.bin', 'added');
  await fs.unlink('dir/b.bin');
  await fs.writeFile('plain.txt', 'other text');
  const files = await mount.status();
  expect(files).toMatchObject({
    'a.bin': {
      change: 'modified',
      oid: lfsOid(NEW),
      size: NEW.length,
      oldOid: lfsOid(A),
      oldSize: A.length,
      isUploaded: undefined,
    },
    'dir/added.bin': { change: 'new', oid: lfsOid('added'), oldOid: undefined, size: 5 },
    'dir/b.bin': { change: 'deleted', oid: undefined, oldOid: lfsOid(B), size: 0 },
  });
  expect(Object.keys(files)).toHaveLength(3);
  expect((await mount.status({ askServer: true }))['a.bin']?.isUploaded).toBe(false);
  expect(Object.keys(await mount.status({ paths: ['dir'] })).sort()).toEqual(['dir/added.bin', 'dir/b.bin']);
});

test('a file that is changed back is unmodified again', async () => {
  const fs = await start();
  await fs.append('a.bin', 'more');
  expect((await mount.status())['a.bin']).toMatchObject({ change: 'modified', size: A.length + 4 });
  await fs.setattr('a.bin', { size: A.length });
  expect((await mount.status())['a.bin']).toMatchObject({ change: 'unmodified', isUploaded: true });
  await fs.writeFile('a.bin', NEW);
  await fs.writeFile('a.bin', A);
  expect((await mount.status())['a.bin']).toMatchObject({ change: 'unmodified', oid: lfsOid(A) });
});

test('moved by a copy and a deletion, over another file, and with its whole folder', async () => {
  const fs = await start();
  await fs.writeFile('copied.bin', await fs.readFile('a.bin'));
  expect((await mount.status())['copied.bin']).toMatchObject({ change: 'new' });
  await fs.unlink('a.bin');
  expect(await mount.status()).toMatchObject({ 'copied.bin': { change: 'renamed', from: 'a.bin' } });
  await fs.rename('dir', 'folder');
  const files = await mount.status();
  expect(files).toMatchObject({
    'folder/b.bin': { change: 'renamed', from: 'dir/b.bin', oid: lfsOid(B) },
    'folder/deep/c.bin': { change: 'renamed', from: 'dir/deep/c.bin' },
  });
  expect(Object.keys(files)).toHaveLength(3);
  await fs.rename('folder/b.bin', 'small.bin');
  expect(await mount.status({ paths: ['small.bin', 'dir/b.bin'] })).toMatchObject({
    'small.bin': { change: 'modified', oid: lfsOid(B), oldOid: undefined },
    'dir/b.bin': { change: 'deleted' },
  });
});

test('hashes come in the background unless they are waited for', async () => {
  const fs = await start();
  await fs.writeFile('a.bin', NEW);
  const look = () => mount.lfs.status({ paths: [] }, { waitForHashes: false, askServer: false }, never);
  const first = await look();
  expect(first).toMatchObject({ hashing: 1, files: [{ path: 'a.bin', change: 'unknown', oid: undefined }] });
  await expect.poll(async () => (await look()).files[0]?.change, { timeout: 15_000 }).toBe('modified');
  expect(await look()).toMatchObject({ hashing: 0 });
  // What was learned is still known after a restart.
  await mount.restart();
  expect(await look()).toMatchObject({ hashing: 0, files: [{ oid: lfsOid(NEW) }] });
});

describe('attributes that change', () => {
  test('a file that they mark no more is told of as one that was large', async () => {
    const fs = await start();
    await fs.stat('a.bin');
    mount.attributes = '';
    await fs.writeFile('.gitattributes', '');
    await fs.writeFile('a.bin', NEW);
    expect(await mount.status()).toMatchObject({
      'a.bin': { isLfs: false, change: 'modified', oid: undefined, oldOid: lfsOid(A) },
    });
  });

  test('a changed file that they mark now is large; one that was not changed is not', async () => {
    const fs = await start();
    await fs.setattr('dir/x.txt', { mode: 0o100755 });
    await fs.writeFile('plain.txt', 'other text');
    mount.attributes = `${ATTRIBUTES}*.txt filter=lfs\n`;
    expect(await mount.status()).toMatchObject({
      'plain.txt': { isLfs: true, change: 'modified', oid: lfsOid('other text'), oldOid: undefined },
    });
    expect(Object.keys(await mount.status())).toHaveLength(1);
  });

  test('a large file that is moved to where nothing marks it stops being one', async () => {
    const fs = await start();
    await fs.rename('a.bin', 'a.dat');
    expect(await mount.status()).toMatchObject({
      'a.dat': { isLfs: false, change: 'renamed', from: 'a.bin' },
    });
  });
});

test('a pointer that the user wrote stands for what it says', async () => {
  const fs = await start();
  await fs.writeFile('a.bin', lfsPointerTo(B));
  expect(await mount.status()).toMatchObject({
    'a.bin': { change: 'modified', oid: lfsOid(B), size: B.length, isUploaded: undefined },
  });
  expect((await mount.status({ askServer: true }))['a.bin']?.isUploaded).toBe(true);
});

test('without the server the changes are told all the same, and why it could not be asked', async () => {
  const fs = await start();
  await fs.writeFile('a.bin', NEW);
  await mount.proxy.stop();
  const status = await mount.lfs.status({ paths: [] }, { waitForHashes: true, askServer: true }, never);
  expect(status.files).toMatchObject([{ path: 'a.bin', change: 'modified', isUploaded: undefined }]);
  expect(status.serverProblem).toContain(mount.proxy.url);
  await mount.proxy.start();
  const again = await mount.lfs.status({ paths: [] }, { waitForHashes: true, askServer: true }, never);
  expect(again).toMatchObject({ serverProblem: undefined, files: [{ isUploaded: false }] });
});

test('a file that is gone when it is to be hashed does not keep the others from being told', async () => {
  const fs = await start();
  const names = Array.from({ length: 12 }, (_none, nth) => `${nth}.bin`);
  for (const name of names) await fs.writeFile(name, noise(300_000, name));
  const looking = mount.status();
  await setImmediate();
  await fs.unlink('9.bin');
  const files = await looking;
  expect(files['8.bin']).toMatchObject({ change: 'new', size: 300_000 });
  expect([undefined, 'unknown', 'new']).toContain(files['9.bin']?.change);
  expect((await mount.status())['9.bin']).toBeUndefined();
});

test('who has locked a file is told', async () => {
  const fs = await start();
  mount.lockedBy.set('a.bin', { owner: 'Ada', isOurs: false });
  await fs.writeFile('a.bin', NEW);
  expect((await mount.status())['a.bin']?.lockedBy).toBe('Ada');
});

test('paths from outside of the mount are refused', async () => {
  await start();
  await expect(mount.status({ paths: ['../x'] })).rejects.toMatchObject({
    name: 'MountError',
    kind: 'invalid',
  });
});
