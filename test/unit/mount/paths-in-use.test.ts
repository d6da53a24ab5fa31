// Which paths of a mount are in use, with real processes in a mount of tmpfs; only root can make one.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { findPathsInUse } from '../../../src/mount/paths-in-use.ts';
import { makeTestFolder } from '../../support/test-folder.ts';

let folder: string;
let root: string;
let children: ChildProcess[];

async function start(script: string, cwd = '/'): Promise<void> {
  const child = spawn('sh', ['-c', script], { cwd, stdio: ['pipe', 'pipe', 'inherit'] });
  children.push(child);
  await once(child.stdout, 'data');
}

describe.runIf(process.getuid?.() === 0)('in a mount', () => {
  beforeEach(() => {
    children = [];
    folder = realpathSync(makeTestFolder());
    root = join(folder, 'm\xe4');
    mkdirSync(root);
    execFileSync('mount', ['-t', 'tmpfs', 'scorpio-test', root]);
    for (const name of ['a', 'a/b', 'c', 'other']) mkdirSync(join(root, name));
    writeFileSync(join(root, 'c/file'), 'x');
  });
  afterEach(async () => {
    for (const child of children) {
      const ended = once(child, 'exit');
      if (child.kill('SIGKILL')) await ended;
    }
    execFileSync('umount', ['-R', '-l', root]);
    rmSync(folder, { recursive: true, force: true });
  });

  it('finds working folders, open files, and what something is mounted on', async () => {
    await start('echo; read x', join(root, 'a/b'));
    await start(`exec 3<${root}/c/file; echo; read x`);
    execFileSync('mount', ['-t', 'tmpfs', 'scorpio-test', join(root, 'other')]);
    const used = await findPathsInUse(root, false);
    expect([...(used ?? [])].sort((a, b) => a.localeCompare(b))).toEqual(['a/b', 'c/file', 'other']);
  });

  it('is not certain where the mount appears in a second place', async () => {
    const second = join(root, '../second');
    mkdirSync(second);
    execFileSync('mount', ['--bind', join(root, 'a'), second]);
    try {
      expect(await findPathsInUse(root, false)).toBeUndefined();
    } finally {
      execFileSync('umount', [second]);
    }
  });
});

it('is not certain of what is no mount', async () => {
  expect(await findPathsInUse('/nowhere', true)).toBeUndefined();
});
