// Reads the attribute files of a mount: the repository's, and what the user made of them.
import { closeSync, constants, fstatSync } from 'node:fs';
import type { Layer, LayerEntry, LayerRequest } from '../../layers/layer.ts';
import type { UpperChanges } from '../../overlay/upper-changes.ts';
import { UpstreamError } from '../../upstream/upstream-error.ts';
import { chain } from '../../util/chain.ts';
import { ErrnoError } from '../../util/errno.ts';
import type { Awaitable } from '../../util/types.ts';
import { readStart } from '../../util/read-start.ts';

/** Largest attribute file that counts, in bytes: to read one must not keep everybody waiting. */
export const ATTRIBUTE_FILE_READ_MAX: number = 4 * 1024 * 1024;

/** Failures that another attempt may not meet. */
const PASSING = new Set(['unreachable', 'timeout', 'server', 'aborted']);
const PASSING_ERRNOS = new Set(['EINTR', 'ETIMEDOUT', 'EMFILE', 'ENFILE', 'ENOMEM', 'ENOSPC', 'EAGAIN']);

const { S_IFMT, S_IFREG } = constants;

/** Where the files are. */
export interface AttributeFileParts {
  /** The lower layer as the repository has it. */
  readonly plain: Layer;
  readonly upper: UpperChanges;
  readonly onWarning: (message: string) => void;
}

/** A folder of the mount, as far as the files in it are concerned. */
export interface AttributeFolder {
  /** Names on the way to it in the mount. */
  readonly names: readonly string[];
  /** The lower folder that it shows. */
  readonly lower: LayerEntry | undefined;
  /** Whether the upper layer has it. */
  readonly hasUpper: boolean;
}

/** Reads attribute files, and warns once of each that does not count. */
export class AttributeFileReader {
  readonly #parts: AttributeFileParts;
  readonly #warned = new Set<string>();
  #sawLockable = false;

  constructor(parts: AttributeFileParts) {
    this.#parts = parts;
  }

  /** Whether any file that was read speaks of `lockable`. */
  get sawLockable(): boolean {
    return this.#sawLockable;
  }

  /** Takes note of a file that was read elsewhere. */
  note(content: Uint8Array | undefined): void {
    if (
      content !== undefined &&
      Buffer.from(content.buffer, content.byteOffset, content.length).includes('lockable')
    ) {
      this.#sawLockable = true;
    }
  }

  /**
   * The content of a file of a folder as the mount shows it; undefined: there is none that counts. Rejects as the layer
   * does where another attempt may help. `onEdit` is called where the upper layer decides.
   */
  read(
    folder: AttributeFolder,
    name: string,
    onEdit: () => void,
    request: LayerRequest,
  ): Awaitable<Uint8Array | undefined> {
    const change = folder.hasUpper ? this.#parts.upper.at(folder.names, name) : undefined;
    if (change === undefined) return this.#readBeside(folder.lower, name, request);
    onEdit();
    if (change.shows === 'folder') return undefined;
    if (change.shows === 'hidden') return this.#readUpper([...folder.names, name]);
    const { lower = '' } = change;
    if (!lower.startsWith('/')) return this.#readBeside(folder.lower, lower, request);
    return chain(this.#parts.plain.resolve(lower.slice(1), request), (entry) =>
      this.#readLower(entry, request),
    );
  }

  #readBeside(
    lower: LayerEntry | undefined,
    name: string,
    request: LayerRequest,
  ): Awaitable<Uint8Array | undefined> {
    if (lower === undefined) return undefined;
    return chain(this.#parts.plain.list(lower, request), (listing) =>
      this.#readLower(listing.get(name), request),
    );
  }

  #readLower(entry: LayerEntry | undefined, request: LayerRequest): Awaitable<Uint8Array | undefined> {
    // Git does not follow symlinks here.
    if (entry === undefined || (entry.mode & S_IFMT) !== S_IFREG) return undefined;
    if ((this.#parts.plain.knownSize(entry) ?? 0) > ATTRIBUTE_FILE_READ_MAX) {
      return this.#tooLarge(entry.path);
    }
    const failed = (error: unknown): undefined => {
      if (isPassing(error)) throw error;
      this.#warn(entry.path, `cannot be read: ${(error as Error).message}`);
    };
    try {
      const opened = this.#parts.plain.open(entry, request);
      if (!(opened instanceof Promise)) return this.#readFrom(opened, entry.path);
      return opened.then((fd) => this.#readFrom(fd, entry.path)).catch(failed);
    } catch (error) {
      return failed(error);
    }
  }

  #readUpper(names: readonly string[]): Uint8Array | undefined {
    const path = names.join('/');
    try {
      const fd = this.#parts.upper.open(names);
      return fd === undefined ? undefined : this.#readFrom(fd, path);
    } catch (error) {
      this.#warn(path, `cannot be read: ${(error as Error).message}`);
      return undefined;
    }
  }

  /** Reads all of a file, and closes it. */
  #readFrom(fd: number, path: string): Uint8Array | undefined {
    try {
      const { size } = fstatSync(fd);
      if (size > ATTRIBUTE_FILE_READ_MAX) return this.#tooLarge(path);
      const read = readStart(fd, Buffer.alloc(size));
      this.note(read);
      return read;
    } finally {
      closeSync(fd);
    }
  }

  #tooLarge(path: string): undefined {
    this.#warn(path, `is larger than ${ATTRIBUTE_FILE_READ_MAX / 1024 / 1024} MiB`);
  }

  #warn(path: string, reason: string): void {
    const key = `${path}\0${reason}`;
    if (this.#warned.has(key)) return;
    this.#warned.add(key);
    const shown = Buffer.from(path, 'latin1').toString('utf8');
    this.#parts.onWarning(`${shown} ${reason}; its attributes do not count`);
  }
}

function isPassing(error: unknown): boolean {
  if (error instanceof UpstreamError) return PASSING.has(error.kind);
  return error instanceof ErrnoError && PASSING_ERRNOS.has(error.code);
}
