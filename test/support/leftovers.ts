// Finds and removes what test runs leave behind: mounts, processes, temporary folders.
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { runsNamedIn } from './test-folder.ts';

const COMMAND_TIMEOUT_MS = 5000;

/** Something that a run left. */
export interface Leftover {
  readonly run: number;
  readonly description: string;
  /** Removes it by force. Never blocks on the filesystem that it removes. */
  readonly remove: () => void;
}

/** FUSE mounts in the temporary folders of test runs. */
export function findMounts(): Leftover[] {
  const found: Leftover[] = [];
  for (const line of readFileSync('/proc/self/mountinfo', 'latin1').split('\n')) {
    const [, , device, , mountpoint, ...rest] = line.split(' ');
    const [run] = runsNamedIn(mountpoint ?? '');
    if (run === undefined || mountpoint === undefined || !/ - fuse[. ]/.test(` ${rest.join(' ')}`)) continue;
    found.push({
      run,
      description: `mount ${mountpoint}`,
      remove: () => detach(mountpoint, device?.split(':')[1] ?? ''),
    });
  }
  return found;
}

/** Ends a mount whose daemon may hang: aborting the connection first wakes everybody who waits for it. */
function detach(mountpoint: string, connection: string): void {
  attempt(() => writeFileSync(`/sys/fs/fuse/connections/${connection}/abort`, '1'));
  const [command, args] = process.getuid?.() === 0 ? ['umount', ['-l']] : ['fusermount3', ['-uz']];
  attempt(() =>
    execFileSync(command, [...args, mountpoint], {
      timeout: COMMAND_TIMEOUT_MS,
      stdio: 'ignore',
    }),
  );
}

/** Daemons and servers that tests started: their command lines name the folder of a run. */
export function findProcesses(): Leftover[] {
  const found: Leftover[] = [];
  for (const entry of readdirSync('/proc')) {
    const pid = Number(entry);
    if (!Number.isInteger(pid) || pid === process.pid) continue;
    const command = commandOf(pid);
    const [run] = runsNamedIn(command);
    if (run === undefined || !command.includes('scorpio.js')) continue;
    found.push({ run, description: `process ${pid}: ${command}`, remove: () => kill(pid) });
  }
  return found;
}

function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'latin1').replaceAll('\0', ' ').trim();
  } catch {
    return '';
  }
}

function kill(pid: number): void {
  attempt(() => process.kill(pid, 'SIGKILL'));
}

/** Temporary folders of test runs. */
export function findFolders(): Leftover[] {
  return readdirSync(tmpdir()).flatMap((name) => {
    const [run] = runsNamedIn(name);
    const path = join(tmpdir(), name);
    if (run === undefined) return [];
    return [
      { run, description: `folder ${path}`, remove: () => rmSync(path, { recursive: true, force: true }) },
    ];
  });
}

/** Whether a run is over. */
export function isOver(run: number): boolean {
  return !existsSync(`/proc/${run}`);
}

/** Removes what earlier runs left that crashed. Mounts go first: everything else may wait for them. */
export async function removeLeftoversOfDeadRuns(): Promise<void> {
  for (const { run, remove } of [...findMounts(), ...findProcesses()]) if (isOver(run)) remove();
  await waitUntilGone(() => findMounts().filter(({ run }) => isOver(run)));
  for (const { run, remove } of findFolders()) if (isOver(run)) attempt(remove);
}

/** Ends everything that a run still has, at once. */
export function removeEverythingOf(run: number): Leftover[] {
  const all = [...findMounts(), ...findProcesses()].filter((leftover) => leftover.run === run);
  for (const { remove } of all) remove();
  return all;
}

/** Waits a little until a search finds nothing; returns what it still finds. */
export async function waitUntilGone(find: () => Leftover[]): Promise<Leftover[]> {
  for (let attempts = 0; attempts < 40; attempts++) {
    if (find().length === 0) return [];
    await sleep(50);
  }
  return find();
}

/** Cleaning up goes on whatever fails: what is really left is found and reported afterwards. */
function attempt(action: () => void): void {
  try {
    action();
  } catch {
    // See above.
  }
}
