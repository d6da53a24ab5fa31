// What was hashed, on disk: lines of a state of a file and its hash. All of it can be learned again.
import { appendFile, mkdir, readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { LfsOid } from '../../lfs/lfs-object.ts';
import { atomicWrite } from '../../util/atomic-write.ts';
import type { Logger } from '../../util/logger.ts';
import { LruCache } from '../../util/lru.ts';

/** States that are remembered: of so many files that were changed and not committed. */
const RECORDS_MAX = 20_000;
/** Lines are collected for so long, in milliseconds. */
const WRITE_DELAY_MS = 500;
const LINE = /^(\d+\.\d+\.\d+\.-?\d+\.\d+\.-?\d+\.\d+) ([0-9a-f]{64})$/u;

/** Hashes by the state of a file (see identityOf). */
export interface HashRecords {
  /** Reads the file when it is first called. What cannot be read is as if it was never known. */
  ready(): Promise<void>;
  get(identity: string): LfsOid | undefined;
  /** Written soon. */
  set(identity: string, oid: LfsOid): void;
  close(): Promise<void>;
}

/** Keeps them in a file, whose folder is made when it is needed. */
export function createHashRecords(file: string, log: Logger): HashRecords {
  const records = new LruCache<string, LfsOid>(RECORDS_MAX);
  const unwritten: string[] = [];
  let lines = 0;
  let loading: Promise<void> | undefined;
  let timer: NodeJS.Timeout | undefined;
  let writing: Promise<void> = Promise.resolve();

  const load = async (): Promise<void> => {
    let text: string;
    try {
      text = await readFile(file, 'latin1');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') {
        log.warn('the hashes of changed files cannot be read: they are computed again', { file, error });
      }
      return;
    }
    for (const line of text.split('\n')) {
      const [, identity, oid] = LINE.exec(line) ?? [];
      lines++;
      if (identity !== undefined && oid !== undefined) records.set(identity, oid);
    }
    // What a killed process left of its last line must not become a part of the next one.
    if (text !== '' && !text.endsWith('\n')) unwritten.unshift('');
  };

  const write = async (): Promise<void> => {
    const added = unwritten.splice(0);
    lines += added.length;
    try {
      if (lines > 2 * RECORDS_MAX) {
        const kept = records.entries().map(([identity, oid]) => `${identity} ${oid}\n`);
        await atomicWrite(file, kept.join(''), { mode: 0o600, durable: false });
        lines = kept.length;
        return;
      }
      await mkdir(dirname(file), { recursive: true });
      await appendFile(file, added.map((line) => `${line}\n`).join(''), { mode: 0o600 });
    } catch (error) {
      log.warn('the hashes of changed files cannot be kept: they are computed again after a restart', {
        file,
        error,
      });
    }
  };

  const flush = (): Promise<void> => {
    clearTimeout(timer);
    timer = undefined;
    if (unwritten.length > 0) writing = writing.then(write);
    return writing;
  };

  return {
    ready: () => (loading ??= load()),
    get: (identity) => records.get(identity),
    set(identity, oid) {
      records.set(identity, oid);
      unwritten.push(`${identity} ${oid}`);
      timer ??= setTimeout(() => void flush(), WRITE_DELAY_MS).unref();
    },
    close: flush,
  };
}
