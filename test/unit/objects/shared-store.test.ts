// The store with several processes: publishing at once, being killed, a full disk.
import { execFileSync, fork, type ChildProcess } from 'node:child_process';
import { closeSync, readdirSync, statSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { openObjectStore } from '../../../src/objects/object-store.ts';
import { hashObject } from '../../../src/util/git-hash.ts';
import { compileSource, type CompiledSource } from '../../support/compile-source.ts';
import { createStoreFolder, readOpenFile, type StoreFolder } from '../../support/store-folder.ts';

const BLOB_BYTES = 3_000_000;

/** The content of blob N, which every process makes for itself. */
const contentOf = (number: number, length: number): Buffer => Buffer.alloc(length, `blob ${number} `);

// Publishes blobs 0, 1, 2... into the store of argv[2], and says so after each.
const CHILD = (storeUrl: string, hashUrl: string): string => `
import { openObjectStore } from ${JSON.stringify(storeUrl)};
import { hashObject } from ${JSON.stringify(hashUrl)};
const [directory, count, length] = process.argv.slice(2);
const store = openObjectStore(directory, { onWarning: (message) => process.send({ warning: message }) });
process.send({ ready: true });
await new Promise((resolve) => process.once('message', resolve));
for (let number = 0; number < Number(count); number++) {
  const content = Buffer.alloc(Number(length), 'blob ' + number + ' ');
  const id = hashObject('blob', content);
  const writer = store.writeBlob(id);
  writer.begin(content.length);
  for (let at = 0; at < content.length; at += 100_000) await writer.write(content.subarray(at, at + 100_000));
  await writer.finish();
  store.putSizes([[id, content.length]]);
  process.send({ published: number });
}
await store.close();
process.disconnect();
`;

// Removes everything that may go from the store of argv[2], and says so when it begins.
const PRUNER = (storeUrl: string): string => `
import { openObjectStore } from ${JSON.stringify(storeUrl)};
const store = openObjectStore(process.argv[2], { onWarning: (message) => process.send({ warning: message }) });
process.send({ ready: true });
await new Promise((resolve) => process.once('message', resolve));
const removed = await store.prune(0);
process.send({ removed });
await store.close();
process.disconnect();
`;

let compiled: CompiledSource;
let script: string;
let pruner: string;
let folder: StoreFolder;
const children: ChildProcess[] = [];

beforeAll(async () => {
  compiled = await compileSource();
  script = join(await mkdtemp(join(tmpdir(), 'scorpio-child-')), 'child.mjs');
  await writeFile(
    script,
    CHILD(compiled.urlOf('objects/object-store.ts'), compiled.urlOf('util/git-hash.ts')),
  );
  pruner = join(script, '../pruner.mjs');
  await writeFile(pruner, PRUNER(compiled.urlOf('objects/object-store.ts')));
});

afterAll(async () => {
  await compiled.remove();
  await rm(join(script, '..'), { recursive: true, force: true });
});

beforeEach(async () => {
  folder = await createStoreFolder();
});

afterEach(async () => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  await folder[Symbol.asyncDispose]();
});

/** Starts a child that waits for a message before it publishes. */
async function startChild(
  count: number,
  length: number,
): Promise<{ child: ChildProcess; warnings: string[] }> {
  const child = fork(script, [folder.path, String(count), String(length)]);
  children.push(child);
  const warnings: string[] = [];
  child.on('message', (message: { warning?: string }) => {
    if (message.warning !== undefined) warnings.push(message.warning);
  });
  await once(child, 'message');
  return { child, warnings };
}

/** Checks each published file against its name; returns how many there are. */
function verifyAll(): number {
  let count = 0;
  const objects = join(folder.path, 'objects');
  for (const prefix of readdirSync(objects)) {
    for (const name of readdirSync(join(objects, prefix))) {
      const content = execFileSync('git', ['hash-object', '--no-filters', join(objects, prefix, name)], {
        encoding: 'latin1',
      });
      expect(content.trim()).toBe(prefix + name);
      count++;
    }
  }
  return count;
}

describe('several processes', () => {
  test('may publish the same blobs at the same time', async () => {
    const started = await Promise.all([
      startChild(30, 20_000),
      startChild(30, 20_000),
      startChild(30, 20_000),
    ]);
    const exits = started.map(({ child }) => once(child, 'exit'));
    for (const { child } of started) child.send('go');
    expect((await Promise.all(exits)).map(([code]) => code as unknown)).toEqual([0, 0, 0]);
    expect(started.map(({ warnings }) => warnings)).toEqual([[], [], []]);
    expect(verifyAll()).toBe(30);
    expect(folder.temporaryFiles()).toEqual([]);
    await using store = openObjectStore(folder.path);
    const id = hashObject('blob', contentOf(29, 20_000));
    expect(store.size(id)).toBe(20_000);
  });

  test('one that is killed in the middle of publishing leaves nothing half published', async () => {
    let leftovers = 0;
    for (let round = 0; round < 8 || (leftovers === 0 && round < 40); round++) {
      const { child } = await startChild(1000, BLOB_BYTES);
      child.send('go');
      await once(child, 'message');
      await new Promise((resolve) => void setTimeout(resolve, round * 3));
      const exit = once(child, 'exit');
      child.kill('SIGKILL');
      await exit;
      expect(verifyAll()).toBeGreaterThan(0);
      const left = folder.temporaryFiles().length;
      leftovers += left;
      await using store = openObjectStore(folder.path);
      expect(await store.removeLeftovers()).toBe(left);
      expect(folder.temporaryFiles()).toEqual([]);
      const fd = await store.openBlob(hashObject('blob', contentOf(0, BLOB_BYTES)));
      expect(fd).toBeDefined();
      expect(readOpenFile(fd ?? -1).equals(contentOf(0, BLOB_BYTES))).toBe(true);
      closeSync(fd ?? -1);
    }
    // Otherwise no round hit the middle, and nothing was tested.
    expect(leftovers).toBeGreaterThan(0);
  });
});

describe('eviction by several processes', () => {
  const BLOBS = 400;

  async function fill(): Promise<void> {
    await using store = openObjectStore(folder.path);
    for (let number = 0; number < BLOBS; number++) {
      const content = contentOf(number, 5000);
      const writer = store.writeBlob(hashObject('blob', content));
      writer.begin(content.length);
      await writer.write(content);
      await writer.finish();
    }
  }

  const count = (): number =>
    readdirSync(join(folder.path, 'objects')).reduce(
      (sum, prefix) => sum + readdirSync(join(folder.path, 'objects', prefix)).length,
      0,
    );

  test('one that is killed in the middle of it leaves a store that is right', async () => {
    let isHit = false;
    for (let round = 0; round < 20 && !isHit; round++) {
      await fill();
      const child = fork(pruner, [folder.path]);
      children.push(child);
      await once(child, 'message');
      child.send('go');
      while (count() === BLOBS) await new Promise((resolve) => void setImmediate(resolve));
      const exit = once(child, 'exit');
      child.kill('SIGKILL');
      await exit;
      const left = verifyAll();
      isHit = left > 0 && left < BLOBS;
      await using store = openObjectStore(folder.path);
      // Noted may be what is gone, never gone what is noted as removed.
      expect(store.status().blobs).toBeGreaterThanOrEqual(left);
      const { blobs } = await store.prune(Number.MAX_SAFE_INTEGER);
      expect(blobs).toBe(0);
      expect(store.status()).toMatchObject({ blobs: left, blobBytes: left * 8192 });
      expect((await store.prune(0)).blobs).toBe(left);
      expect(count()).toBe(0);
      expect(store.status()).toMatchObject({ blobs: 0, blobBytes: 0 });
    }
    expect(isHit).toBe(true);
  }, 60_000);

  test('leaves what another process has open, and each file is removed once', async () => {
    await fill();
    await using store = openObjectStore(folder.path);
    const id = hashObject('blob', contentOf(7, 5000));
    const fd = (await store.openBlob(id)) ?? -1;
    const started = await Promise.all(
      [0, 1].map(async () => {
        const child = fork(pruner, [folder.path]);
        children.push(child);
        await once(child, 'message');
        return child;
      }),
    );
    const results = started.map((child) => once(child, 'message'));
    for (const child of started) child.send('go');
    const removed = (await Promise.all(results)).map(([message]) => message.removed.blobs as number);
    expect((removed[0] ?? 0) + (removed[1] ?? 0)).toBe(BLOBS - 1);
    expect(readOpenFile(fd).equals(contentOf(7, 5000))).toBe(true);
    closeSync(fd);
    expect(verifyAll()).toBe(1);
    expect(store.status().blobs).toBe(1);
  }, 60_000);
});

describe.skipIf(process.getuid?.() !== 0)('a full disk (needs root, to mount a small tmpfs)', () => {
  let mountpoint: string;

  beforeEach(async () => {
    mountpoint = await mkdtemp(join(tmpdir(), 'scorpio-full-'));
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=2m', 'scorpio-test', mountpoint]);
  });

  afterEach(async () => {
    execFileSync('umount', [mountpoint]);
    await rm(mountpoint, { recursive: true });
  });

  // A small one is written on the spot, a large one in the thread pool.
  test.each([[500_000], [8_000_000]])(
    'a blob of %i bytes fails with ENOSPC and leaves no file',
    async (length) => {
      const filler = join(mountpoint, 'filler');
      await using store = openObjectStore(mountpoint);
      await writeFile(filler, Buffer.alloc(1_600_000));
      const content = contentOf(1, length);
      const writer = store.writeBlob(hashObject('blob', content));
      const send = async (): Promise<void> => {
        writer.begin(length);
        for (let at = 0; at < length; at += 100_000) await writer.write(content.subarray(at, at + 100_000));
        await writer.finish();
      };
      await expect(send()).rejects.toMatchObject({
        code: 'ENOSPC',
        message: expect.stringContaining('free space'),
      });
      expect(writer.failure).toMatchObject({ code: 'ENOSPC' });
      expect(readdirSync(join(mountpoint, 'tmp'))).toEqual([]);
      expect(readdirSync(join(mountpoint, 'objects'))).toEqual([]);
      // With space again it works: nothing is remembered.
      await rm(filler);
      const small = contentOf(2, 1000);
      const id = hashObject('blob', small);
      const next = store.writeBlob(id);
      next.begin(undefined);
      await next.write(small);
      await next.finish();
      expect(statSync(join(mountpoint, 'objects', id.slice(0, 2), id.slice(2))).size).toBe(1000);
    },
  );

  test('a tree that cannot be kept is a warning, since it can be served all the same', async () => {
    const warnings: string[] = [];
    await using store = openObjectStore(mountpoint, { onWarning: (message) => warnings.push(message) });
    const payload = Buffer.from(`100644 a\0${'x'.repeat(20)}`.repeat(50_000), 'latin1');
    store.putTrees([[hashObject('tree', payload), { payload, sizes: undefined }]]);
    const part = payload.subarray(29);
    store.putTrees([[hashObject('tree', part), { payload: part, sizes: undefined }]]);
    expect(warnings).toEqual([expect.stringContaining('free space')]);
  });
});
