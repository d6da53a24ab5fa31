// `scorpio doctor`: what keeps this machine from mounting.
import { randomBytes } from 'node:crypto';
import { access, open, readFile, stat, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import type { Config } from '../../config/config.ts';
import { describeError } from '../../util/system-error.ts';
import { withoutCredentials } from '../../util/without-credentials.ts';
import { describeLfsServer } from '../../mount/lfs/describe-lfs-server.ts';
import { describeBindings } from '../../mount/describe-bindings.ts';
import { createContext, type GlobalOptions } from '../cli-context.ts';
import { ExitCode } from '../exit-codes.ts';
import { print } from '../output.ts';
import { requestJson } from '../request-json.ts';
import { describeRoom, readStoreStatus } from '../store-room.ts';

const SERVER_TIMEOUT_MS = 5000;

interface Finding {
  readonly mark: ' OK ' | 'WARN' | 'FAIL';
  readonly name: string;
  readonly detail: string;
}

const ok = (name: string, detail: string): Finding => ({ mark: ' OK ', name, detail });
const warn = (name: string, detail: string): Finding => ({ mark: 'WARN', name, detail });
const fail = (name: string, detail: string): Finding => ({ mark: 'FAIL', name, detail });

async function checkDevice(): Promise<Finding> {
  const exists = await access('/dev/fuse').then(
    () => true,
    () => false,
  );
  return exists
    ? ok('fuse device', '/dev/fuse is present')
    : fail(
        'fuse device',
        '/dev/fuse not found (load the `fuse` kernel module, or run in a FUSE-capable environment / container with --device /dev/fuse)',
      );
}

async function checkKernel(): Promise<Finding> {
  const text = await readFile('/proc/filesystems', 'utf8').catch(() => '');
  const known = text.split('\n').some((line) => line.trim().split(/\s+/u).at(-1) === 'fuse');
  return known
    ? ok('fuse filesystem', 'kernel supports fuse')
    : warn(
        'fuse filesystem',
        'fuse is not listed in /proc/filesystems (it may be a module that is not loaded yet)',
      );
}

async function checkHelper(): Promise<Finding[]> {
  if (process.getuid?.() === 0) return [];
  for (const folder of (process.env['PATH'] ?? '').split(':')) {
    const path = join(folder, 'fusermount3');
    if (
      await access(path).then(
        () => true,
        () => false,
      )
    )
      return [ok('fusermount3', path)];
  }
  return [fail('fusermount3', 'not found: an ordinary user needs it (install the package fuse3)')];
}

async function checkFuseConf(): Promise<Finding> {
  const name = '/etc/fuse.conf';
  try {
    const lines = (await readFile(name, 'utf8')).split('\n').map((line) => line.trim());
    return lines.includes('user_allow_other')
      ? ok(name, 'user_allow_other is enabled')
      : warn(name, 'user_allow_other not enabled (only needed for allow_other mounts)');
  } catch {
    return warn(name, 'not found (only needed for allow_other mounts)');
  }
}

async function checkFolder(name: string, path: string): Promise<Finding> {
  try {
    if (!(await stat(path)).isDirectory()) return fail(name, `${path}: not a directory`);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return checkMissing(name, path);
    return fail(name, `${path}: ${describeError(error)}`);
  }
  const probe = join(path, `.scorpio-doctor-probe.${process.pid}.${randomBytes(4).toString('hex')}`);
  try {
    await (await open(probe, 'wx')).close();
    await unlink(probe);
    return ok(name, `${path} is writable`);
  } catch (error) {
    return fail(name, `${path}: not writable: ${describeError(error)}`);
  }
}

/** The daemon makes missing folders: only where it could not, that is a failure. */
async function checkMissing(name: string, path: string): Promise<Finding> {
  for (let parent = join(path, '..'); ; parent = join(parent, '..')) {
    try {
      await access(parent, 2);
      return ok(name, `${path} does not exist yet, and can be made`);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT' && parent !== '/') continue;
      return fail(name, `${path}: does not exist, and ${parent} is not writable: ${describeError(error)}`);
    }
  }
}

async function checkServer({ baseUrl }: Config): Promise<Finding> {
  const name = 'mega server';
  const shown = withoutCredentials(baseUrl);
  try {
    const { status } = await requestJson({ method: 'GET', url: baseUrl, timeoutMs: SERVER_TIMEOUT_MS });
    return ok(name, `${shown} reachable (HTTP ${status})`);
  } catch (error) {
    return warn(name, `${shown} unreachable: ${(error as Error).message}`);
  }
}

async function checkLfsServer(config: Config): Promise<Finding> {
  const name = 'lfs server';
  const { url, problem } = await describeLfsServer(config, SERVER_TIMEOUT_MS);
  return problem === undefined
    ? ok(name, `${url} answers`)
    : warn(name, `${url}: ${problem} (only needed for large files)`);
}

async function checkStore(config: Config): Promise<Finding[]> {
  try {
    const status = await readStoreStatus(config);
    if (status === undefined) return [];
    const detail = describeRoom(status);
    const isTight = status.freeBytes < status.keepFreeBytes;
    return [isTight ? warn('store', `${detail}; free space on that disk`) : ok('store', detail)];
  } catch (error) {
    return [fail('store', (error as Error).message)];
  }
}

/** Which binding would serve mounts, and whether the other one could. */
async function checkBindings({ fuseBinding }: Config): Promise<Finding[]> {
  const { name, reason, problem, fuseNative, limits } = await describeBindings(fuseBinding);
  const used =
    problem === undefined
      ? ok('fuse binding', `${name}: ${reason}`)
      : fail('fuse binding', `${name} (${reason}), but it cannot run: ${problem}`);
  const loads =
    fuseNative === undefined
      ? ok('fuse-native', 'loads')
      : warn('fuse-native', `${fuseNative}${name === 'kernel' ? ' (not needed)' : ''}`);
  return [used, loads, ...limits.map((limit) => warn(`limit of ${name}`, `${limit.name}: ${limit.text}`))];
}

/** Prints a line for each check. Resolves with 1 when a critical one fails. */
export async function runDoctor(globals: GlobalOptions): Promise<number> {
  const { config } = await createContext(globals);
  const findings: readonly Finding[] = [
    await checkDevice(),
    await checkKernel(),
    ...(await checkHelper()),
    await checkFuseConf(),
    ...(await checkBindings(config)),
    await checkFolder('workspace', config.workspace),
    await checkFolder('store_path', config.storePath),
    await checkFolder('antares_upper_root', config.upperRoot),
    await checkFolder('antares_cl_root', config.clRoot),
    await checkFolder('antares_mount_root', config.mountRoot),
    ...(await checkStore(config)),
    await checkServer(config),
    await checkLfsServer(config),
  ];
  print('scorpio doctor — environment diagnostics\n');
  for (const { mark, name, detail } of findings) print(`[${mark}] ${name}: ${detail}`);
  const failed = findings.filter(({ mark }) => mark === 'FAIL').length;
  print(failed === 0 ? '\nAll critical checks passed.' : `\n${failed} critical check(s) failed.`);
  return failed === 0 ? ExitCode.ok : ExitCode.internal;
}
