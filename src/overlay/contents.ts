// Descriptors of file contents: one for each file that is in use, whoever opened it, opened when it is first needed.
//
// A descriptor belongs to the content and not to an open file. So opening costs nothing where the content is open
// already, and where the kernel opens files without asking, there is no open file to keep a descriptor for.
import { constants, fstatSync } from 'node:fs';
import type { CallContext, Passthrough } from '../fuse/filesystem.ts';
import { toErrno } from '../fuse/errno.ts';
import type { LayerEntry } from '../layers/layer.ts';
import type { ArrivingContent } from '../util/arriving-content.ts';
import { chain } from '../util/chain.ts';
import { Errno, ErrnoError } from '../util/errno.ts';
import { closeFd } from '../util/syscall.ts';
import type { Awaitable } from '../util/types.ts';
import { copyUpContent, requireTold } from './copy-up.ts';
import type { OverlayCore } from './core.ts';
import type { Inode } from './inode.ts';
import { openUpper } from './open-upper.ts';

/**
 * Descriptors that are kept beyond the call that needed them. The oldest half is closed when there are more; what is
 * read or written again is opened again.
 */
const MOST_OPEN = 1024;
/**
 * After so long without use, a file of the store is closed that no open file is known of: the store keeps what is open,
 * and could not stay within its limit otherwise. Milliseconds.
 */
const IDLE_MS = 3000;

/** The open content of a file. */
export class Content {
  readonly inode: Inode;
  fd: number;
  /** Where not all of it may be there yet: whoever reads asks `Contents.ready` first. It owns the descriptor. */
  arriving: ArrivingContent | undefined;
  isWritable: boolean;
  /** The inode's version that the descriptor belongs to. */
  version: number;
  /** Whether somebody wants to hear of changes, for a name that the file has. */
  isWatched = false;
  /** When it was last used, for closing the oldest. */
  used = 0;
  /** Calls that use the descriptor in the thread pool, or wait for what it is to hold. */
  busy = 0;
  /** The kernel's registration of this file, while it is open for passthrough. */
  backingId: number | undefined = undefined;
  /** With whom it is registered. */
  registry: Passthrough | undefined = undefined;
  /** Open files for which the kernel reads and writes it by itself. */
  throughs = 0;

  constructor(inode: Inode, { fd, arriving }: OpenedContent, isWritable: boolean) {
    this.inode = inode;
    this.fd = fd;
    this.arriving = arriving;
    this.isWritable = isWritable;
    this.version = inode.version;
  }
}

/** A descriptor, and who owns it where it is of content that is arriving. */
interface OpenedContent {
  readonly fd: number;
  readonly arriving: ArrivingContent | undefined;
}

/** The open contents of one overlay. */
export class Contents {
  readonly #core: OverlayCore;
  /** Called when bytes that were read of an inode turn out to be wrong. */
  onSpoiled: (inode: Inode) => void = () => undefined;
  readonly #open = new Set<Content>();
  #clock = 0;
  /** The clock when idle files were last looked for. */
  #lastSweep = 0;
  #sweeper: NodeJS.Timeout | undefined;

  constructor(core: OverlayCore) {
    this.#core = core;
  }

  /**
   * The content of a regular file, for reading at once: a later call may close it, unless it is busy. Fetches it where
   * the local store does not have it.
   */
  readable(inode: Inode, ctx: CallContext): Awaitable<Content> {
    const content = inode.content;
    if (content !== undefined && content.version === inode.version) {
      content.used = ++this.#clock;
      return content;
    }
    requireFile(inode);
    if (inode.upper && !inode.isMetacopy) {
      return this.keep(inode, openUpper(this.#core, inode, constants.O_RDONLY), false);
    }
    const { version } = inode;
    const lower = inode.lower as LayerEntry;
    return chain(this.#fetch(inode, lower, ctx), (fetched) => {
      const isArriving = typeof fetched !== 'number';
      const opened = isArriving
        ? { fd: fetched.fd, arriving: fetched }
        : { fd: fetched, arriving: undefined };
      // While it was fetched, another call opened it, or wrote to the file.
      if (inode.version !== version || inode.content?.version === version) {
        closeOpened(opened);
        return this.readable(inode, ctx);
      }
      this.#checkSize(inode, opened);
      const content = this.#keep(inode, opened, false);
      if (isArriving) {
        fetched.onDiscarded(() => {
          this.onSpoiled(inode);
          this.#discard(content, fetched);
        });
      }
      return content;
    });
  }

  /**
   * Makes sure that a range of the content can be read: at once (undefined), else the content is to be used by `during`,
   * which awaits the promise. It rejects as the transfer fails, and the next call opens the content anew.
   */
  ready(content: Content, position: number, length: number, ctx: CallContext): Promise<void> | undefined {
    const { arriving } = content;
    if (arriving === undefined || arriving.isComplete) return undefined;
    const clipped = Math.min(length, arriving.size - position);
    if (clipped <= 0) return undefined;
    let ready: Awaitable<void>;
    try {
      // The caller's context itself, since its signal costs something once it is asked for.
      ready = arriving.ready(position, clipped, ctx);
    } catch (error) {
      this.#failed(content, arriving, error);
      throw error;
    }
    if (!(ready instanceof Promise)) return undefined;
    return ready.catch((error: unknown) => {
      this.#failed(content, arriving, error);
      throw error;
    });
  }

  #failed(content: Content, arriving: ArrivingContent, error: unknown): void {
    if (toErrno(error) !== Errno.EINTR) this.#discard(content, arriving);
  }

  /** Closes what is no good any more; whoever reads on opens it anew. */
  #discard(content: Content, arriving: ArrivingContent): void {
    const { inode } = content;
    if (inode.content === content && content.arriving === arriving) this.#forget(inode);
  }

  /** Opens the lower layer's file; the inode stays in memory while that has to be waited for. */
  #fetch(inode: Inode, lower: LayerEntry, ctx: CallContext): Awaitable<number | ArrivingContent> {
    const { layer } = this.#core;
    const opened = layer.openToRead === undefined ? layer.open(lower, ctx) : layer.openToRead(lower, ctx);
    if (!(opened instanceof Promise)) return opened;
    inode.handles++;
    return opened.then(
      (arrived) => {
        inode.handles--;
        return arrived;
      },
      (error: unknown) => {
        inode.handles--;
        this.#core.dropIfUnused(inode);
        throw error;
      },
    );
  }

  /** The content for writing, in the upper layer; suspends the operation while it is copied there. */
  writable(inode: Inode, ctx: CallContext): Content {
    requireFile(inode);
    copyUpContent(this.#core, inode, ctx);
    const content = inode.content;
    if (content?.isWritable === true && content.version === inode.version) {
      content.used = ++this.#clock;
      return content;
    }
    return this.keep(inode, openUpper(this.#core, inode, constants.O_RDWR), true);
  }

  /** Takes over a descriptor of the inode's present content. */
  keep(inode: Inode, fd: number, isWritable: boolean): Content {
    return this.#keep(inode, { fd, arriving: undefined }, isWritable);
  }

  #keep(inode: Inode, opened: OpenedContent, isWritable: boolean): Content {
    let content = inode.content;
    if (content === undefined) {
      if (!this.#core.inodes.has(inode)) {
        // The kernel forgot it while it was opened, for a caller that gave up.
        closeOpened(opened);
        throw new ErrnoError('ESTALE');
      }
      content = new Content(inode, opened, isWritable);
      inode.content = content;
      this.#open.add(content);
    } else {
      this.#close(content);
      content.fd = opened.fd;
      content.arriving = opened.arriving;
      content.isWritable = isWritable;
      content.version = inode.version;
    }
    if (isWritable) content.isWatched = this.#core.changes.isWatchedFile(inode);
    content.used = ++this.#clock;
    if (this.#open.size > MOST_OPEN) this.#closeOldest(content);
    this.#sweeper ??= setInterval(() => this.#closeIdle(), IDLE_MS).unref();
    return content;
  }

  /** Closes what is open of an inode that is dropped from memory. */
  drop(inode: Inode): void {
    const { content } = inode;
    if (content === undefined) return;
    inode.content = undefined;
    this.#open.delete(content);
    this.#close(content);
  }

  /** Runs a call that uses the descriptor in the thread pool, or waits for content. */
  async during<T>(content: Content, call: (fd: number) => Promise<T>): Promise<T> {
    const { fd } = content;
    content.busy++;
    try {
      return await call(fd);
    } finally {
      content.busy--;
      if (content.busy === 0) this.#closeRetired(content);
    }
  }

  /** Closes all; what a call in the thread pool still uses is closed after it. */
  close(): void {
    clearInterval(this.#sweeper);
    for (const content of this.#open) this.#close(content);
    this.#open.clear();
  }

  /** What was replaced or dropped while calls used it: the last of them closes it. */
  readonly #retired = new Map<Content, OpenedContent[]>();

  #close(content: Content): void {
    if (content.busy === 0) {
      this.#closeNow(content.inode, content);
      return;
    }
    const { fd, arriving } = content;
    const retired = this.#retired.get(content) ?? [];
    retired.push({ fd, arriving });
    this.#retired.set(content, retired);
  }

  #closeRetired(content: Content): void {
    const retired = this.#retired.get(content);
    if (retired === undefined) return;
    this.#retired.delete(content);
    for (const opened of retired) this.#closeNow(content.inode, opened);
  }

  /**
   * What arrived of a content that nobody saw the end of was never checked as a whole, and nobody would tell of wrong
   * bytes any more: the kernel must not keep it. Not sooner, since it waits for the reads that are under way.
   */
  #closeNow(inode: Inode, opened: OpenedContent): void {
    const isUnverified = opened.arriving?.isComplete === false;
    closeOpened(opened);
    if (isUnverified) this.#core.notifier?.invalidateInode(inode.ino, 0, 0);
  }

  #closeOldest(keep: Content): void {
    const idle = [...this.#open].filter(
      (content) => content !== keep && content.throughs === 0 && content.busy === 0,
    );
    idle.sort((a, b) => a.used - b.used);
    for (const { inode } of idle.slice(0, idle.length / 2)) this.#forget(inode);
  }

  /** Closes the store's files that nobody used since the last time. */
  #closeIdle(): void {
    for (const { inode, used, busy } of this.#open) {
      const isLower = !inode.upper || inode.isMetacopy;
      if (isLower && inode.handles === 0 && busy === 0 && used <= this.#lastSweep) this.#forget(inode);
    }
    this.#lastSweep = this.#clock;
    if (this.#open.size > 0) return;
    clearInterval(this.#sweeper);
    this.#sweeper = undefined;
  }

  #forget(inode: Inode): void {
    this.drop(inode);
    this.#core.dropIfUnused(inode);
  }

  /** The kernel cuts what is read to the size that it was told: where that was wrong, this call fails. */
  #checkSize(inode: Inode, opened: OpenedContent): void {
    try {
      requireTold(this.#core, inode, opened.arriving?.size ?? fstatSync(opened.fd).size);
    } catch (error) {
      closeOpened(opened);
      throw error;
    }
  }
}

function closeOpened({ fd, arriving }: OpenedContent): void {
  if (arriving === undefined) closeFd(fd);
  else arriving.close();
}

function requireFile(inode: Inode): void {
  if (inode.type === constants.S_IFREG) return;
  throw new ErrnoError(inode.directory === undefined ? 'EINVAL' : 'EISDIR');
}
