// Pushing large files, and the blobs that a commit gets: no pointer without its object on the server.
import { closeSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { LfsError } from '../../../../src/lfs/lfs-error.ts';
import type { CommitBlob, LfsProgress } from '../../../../src/mount/lfs/mount-lfs.ts';
import { lfsObjectPath, lfsOid, lfsPointerTo, noise } from '../../../support/lfs-repository.ts';
import { finish, LargeMount, never } from './large-mount.ts';

const A = noise(200_000, 'a');
const NEW = noise(900_000, 'new');
const WAIT = { timeout: 15_000 };
const OTHER = noise(300_000, 'other');

let mount: LargeMount;
let fs: LargeMount['fs'];
beforeEach(async () => {
  mount = await LargeMount.create(
    { 'a.bin': A, 'dir/b.bin': 'B'.repeat(500) },
    { 'x.txt': 'text\n'.repeat(40) },
  );
  fs = mount.fs;
});
afterEach(() => mount.dispose());

const push = (paths: readonly string[] = []) => finish(mount.lfs.push({ paths }));
const isOnServer = (content: string | Buffer): boolean =>
  existsSync(lfsObjectPath(mount.serverStore, lfsOid(content)));

async function blob(path: string): Promise<string> {
  return readBlob(await mount.lfs.commitBlob(path, never));
}

function readBlob(found: CommitBlob): string {
  if (found.kind === 'pointer') return found.content.toString();
  try {
    const content = readFileSync(found.fd, 'latin1');
    expect(content).toHaveLength(found.size);
    return content;
  } finally {
    closeSync(found.fd);
  }
}

describe('a push', () => {
  test('uploads what is new or modified, and nothing else', async () => {
    await fs.writeFile('a.bin', NEW);
    await fs.writeFile('dir/new.bin', OTHER);
    await fs.setattr('dir/b.bin', { mode: 0o100755 });
    await fs.writeFile('x.txt', 'ordinary');
    const seen: LfsProgress[] = [];
    const report = await mount.lfs.push({ paths: [] })((progress) => seen.push(progress), never);
    expect(report).toMatchObject({
      files: 2,
      filesDone: 2,
      filesFailed: 0,
      filesPresent: 0,
      bytes: NEW.length + OTHER.length,
      totalBytes: NEW.length + OTHER.length,
      failures: [],
    });
    expect(seen.at(-1)).toMatchObject({ isCounting: false, filesDone: 2 });
    expect([isOnServer(NEW), isOnServer(OTHER), isOnServer('ordinary')]).toEqual([true, true, false]);
    expect(await mount.status()).toMatchObject({
      'a.bin': { change: 'modified', isUploaded: true },
      'dir/new.bin': { change: 'new', isUploaded: true },
    });
    // Again: the server has it all.
    expect(await push()).toMatchObject({ filesDone: 2, filesPresent: 2, bytes: 0, totalBytes: 0 });
    await mount.restart();
    expect((await mount.status())['a.bin']?.isUploaded).toBe(true);
  });

  test('of single paths leaves the others', async () => {
    await fs.writeFile('a.bin', NEW);
    await fs.writeFile('dir/new.bin', OTHER);
    expect(await push(['/dir/'])).toMatchObject({ files: 1, filesDone: 1 });
    expect([isOnServer(NEW), isOnServer(OTHER)]).toEqual([false, true]);
    expect(await push(['nothing'])).toMatchObject({ files: 0 });
  });

  test('of one content under many names sends it once', async () => {
    for (const name of ['one.bin', 'two.bin', 'three.bin']) await fs.writeFile(name, NEW);
    expect(await push()).toMatchObject({ files: 3, filesDone: 3, bytes: NEW.length, totalBytes: NEW.length });
    expect(mount.proxy.count(lfsOid(NEW), 'PUT') + mount.proxy.count(lfsOid(NEW), 'PATCH')).toBe(1);
  });

  test('of an empty file, and of one that was changed back, needs no server', async () => {
    await fs.writeFile('empty.bin', '');
    await fs.writeFile('a.bin', A);
    await mount.proxy.stop();
    await expect(push()).resolves.toMatchObject({ files: 2, filesDone: 2, filesPresent: 2 });
    await mount.proxy.start();
  });

  test('that fails says which file and why, and the next one sends only what lacks', async () => {
    await fs.writeFile('a.bin', NEW);
    await fs.writeFile('dir/new.bin', OTHER);
    mount.proxy.inject({ kind: 'status', status: 403 }, { path: lfsOid(NEW), method: 'PUT' });
    mount.proxy.inject({ kind: 'status', status: 403 }, { path: lfsOid(NEW), method: 'PATCH' });
    const report = await push();
    expect(report).toMatchObject({
      filesDone: 1,
      filesFailed: 1,
      failures: [{ path: 'a.bin', oid: lfsOid(NEW) }],
    });
    expect((await mount.status())['a.bin']?.isUploaded).toBeUndefined();
    await expect(blob('a.bin')).rejects.toMatchObject({ name: 'MountError', kind: 'invalid' });
    mount.proxy.heal();
    expect(await push()).toMatchObject({ filesDone: 2, filesPresent: 1, bytes: NEW.length });
  });

  test('to a server that is away ends with a reason', async () => {
    await fs.writeFile('a.bin', NEW);
    await mount.proxy.stop();
    await expect(push()).rejects.toMatchObject({ name: 'MountError', kind: 'upstream' });
    await mount.proxy.start();
    expect(await push()).toMatchObject({ filesDone: 1 });
  });

  test('that is cancelled ends, and can be repeated', async () => {
    await fs.writeFile('a.bin', NEW);
    const fault = { kind: 'hang' } as const;
    for (const method of ['PUT', 'PATCH']) mount.proxy.inject(fault, { path: lfsOid(NEW), method });
    const controller = new AbortController();
    const pushing = finish(mount.lfs.push({ paths: [] }), controller.signal);
    const isAsked = () =>
      mount.proxy.requests.some((seen) => seen.method === 'PUT' || seen.method === 'PATCH');
    await expect.poll(isAsked, WAIT).toBe(true);
    controller.abort(new Error('enough'));
    await expect(pushing).rejects.toThrow('enough');
    mount.proxy.heal();
    expect(await push()).toMatchObject({ filesDone: 1, filesFailed: 0 });
    expect(isOnServer(NEW)).toBe(true);
  });

  test('of a file that is written meanwhile sends what it is in the end', async () => {
    await fs.writeFile('a.bin', NEW);
    const { client } = mount;
    const changes = [OTHER, NEW];
    mount.client = {
      ...client,
      // Hashed, and about to be sent.
      upload: async (...given) => {
        const content = changes.pop();
        if (content !== undefined) await fs.writeFile('a.bin', content);
        return client.upload(...given);
      },
    };
    expect(await push()).toMatchObject({ filesDone: 1, filesFailed: 0, failures: [], bytes: OTHER.length });
    expect(changes).toEqual([]);
    expect(isOnServer(OTHER)).toBe(true);
    expect(await blob('a.bin')).toBe(lfsPointerTo(OTHER));
  });

  test('of a file that is written all the time gives it up, and one that is removed meanwhile fails', async () => {
    for (const name of ['a.bin', 'gone.bin']) await fs.writeFile(name, NEW);
    const { client } = mount;
    let round = 0;
    mount.client = {
      ...client,
      upload: async (...given) => {
        await fs.writeFile('a.bin', `content ${round++}`);
        if (round === 1) await fs.unlink('gone.bin');
        return client.upload(...given);
      },
    };
    const { filesDone, failures } = await push();
    expect(filesDone).toBe(0);
    expect(failures).toEqual([
      expect.objectContaining({ path: 'gone.bin', reason: expect.stringContaining('removed') as string }),
      expect.objectContaining({
        path: 'a.bin',
        reason: expect.stringContaining('again and again') as string,
      }),
    ]);
    expect(await mount.lfs.commitBlob('a.bin', never).catch((error: Error) => error)).toBeInstanceOf(Error);
  });

  test('to a server that says yes and keeps nothing fails, and no commit refers to it', async () => {
    await fs.writeFile('a.bin', NEW);
    await fs.writeFile('dir/new.bin', OTHER);
    const { client } = mount;
    mount.client = {
      ...client,
      upload: async (...given) => {
        const outcomes = await client.upload(...given);
        rmSync(lfsObjectPath(mount.serverStore, lfsOid(NEW)));
        return outcomes;
      },
    };
    expect(await push()).toMatchObject({
      files: 2,
      filesDone: 1,
      filesFailed: 1,
      failures: [{ path: 'a.bin', oid: lfsOid(NEW), reason: expect.stringContaining('not have') as string }],
    });
    await expect(blob('a.bin')).rejects.toThrow(/push/u);
    expect(await blob('dir/new.bin')).toBe(lfsPointerTo(OTHER));
  });

  test('to a server that goes away after it is told of, and a commit asks again', async () => {
    await fs.writeFile('a.bin', NEW);
    const { client } = mount;
    let isAway = true;
    mount.client = {
      ...client,
      present: async (...given) => {
        if (isAway) throw new LfsError('unreachable', 'nobody is there');
        return client.present(...given);
      },
    };
    expect(await push()).toMatchObject({
      filesDone: 1,
      warnings: [expect.stringContaining('nobody is there')],
    });
    await expect(blob('a.bin')).rejects.toThrow(/nobody is there/u);
    isAway = false;
    expect(await blob('a.bin')).toBe(lfsPointerTo(NEW));
  });

  test('is not misled by a damaged record of hashes', async () => {
    await fs.writeFile('a.bin', NEW);
    await mount.status();
    await mount.close();
    const record = join(mount.folder, 'state', 'hashes');
    writeFileSync(record, readFileSync(record, 'utf8').replaceAll(lfsOid(NEW), lfsOid(OTHER)));
    await mount.open();
    fs = mount.fs;
    expect((await mount.status())['a.bin']).toMatchObject({ oid: lfsOid(OTHER) });
    expect(await push()).toMatchObject({ filesDone: 1, filesFailed: 0, failures: [] });
    expect([isOnServer(NEW), isOnServer(OTHER)]).toEqual([true, false]);
    await mount.restart();
    fs = mount.fs;
    expect((await mount.status())['a.bin']).toMatchObject({ oid: lfsOid(NEW), isUploaded: true });
    expect(await blob('a.bin')).toBe(lfsPointerTo(NEW));
  });

  test('warns of files that somebody else has locked', async () => {
    mount.lockedBy.set('a.bin', { owner: 'Ada', isOurs: false });
    mount.lockedBy.set('dir/b.bin', { owner: 'me', isOurs: true });
    for (const path of ['a.bin', 'dir/b.bin']) await fs.writeFile(path, NEW);
    const { warnings } = await push();
    expect(warnings).toEqual([expect.stringContaining('a.bin is locked by Ada')]);
  });

  test('of an ordinary file that was moved to where it is large sends its content', async () => {
    await fs.rename('x.txt', 'x.bin');
    expect(await push()).toMatchObject({ files: 1, filesDone: 1 });
    expect(isOnServer('text\n'.repeat(40))).toBe(true);
    expect(await blob('x.bin')).toBe(lfsPointerTo('text\n'.repeat(40)));
  });
});

describe('the blob to commit', () => {
  test('is the pointer once the server has the object, and refused before', async () => {
    await fs.writeFile('a.bin', NEW);
    await expect(blob('a.bin')).rejects.toThrow(/a\.bin.*does not have.*push/u);
    await push();
    const found = await mount.lfs.commitBlob('/a.bin', never);
    expect(found).toMatchObject({ kind: 'pointer', oid: lfsOid(NEW), size: NEW.length });
    expect(readBlob(found)).toBe(lfsPointerTo(NEW));
    await fs.append('a.bin', '!');
    await expect(blob('a.bin')).rejects.toThrow(/push/u);
  });

  test('is refused for an object that the server lost, and that another client pushed is taken', async () => {
    await fs.writeFile('a.bin', NEW);
    await push();
    await mount.restart();
    fs = mount.fs;
    rmSync(lfsObjectPath(mount.serverStore, lfsOid(NEW)));
    // The word of the server is good for a while: a commit follows a push.
    expect(await blob('a.bin')).toBe(lfsPointerTo(NEW));
    await mount.status({ askServer: true });
    await expect(blob('a.bin')).rejects.toThrow(/push/u);
  });

  test('of files that were not changed in content is that of the commit', async () => {
    await fs.setattr('a.bin', { mode: 0o100755 });
    await fs.rename('dir/b.bin', 'moved.bin');
    await mount.proxy.stop();
    await mount.proxy.start();
    expect(await blob('a.bin')).toBe(lfsPointerTo(A));
    expect(await blob('moved.bin')).toBe(lfsPointerTo('B'.repeat(500)));
    expect(mount.proxy.count('objects/batch', 'POST')).toBe(0);
  });

  test('of an ordinary file is its content, of an empty large one nothing', async () => {
    await fs.writeFile('x.txt', 'ordinary');
    await fs.writeFile('empty.bin', '');
    expect(await blob('x.txt')).toBe('ordinary');
    expect(await blob('empty.bin')).toBe('');
    await fs.rename('a.bin', 'a.dat');
    expect(await blob('a.dat')).toBe(A.toString('latin1'));
  });

  test('of a pointer that the user wrote is that pointer, if the server has what it says', async () => {
    const text = lfsPointerTo('B'.repeat(500));
    await fs.writeFile('a.bin', text);
    expect(await blob('a.bin')).toBe(text);
    await fs.writeFile('a.bin', lfsPointerTo('nobody has this'));
    await expect(blob('a.bin')).rejects.toThrow(/push/u);
    expect(await push()).toMatchObject({
      filesFailed: 1,
      failures: [{ reason: expect.stringContaining('neither the server nor the local store') as string }],
    });
  });

  test('of what is not there, or is no file, is refused', async () => {
    await fs.unlink('a.bin');
    for (const path of ['a.bin', 'dir', 'nothing', '']) {
      await expect(blob(path)).rejects.toMatchObject({ kind: 'not-found' });
    }
  });

  test('of many paths asks the server once', async () => {
    const paths = Array.from({ length: 20 }, (_, index) => `many-${index}.bin`);
    for (const path of paths) await fs.writeFile(path, `content of ${path}`);
    await push();
    // As after a time in which the server may have removed it.
    await mount.close();
    rmSync(`${mount.folder}/state/uploaded`, { force: true });
    await mount.open();
    const before = mount.proxy.count('objects/batch', 'POST');
    await Promise.all(paths.map((path) => blob(path)));
    expect(mount.proxy.count('objects/batch', 'POST') - before).toBe(1);
  });
});
