// Mounting as an ordinary user, through the set-user-id helper fusermount3.
import { spawn } from 'node:child_process';
import { closeSync } from 'node:fs';
import { ErrnoError } from '../../util/errno.ts';
import type { FuseMountOptions } from '../fuse-mount.ts';
import type { Attachment } from './attachment.ts';
import { findMount } from './mountinfo.ts';
import { makeSocketPair, receiveDescriptor } from './receive-descriptor.ts';

const HELPER = 'fusermount3';
const HELPER_TIMEOUT_MS = 30_000;

/** What the helper's complaints mean, and the way out. */
const complaints: readonly {
  pattern: RegExp;
  errno: 'EBUSY' | 'EPERM' | 'ENODEV' | 'EACCES';
  hint: string;
}[] = [
  { pattern: /busy/i, errno: 'EBUSY', hint: 'a process uses the mount; `fuser -vm` shows which' },
  {
    pattern: /user_allow_other/,
    errno: 'EPERM',
    hint: 'let root put a line `user_allow_other` into /etc/fuse.conf, or mount without allow_other',
  },
  {
    pattern: /\/dev\/fuse.*denied/i,
    errno: 'EACCES',
    hint: 'let root open the device to users: `chmod 666 /dev/fuse`',
  },
  {
    pattern: /modprobe fuse|\/dev\/fuse/,
    errno: 'ENODEV',
    hint: 'load the kernel module (`modprobe fuse`); in a container, pass the device in (`--device /dev/fuse`)',
  },
  {
    pattern: /no write access|denied/i,
    errno: 'EACCES',
    hint: 'the mount point must be a folder that the user may write to',
  },
];

function failure(action: string, complaint: string): ErrnoError {
  const known = complaints.find(({ pattern }) => pattern.test(complaint));
  const text = complaint.trim() || `${HELPER} failed`;
  return new ErrnoError(known?.errno ?? 'EPERM', `${action}: ${text}${known ? ` (${known.hint})` : ''}`);
}

/** Runs the helper; resolves with its exit code and what it said. `socket` becomes descriptor 3. */
async function runHelper(
  args: readonly string[],
  socket?: number,
): Promise<{ ok: boolean; complaint: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(HELPER, args, {
      stdio: ['ignore', 'ignore', 'pipe', ...(socket === undefined ? [] : [socket])],
      env: { ...process.env, LC_ALL: 'C', ...(socket === undefined ? {} : { _FUSE_COMMFD: '3' }) },
    });
    // Not the option of spawn: its timer runs on when the program is missing, and keeps the process alive.
    const timer = setTimeout(() => child.kill('SIGKILL'), HELPER_TIMEOUT_MS);
    let complaint = '';
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      complaint += text;
    });
    child.on('error', (cause: NodeJS.ErrnoException) => {
      clearTimeout(timer);
      const message =
        cause.code === 'ENOENT' ? `${HELPER} is not installed: \`apt-get install fuse3\`` : cause.message;
      reject(new ErrnoError('EPERM', `mounting needs root or ${HELPER}; ${message}`, { cause }));
    });
    child.on('close', (code) => {
      clearTimeout(timer);
      resolve({ ok: code === 0, complaint });
    });
  });
}

/** Unmounts through fusermount3. Rejects with ErrnoError EBUSY when the mount is in use and `lazy` is false. */
export async function detachThroughHelper(mountpoint: string, lazy: boolean): Promise<void> {
  const { ok, complaint } = await runHelper(['-u', ...(lazy ? ['-z'] : []), '--', mountpoint]);
  if (!ok && findMount(mountpoint)) throw failure(`unmounting ${mountpoint} failed`, complaint);
}

/** Escapes a value inside the comma separated options of fusermount and libfuse. */
export const escapeOption = (value: string): string => value.replaceAll(/[\\,]/g, String.raw`\$&`);

/**
 * Mounts through fusermount3, which adds nosuid and nodev. Rejects with ErrnoError, whose message says what is missing:
 * the helper, the kernel module, or the permission for allow_other.
 */
export async function mountThroughHelper(mountpoint: string, options: FuseMountOptions): Promise<Attachment> {
  const list = [
    `fsname=${escapeOption(options.source)}`,
    'subtype=scorpio',
    'default_permissions',
    ...(options.allowOther ? ['allow_other'] : []),
  ].join(',');
  const [ours, theirs] = makeSocketPair();
  try {
    const { ok, complaint } = await runHelper(['-o', list, '--', mountpoint], theirs).finally(() =>
      closeSync(theirs),
    );
    if (!ok) throw failure(`mounting on ${mountpoint} failed`, complaint);
    return { fd: receiveDescriptor(ours), detach: detachThroughHelper };
  } finally {
    closeSync(ours);
  }
}
