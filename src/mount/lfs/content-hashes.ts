// SHA-256 of files of the upper layer, computed once for each content: in slices, so that the mount goes on answering.
import { createHash } from 'node:crypto';
import { read } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { LfsError } from '../../lfs/lfs-error.ts';
import type { LfsObject, LfsOid } from '../../lfs/lfs-object.ts';
import { createPriorityLimiter, type Priority } from '../../util/priority-limiter.ts';
import { SingleFlight } from '../../util/single-flight.ts';
import { closeFd, statAt, type Stat } from '../../util/syscall.ts';
import { join } from 'node:path';
import type { Logger } from '../../util/logger.ts';
import { createLineRecords, type LineRecords } from './line-records.ts';

const readAsync = promisify(read);

/** What is hashed at once, which takes 0.15 ms with the processor's help and 0.7 ms without. Bytes. */
const SLICE_BYTES = 256 * 1024;
/** Files at once: one reads while the other is hashed. */
const FILES_AT_ONCE = 2;
/** How often a file that is written meanwhile is begun anew. */
const MAX_ATTEMPTS = 5;
/** The kernel's time stamps of files are up to 10 ms late: a later change may have the stamp of an earlier one. */
const CLOCK_TICK_MS = 30;
/** Some filesystems keep whole seconds only, or every other one. */
const WHOLE_SECONDS_MS = 2100;

/**
 * States that are remembered: of so many files that were changed and not committed. With fewer than there are, each look
 * at all of them in turn would find none, and hash all anew. A state takes 300 bytes of memory.
 */
const STATES_MAX = 200_000;
const LINE = /^(\d+\.\d+\.\d+\.-?\d+\.\d+\.-?\d+\.\d+) ([0-9a-f]{64})$/u;

/** What a file holds, and which state of the file that was. */
export interface HashedContent extends LfsObject {
  /** Equal for two looks at a file only when nobody wrote to it in between (see identityOf). */
  readonly identity: string;
}

/** How a file is hashed. */
export interface HashRequest {
  readonly signal?: AbortSignal | undefined;
  /** `demand` (default): somebody waits. `prefetch`: behind those. */
  readonly priority?: Priority;
}

/** Hashes of files, by the state that they were in. */
export interface ContentHashes {
  /** Resolves when what was learned before is in memory. */
  ready(): Promise<void>;
  /** The hash of a file in this state, if it is in memory. */
  known(stat: Stat): LfsOid | undefined;
  /**
   * Hashes what `open` opens (it is called again when the file was changed meanwhile, and the descriptor is closed here),
   * unless that is known. Rejects with LfsError: `invalid` when the file keeps changing, `aborted`; and as `open` throws.
   */
  hash(open: () => number, request?: HashRequest): Promise<HashedContent>;
  /** What is known of this state turned out to be wrong. */
  forget(identity: string): void;
  /** Gives up what is under way, and keeps what was learned. */
  close(): Promise<void>;
}

/**
 * What tells one state of a file from all others. A file's content cannot change without its ctime, which nobody can set;
 * the rest is there for filesystems that are put back from a copy.
 */
export function identityOf({ dev, ino, size, mtime, mtimeNsec, ctime, ctimeNsec }: Stat): string {
  return `${dev}.${ino}.${size}.${mtime}.${mtimeNsec}.${ctime}.${ctimeNsec}`;
}

/** Makes them; what is learned is kept in the file `hashes` of a folder. */
export function createContentHashes(folder: string, log: Logger): ContentHashes {
  const what = 'the hashes of changed files';
  return new Hashes(createLineRecords(join(folder, 'hashes'), { what, line: LINE, most: STATES_MAX, log }));
}

/** The file is not in the state any more that it was asked about. */
class ChangedError extends Error {}

class Hashes implements ContentHashes {
  readonly #records: LineRecords;
  readonly #limiter = createPriorityLimiter(FILES_AT_ONCE);
  readonly #flights = new SingleFlight<string, LfsOid>(
    () => new LfsError('aborted', 'hashing was given up, as it was asked for'),
  );

  constructor(records: LineRecords) {
    this.#records = records;
  }

  ready(): Promise<void> {
    return this.#records.ready();
  }

  known(stat: Stat): LfsOid | undefined {
    return this.#records.get(identityOf(stat));
  }

  async hash(open: () => number, request: HashRequest = {}): Promise<HashedContent> {
    await this.ready();
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#attempt(open, request);
      } catch (error) {
        if (!(error instanceof ChangedError)) throw error;
        if (attempt < MAX_ATTEMPTS) continue;
        throw new LfsError('invalid', 'it was written to all the time while it was hashed; try again later');
      }
    }
  }

  forget(identity: string): void {
    this.#records.forget(identity);
  }

  async close(): Promise<void> {
    await this.#flights.close();
    await this.#records.close();
  }

  async #attempt(open: () => number, request: HashRequest): Promise<HashedContent> {
    const stat = look(open);
    const identity = identityOf(stat);
    const { size } = stat;
    const known = this.#records.get(identity);
    if (known !== undefined) return { oid: known, size, identity };
    const { signal, priority = 'demand' } = request;
    const oid = await this.#flights.run(identity, (flight) => this.#compute(open, stat, flight, priority), {
      signal,
      urgent: priority === 'demand',
    });
    return { oid, size, identity };
  }

  /** Hashes a file that has to be, and stay, in one state. */
  async #compute(open: () => number, before: Stat, signal: AbortSignal, priority: Priority): Promise<LfsOid> {
    const release = await this.#limiter.acquire(priority, signal);
    try {
      await settle(before, signal);
      const identity = identityOf(before);
      const fd = open();
      try {
        if (identityOf(statOf(fd)) !== identity) throw new ChangedError();
        const oid = await hashDescriptor(fd, signal);
        if (identityOf(statOf(fd)) !== identity) throw new ChangedError();
        this.#records.set(identity, oid);
        return oid;
      } finally {
        closeFd(fd);
      }
    } finally {
      release();
    }
  }
}

function look(open: () => number): Stat {
  const fd = open();
  try {
    return statOf(fd);
  } finally {
    closeFd(fd);
  }
}

/** Waits until another change of the file would show in its time stamp. */
async function settle(stat: Stat, signal: AbortSignal): Promise<void> {
  const tick = stat.ctimeNsec === 0 ? WHOLE_SECONDS_MS : CLOCK_TICK_MS;
  const age = Date.now() - (stat.ctime * 1000 + stat.ctimeNsec / 1e6);
  // One from the future, after the clock was set back, differs from that of any change to come.
  if (Math.abs(age) < tick) await delay(tick - age, undefined, { signal });
}

async function hashDescriptor(fd: number, signal: AbortSignal): Promise<LfsOid> {
  const hash = createHash('sha256');
  const buffer = Buffer.allocUnsafe(SLICE_BYTES);
  for (let position = 0; ;) {
    signal.throwIfAborted();
    const { bytesRead } = await readAsync(fd, buffer, 0, SLICE_BYTES, position);
    if (bytesRead === 0) return hash.digest('hex');
    hash.update(buffer.subarray(0, bytesRead));
    position += bytesRead;
  }
}

/** The state of an open file. */
export function statOf(fd: number): Stat {
  return statAt(fd, '');
}
