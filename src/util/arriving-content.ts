// Content of a file that is still being fetched: a file on the local disk, and which parts of it are there.
import type { Awaitable } from './types.ts';

/** What a request for a part carries. */
export interface PartRequest {
  /** Gives up waiting; the promise then rejects, as EINTR. */
  readonly signal: AbortSignal;
}

/**
 * One reader's view of content that is fetched while it is read. Several readers share one transfer. When all of it has
 * come and its hash is right, the same file becomes the complete one, and the descriptor goes on being good for it.
 */
export interface ArrivingContent {
  /** Read-only descriptor of the file that it arrives in, of the final size; `close` closes it. */
  readonly fd: number;
  /** Bytes. */
  readonly size: number;
  /** All is there, and its hash was verified: nothing needs to be waited for any more, and it may be passed through. */
  readonly isComplete: boolean;
  /**
   * Makes sure that a range can be read from `fd`: at once (undefined) when it has arrived; else it is asked for before
   * everything else, and the promise resolves when it is there. Rejects with ErrnoError. After wrong bytes were found it
   * rejects with EIO, for good: then the content must be opened again.
   */
  ready(position: number, length: number, request: PartRequest): Awaitable<void>;
  /**
   * Calls back once if bytes turn out to be wrong that somebody may have read: what was kept of this content (by the
   * kernel, too) has to be thrown away, and the content opened again.
   */
  onDiscarded(listener: () => void): void;
  /** Ends this view. Without readers the transfer stops after a while; what has come is kept for the next one. */
  close(): void;
}
