// Small facts on disk, as lines of a key and a value. All of it can be learned again.
import { appendFile, mkdir, readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { atomicWrite } from '../../util/atomic-write.ts';
import type { Logger } from '../../util/logger.ts';
import { LruCache } from '../../util/lru.ts';

/** Lines are collected for so long, in milliseconds. */
const WRITE_DELAY_MS = 500;

/** Facts by key; what was used longest ago is forgotten first. */
export interface LineRecords {
  /** Reads the file when it is first called. What cannot be read is as if it was never known. */
  ready(): Promise<void>;
  get(key: string): string | undefined;
  /** Written soon. Neither key nor value has white space. */
  set(key: string, value: string): void;
  /** Until it is set again, or the file is read again. */
  forget(key: string): void;
  close(): Promise<void>;
}

/** What they are. */
export interface LineRecordsOptions {
  /** For messages: `the hashes of changed files`. */
  readonly what: string;
  /** A whole line, with groups for key and value; others are left out. */
  readonly line: RegExp;
  /** How many are kept. */
  readonly most: number;
  readonly log: Logger;
}

/** Keeps them in a file, whose folder is made when it is needed. */
export function createLineRecords(file: string, options: LineRecordsOptions): LineRecords {
  const { what, line: pattern, most, log } = options;
  const records = new LruCache<string, string>(most);
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
        log.warn(`${what} cannot be read: they have to be learned again`, { file, error });
      }
      return;
    }
    for (const line of text.split('\n')) {
      const [, key, value] = pattern.exec(line) ?? [];
      lines++;
      if (key !== undefined && value !== undefined) records.set(key, value);
    }
    // What a killed process left of its last line must not become a part of the next one.
    if (text !== '' && !text.endsWith('\n')) unwritten.unshift('');
  };

  const write = async (): Promise<void> => {
    const added = unwritten.splice(0);
    lines += added.length;
    try {
      if (lines > 2 * most) {
        const kept = records.entries().map(([key, value]) => `${key} ${value}\n`);
        await atomicWrite(file, kept.join(''), { mode: 0o600, durable: false });
        lines = kept.length;
        return;
      }
      await mkdir(dirname(file), { recursive: true });
      await appendFile(file, added.map((line) => `${line}\n`).join(''), { mode: 0o600 });
    } catch (error) {
      log.warn(`${what} cannot be kept: they have to be learned again after a restart`, { file, error });
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
    get: (key) => records.get(key),
    set(key, value) {
      records.set(key, value);
      unwritten.push(`${key} ${value}`);
      timer ??= setTimeout(() => void flush(), WRITE_DELAY_MS).unref();
    },
    forget(key) {
      records.delete(key);
    },
    close: flush,
  };
}
