// `store status` and `store prune`, and what doctor says of the store.
import { existsSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openObjectStore } from '../../../src/objects/object-store.ts';
import { hashObject } from '../../../src/util/git-hash.ts';
import { createSandbox, type Sandbox } from './run-scorpio.ts';

const BLOBS = 10;
const BLOB_BYTES = 102_400;

let sandbox: Sandbox;

beforeEach(async () => {
  sandbox = await createSandbox();
});

afterEach(async () => {
  await sandbox.remove();
});

async function fillStore(): Promise<void> {
  await using store = openObjectStore(sandbox.storePath);
  for (let number = 0; number < BLOBS; number++) {
    const content = Buffer.alloc(BLOB_BYTES, `blob ${number}`);
    const writer = store.writeBlob(hashObject('blob', content));
    writer.begin(content.length);
    await writer.write(content);
    await writer.finish();
  }
}

describe('without a store', () => {
  it('they say so, and make none', async () => {
    for (const command of ['status', 'prune']) {
      expect(await sandbox.run('store', command)).toEqual({
        code: 0,
        stdout: '',
        stderr: `note: there is no store at ${sandbox.storePath} yet\n`,
      });
    }
    expect(existsSync(`${sandbox.storePath}/metadata.db`)).toBe(false);
  });
});

describe('store status', () => {
  it('says what the store takes and may take', async () => {
    await fillStore();
    sandbox.env['SCORPIO_STORE_LIMIT'] = '20GB';
    sandbox.env['SCORPIO_STORE_KEEP_FREE'] = '0';
    const { code, stdout } = await sandbox.run('store', 'status');
    expect(code).toBe(0);
    expect(stdout).toContain('files     10, 1.02 MB');
    expect(stdout).toContain('at most 20 GB');
    const json = JSON.parse((await sandbox.run('store', 'status', '--json')).stdout) as object;
    expect(json).toMatchObject({
      path: sandbox.storePath,
      blobs: BLOBS,
      blob_bytes: BLOBS * BLOB_BYTES,
      limit_bytes: 20_000_000_000,
      keep_free_bytes: 0,
      protected_blobs: 0,
    });
    const doctor = await sandbox.run('doctor');
    expect(doctor.stdout).toMatch(/\[ OK \] store: 1\.\d+ MB used.* at most 20 GB/);
  });

  it('and doctor warn when the disk has less space than is to be left free', async () => {
    await fillStore();
    sandbox.env['SCORPIO_STORE_KEEP_FREE'] = '100%';
    expect((await sandbox.run('doctor')).stdout).toMatch(/\[WARN\] store: .*free space on that disk/);
  });
});

describe('store prune', () => {
  it('removes down to the size that is asked for', async () => {
    await fillStore();
    const { code, stdout, stderr } = await sandbox.run('store', 'prune', '--to', '0.5MB');
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(/^removed 6 files, 614 kB; the store takes \d+ kB\n$/);
    const json = JSON.parse((await sandbox.run('store', 'prune', '--to', '0', '--json')).stdout) as object;
    expect(json).toMatchObject({ removed_blobs: 4, removed_bytes: 4 * BLOB_BYTES, blobs: 0, counted: true });
  });

  it('removes down to store_limit by itself, and wants a size where there is none', async () => {
    await fillStore();
    sandbox.env['SCORPIO_STORE_LIMIT'] = '700KiB';
    expect((await sandbox.run('store', 'prune')).stdout).toContain('removed 4 files');
    sandbox.env['SCORPIO_STORE_LIMIT'] = '0';
    expect(await sandbox.run('store', 'prune')).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('--to SIZE'),
    });
    expect(await sandbox.run('store', 'prune', '--to', 'much')).toMatchObject({ code: 2 });
  });

  it('says when what is left must stay', async () => {
    await fillStore();
    await using store = openObjectStore(sandbox.storePath);
    store.protectBlob(hashObject('blob', Buffer.alloc(BLOB_BYTES, 'blob 3')));
    const { stdout, stderr } = await sandbox.run('store', 'prune', '--to', '0');
    expect(stdout).toContain('removed 9 files');
    expect(stderr).toContain('in use, protected, or metadata');
  });
});
