// Whether a process that was sent a signal while it waits is to stop, or has only something to do in between.
import { readFileSync } from 'node:fs';

const maskOf = (...signals: number[]): bigint =>
  signals.reduce((mask, signal) => mask | (1n << BigInt(signal - 1)), 0n);

/** SIGHUP, SIGINT, SIGQUIT, SIGKILL, SIGTERM: somebody wants an end, even where the process cleans up first. */
const STOPPING = maskOf(1, 2, 3, 9, 15);
/** SIGCHLD, SIGCONT, the four that suspend, SIGURG, SIGWINCH: they do not end a process that leaves them alone. */
const HARMLESS = maskOf(17, 18, 19, 20, 21, 22, 23, 28);

/**
 * Whether one of the signals that wait for a thread ends it, or asks it to end. A program's own timer, a child that
 * ended or a resized window does not: no local filesystem fails a stat(2) with EINTR for those, and few programs
 * expect it. True where the thread cannot be seen.
 */
export function isToStop(pid: number): boolean {
  let status: string;
  try {
    status = readFileSync(`/proc/${pid}/status`, 'latin1');
  } catch {
    return true;
  }
  const mask = (field: string): bigint =>
    BigInt(`0x${new RegExp(`^${field}:\\s*([0-9a-f]+)$`, 'm').exec(status)?.[1] ?? '0'}`);
  const waiting = (mask('SigPnd') | mask('ShdPnd')) & ~mask('SigBlk') & ~mask('SigIgn');
  return (waiting & (STOPPING | ~(mask('SigCgt') | HARMLESS))) !== 0n;
}
