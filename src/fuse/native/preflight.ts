// What keeps libfuse from mounting, found out before it tries: it gives no reason, it prints one.
import { constants } from 'node:fs';
import { access, readFile } from 'node:fs/promises';
import { ErrnoError } from '../../util/errno.ts';
import type { FuseMountOptions } from '../fuse-mount.ts';

const DEVICE = '/dev/fuse';
const CONFIGURATION = '/etc/fuse.conf';

/** Rejects with ErrnoError where the device, or the permission for `allowOther`, is missing; the message tells what to do. */
export async function checkBeforeMount({ mountpoint, allowOther }: FuseMountOptions): Promise<void> {
  try {
    await access(DEVICE, constants.R_OK | constants.W_OK);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw code === 'EACCES'
      ? new ErrnoError(
          'EACCES',
          `${DEVICE} cannot be opened; let root open it to users: \`chmod 666 ${DEVICE}\``,
          {
            cause: error,
          },
        )
      : new ErrnoError(
          'ENODEV',
          `${DEVICE} is missing: load the kernel module (\`modprobe fuse\`); in a container, pass the device in (\`--device ${DEVICE}\`)`,
          { cause: error },
        );
  }
  if (!allowOther || process.geteuid?.() === 0) return;
  const configuration = await readFile(CONFIGURATION, 'utf8').catch(() => '');
  if (/^\s*user_allow_other\s*$/m.test(configuration)) return;
  throw new ErrnoError(
    'EPERM',
    `mounting on ${mountpoint} failed: let root put a line \`user_allow_other\` into ${CONFIGURATION}, or mount without allow_other`,
  );
}
