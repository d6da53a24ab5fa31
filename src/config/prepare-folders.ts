// Creates the folders and files that the daemon expects.
import { access, mkdir, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { atomicWrite } from '../util/atomic-write.ts';
import { describeError } from '../util/system-error.ts';
import { ConfigError } from './config-error.ts';
import type { Config } from './config.ts';

/** For everybody; what is in there has its own rights. */
const SHARED_MODE = 0o755;
/** Copies of what the server gives to this user, and what the user wrote. */
const PRIVATE_MODE = 0o700;
/** Root's store: others pass through it to the mounts that are below, and cannot list it. */
const PASSAGE_MODE = 0o711;

/** Makes a folder whose parent exists. */
async function makeLeaf(path: string, mode: number): Promise<void> {
  try {
    await mkdir(path, { mode });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    // A look first would not do: the mount point of a dead daemon exists, but looking at it fails.
    const stats = await stat(path).catch(() => undefined);
    if (stats && !stats.isDirectory()) throw error;
  }
}

async function makeFolder(key: string, path: string, mode: number): Promise<void> {
  try {
    await mkdir(dirname(path), { recursive: true, mode: SHARED_MODE });
    await makeLeaf(path, mode);
  } catch (error) {
    throw new ConfigError([`cannot create '${path}' (${key}): ${describeError(error)}`], undefined);
  }
}

async function writeEmptyWorks(path: string): Promise<void> {
  try {
    await access(path);
  } catch {
    await atomicWrite(path, 'works = []\n').catch((error: unknown) => {
      throw new ConfigError([`cannot write '${path}' (config_file): ${describeError(error)}`], undefined);
    });
  }
}

/**
 * Makes what is missing: the store, the workspace, the roots of the layers and of the mount points, the folders of the
 * state files, and an empty `config_file`. What exists is left as it is. Throws ConfigError.
 */
export async function prepareFolders(config: Config): Promise<void> {
  const isRoot = process.getuid?.() === 0;
  await makeFolder('store_path', config.storePath, isRoot ? PASSAGE_MODE : PRIVATE_MODE);
  await makeFolder('workspace', config.workspace, SHARED_MODE);
  await makeFolder('antares_upper_root', config.upperRoot, PRIVATE_MODE);
  await makeFolder('antares_cl_root', config.clRoot, PRIVATE_MODE);
  await makeFolder('antares_mount_root', config.mountRoot, SHARED_MODE);
  await makeFolder('antares_state_file', dirname(config.stateFile), SHARED_MODE);
  await makeFolder('config_file', dirname(config.configFile), SHARED_MODE);
  await writeEmptyWorks(config.configFile);
}
