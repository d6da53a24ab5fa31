// Replacing a file so that a reader, and a power cut, see the old content or the new, never a part.
import { randomBytes } from 'node:crypto';
import { open, rename, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';

/**
 * Writes `data` to `path`: a new file beside it, synced, renamed over it, and the folder synced. When it resolves, the
 * content survives a power cut; without `durable` (the default is with), it may be lost then, and the file be empty.
 * Permissions are `mode` (default 0o644) less the umask. Fails with Node's system errors, and leaves no temporary file
 * then.
 */
export async function atomicWrite(
  path: string,
  data: string | Uint8Array,
  options: { mode?: number; durable?: boolean } = {},
): Promise<void> {
  // Random, not the process id: in a container every run has the same one, and a leftover would block all later ones.
  const temporary = `${path}.tmp.${randomBytes(6).toString('hex')}`;
  const file = await open(temporary, 'wx', options.mode ?? 0o644);
  try {
    try {
      await file.writeFile(data);
      if (options.durable !== false) await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await unlink(temporary).catch(() => undefined);
    throw error;
  }
  if (options.durable !== false) await syncFolder(dirname(path));
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
