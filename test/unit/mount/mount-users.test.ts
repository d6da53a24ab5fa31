// Finding the processes that use a folder, with real processes.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, copyFileSync, mkdirSync, realpathSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { MountUser } from '../../../src/mount/mount-host.ts';
import { describeMountUsers, findMountUsers } from '../../../src/mount/mount-users.ts';
import { makeTestFolder } from '../../support/test-folder.ts';

let folder: string;
let children: ChildProcess[];
beforeEach(() => {
  children = [];
  folder = join(realpathSync(makeTestFolder()), 'm');
  mkdirSync(folder);
  mkdirSync(`${folder}-beside`);
});
afterEach(async () => {
  for (const child of children) {
    const ended = once(child, 'exit');
    if (child.kill('SIGKILL')) await ended;
  }
  await rm(join(folder, '..'), { recursive: true, force: true });
});

/** Starts a process that runs until the end of the test, and waits until its shell says that it is in place. */
async function start(script: string, cwd = '/'): Promise<number> {
  const child = spawn('sh', ['-c', script], { cwd, stdio: ['pipe', 'pipe', 'inherit'] });
  children.push(child);
  await once(child.stdout, 'data');
  return child.pid as number;
}

function usesOf(users: readonly MountUser[], pid: number): string[] {
  return users.filter((user) => user.pid === pid).map((user) => user.use);
}

it('names working folders, open files and deleted ones, each process once for each use', async () => {
  const inside = await start('echo; read x', folder);
  const open = await start(
    `exec 3>${folder}/a 4<${folder}/a 5>${folder}/gone; rm ${folder}/gone; echo; read x`,
  );
  const beside = await start('echo; read x', `${folder}-beside`);
  const users = await findMountUsers(folder);
  expect(usesOf(users, inside)).toEqual(['cwd']);
  expect(usesOf(users, open).sort()).toEqual([`open file ${folder}/a`, `open file ${folder}/gone`]);
  expect(usesOf(users, beside)).toEqual([]);
  expect(users.find((user) => user.pid === inside)?.command).toBe('sh');
});

it('names programs and mapped files', async () => {
  const program = join(folder, 'prog ram');
  copyFileSync('/bin/sleep', program);
  chmodSync(program, 0o755);
  const runs = spawn(program, ['60']);
  children.push(runs);
  const mapped = join(folder, 'mapped');
  writeFileSync(mapped, 'x'.repeat(4096));
  const script = `import mmap,sys
f=open(sys.argv[1],'r+b'); m=mmap.mmap(f.fileno(),0); f.close(); print('in place',flush=True); sys.stdin.read()`;
  const maps = spawn('python3', ['-c', script, mapped], { stdio: ['pipe', 'pipe', 'inherit'] });
  children.push(maps);
  await once(maps.stdout, 'data');
  const users = await findMountUsers(folder);
  expect(usesOf(users, runs.pid as number)).toEqual(['executable']);
  // Python keeps a descriptor of what it maps.
  expect(usesOf(users, maps.pid as number).join()).toContain(mapped);
});

it('finds nobody where nobody is', async () => {
  expect(await findMountUsers(folder)).toEqual([]);
});

it('describes some, and counts the rest', () => {
  const users = [1, 2, 3].map((pid) => ({ pid, command: 'vi', use: 'cwd' }));
  expect(describeMountUsers(users)).toBe('vi (pid 1: cwd), vi (pid 2: cwd), vi (pid 3: cwd)');
  expect(describeMountUsers(users, 1)).toBe('vi (pid 1: cwd) and 2 more');
});
