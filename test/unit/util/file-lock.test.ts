// Locks on files, within a process and across processes.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { tryLockFile } from '../../../src/util/file-lock.ts';
import { makeTestFolder } from '../../support/test-folder.ts';

const folder = makeTestFolder();
afterAll(() => rm(folder, { recursive: true, force: true }));

it('is held by one at a time', () => {
  const path = join(folder, 'lock');
  const lock = tryLockFile(path);
  expect(lock).toBeDefined();
  expect(tryLockFile(path)).toBeUndefined();
  lock?.release();
  lock?.release();
  const next = tryLockFile(path);
  expect(next).toBeDefined();
  next?.release();
});

it('ends with the process that holds it, even when that is killed', async () => {
  const path = join(folder, 'other');
  const holder = spawn('flock', ['--no-fork', path, 'sh', '-c', 'echo; read x'], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  await once(holder.stdout, 'data');
  expect(tryLockFile(path)).toBeUndefined();
  const ended = once(holder, 'exit');
  holder.kill('SIGKILL');
  await ended;
  const lock = tryLockFile(path);
  expect(lock).toBeDefined();
  lock?.release();
});

it('says why a file cannot be locked', () => {
  expect(() => tryLockFile(join(folder, 'missing', 'lock'))).toThrow('ENOENT');
});
