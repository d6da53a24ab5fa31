// Attributes that hold in all mounts: the patterns of the historic API, kept in a file of the store.
import { readFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { atomicWrite } from '../../util/atomic-write.ts';
import { describeError } from '../../util/system-error.ts';
import { MountError } from '../mount-error.ts';

/** What a tracked pattern's line says, as git-lfs and Libra write it. */
const TRACKED = 'filter=lfs diff=lfs merge=lfs -text';

/** Attributes for all mounts. */
export interface GlobalAttributes {
  /** The file, in the format of .gitattributes; undefined when there is nothing in it. Good until it changes. */
  readonly content: Uint8Array | undefined;
  /** Adds patterns; those that are there stay. Resolves with all, when they are on the disk. Rejects with MountError. */
  track(patterns: readonly string[]): Promise<readonly string[]>;
  /** Removes patterns, written exactly as they were tracked; others are no error. Resolves with those that are left. */
  untrack(patterns: readonly string[]): Promise<readonly string[]>;
  /** Patterns of large files, in the order in which they were added. */
  list(): readonly string[];
  /** Hears of changes, after they took effect. Returns what ends that. */
  onChange(listener: () => void): () => void;
}

/**
 * Reads the file, if there is one. Other lines than those of `track` are kept and honoured: it is a file for people, too.
 * Throws MountError when it cannot be read.
 */
export function createGlobalAttributes(file: string): GlobalAttributes {
  return new StoredAttributes(file);
}

class StoredAttributes implements GlobalAttributes {
  readonly #file: string;
  readonly #listeners = new Set<() => void>();
  #lines: readonly string[];
  #content: Uint8Array | undefined;
  #writing: Promise<unknown> = Promise.resolve();

  constructor(file: string) {
    this.#file = file;
    this.#lines = readLines(file);
    this.#content = contentOf(this.#lines);
  }

  get content(): Uint8Array | undefined {
    return this.#content;
  }

  list(): readonly string[] {
    return [...new Set(this.#lines.flatMap((line) => patternOf(line) ?? []))];
  }

  async track(patterns: readonly string[]): Promise<readonly string[]> {
    for (const pattern of patterns) checkPattern(pattern);
    return this.#change((lines) => {
      const known = new Set(this.list());
      const added = [...new Set(patterns)].filter((pattern) => !known.has(pattern));
      return [...lines, ...added.map((pattern) => `${quoted(pattern)} ${TRACKED}`)];
    });
  }

  untrack(patterns: readonly string[]): Promise<readonly string[]> {
    const gone = new Set(patterns);
    return this.#change((lines) => lines.filter((line) => !gone.has(patternOf(line) ?? '')));
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** One change after the other, each on what the one before left. */
  #change(edit: (lines: readonly string[]) => readonly string[]): Promise<readonly string[]> {
    const result = this.#writing.then(async () => {
      const lines = edit(this.#lines);
      if (lines.length === this.#lines.length) return this.list();
      await this.#write(lines);
      this.#lines = lines;
      this.#content = contentOf(lines);
      for (const listener of this.#listeners) listener();
      return this.list();
    });
    this.#writing = result.catch(() => undefined);
    return result;
  }

  async #write(lines: readonly string[]): Promise<void> {
    try {
      await mkdir(dirname(this.#file), { recursive: true });
      await atomicWrite(this.#file, contentOf(lines) ?? '');
    } catch (error) {
      throw new MountError(
        'internal',
        `the patterns were not changed: ${this.#file}: ${describeError(error)}`,
      );
    }
  }
}

function readLines(file: string): string[] {
  try {
    return readFileSync(file, 'latin1')
      .split('\n')
      .filter((line) => line.trim() !== '');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw new MountError('internal', `the attributes for all mounts: ${file}: ${describeError(error)}`);
  }
}

function contentOf(lines: readonly string[]): Uint8Array | undefined {
  return lines.length === 0 ? undefined : Buffer.from(`${lines.join('\n')}\n`, 'latin1');
}

/** A pattern as text, from the line that tracks it; undefined for any other line. */
function patternOf(line: string): string | undefined {
  const [, inQuotes, plain, states] = /^(?:"((?:[^"\\]|\\.)*)"|([^\s"#]\S*))\s(.*)$/u.exec(line) ?? [];
  if (
    states === undefined ||
    plain?.startsWith('[attr]') === true ||
    !/(?:^|\s)filter=lfs(?:\s|$)/u.test(states)
  )
    return undefined;
  const pattern = plain ?? (inQuotes ?? '').replace(/\\(["\\])/gu, '$1');
  return Buffer.from(pattern, 'latin1').toString('utf8');
}

/** A pattern as it stands in the file, latin1: in quotes where it has a space, or could be taken for something else. */
function quoted(pattern: string): string {
  const bytes = Buffer.from(pattern).toString('latin1');
  return /[\s"]|^[#[]/u.test(bytes) ? `"${bytes.replace(/["\\]/gu, '\\$&')}"` : bytes;
}

function checkPattern(pattern: string): void {
  const reason = reasonAgainst(pattern);
  if (reason === undefined) return;
  throw new MountError('invalid', `${JSON.stringify(pattern)} cannot be tracked: ${reason}`);
}

function reasonAgainst(pattern: string): string | undefined {
  if (pattern.trim() === '') return 'it is empty';
  if (/\p{Cc}/u.test(pattern)) return 'it has control characters';
  if (pattern.startsWith('!')) return 'a pattern must not start with !; \\! stands for itself';
  if (pattern.startsWith('[attr]')) return 'it would define a macro';
  if (pattern.endsWith('/')) return `it means folders only; ${pattern}** means the files in them`;
  if (Buffer.byteLength(pattern) > 1000) return 'it is longer than 1000 bytes';
  return undefined;
}
