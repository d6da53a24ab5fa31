// One reader of a large file that is arriving.
import { closeSync } from 'node:fs';
import type { ArrivingContent, PartRequest } from '../../util/arriving-content.ts';
import type { ErrnoError } from '../../util/errno.ts';
import type { Awaitable } from '../../util/types.ts';

/** What is fetched at once where a reader begins, and at most once it goes on in order. Bytes. */
const FIRST_WINDOW_BYTES = 2 * 1024 * 1024;
const LAST_WINDOW_BYTES = 32 * 1024 * 1024;
/** The kernel's requests of one reader come slightly out of order. */
const ORDER_BYTES = 1024 * 1024;
/** Who has read so much in order is gone ahead of. */
const READ_AHEAD_AFTER_BYTES = 1024 * 1024;

/** What a view asks of its transfer. */
export interface ViewedTransfer {
  readonly size: number;
  readonly isComplete: boolean;
  /** Whether a range may be read. */
  isServable(start: number, end: number): boolean;
  /** Resolves when a range may be read. Rejects with ErrnoError. */
  ensure(start: number, end: number, windowBytes: number, signal: AbortSignal): Promise<void>;
  /** Where what is there without a hole ends, from a position on. */
  arrivedUpTo(position: number): number;
  /** Fetches a range if only ranges are fetched of this object. */
  readAhead(start: number, bytes: number): void;
  /** The view is closed. */
  left(view: TransferView): void;
}

/** A view; see ArrivingContent. */
export class TransferView implements ArrivingContent {
  readonly fd: number;
  readonly #transfer: ViewedTransfer;
  readonly #listeners: (() => void)[] = [];
  #next = 0;
  #inOrderBytes = 0;
  #windowBytes = FIRST_WINDOW_BYTES;
  #wrong: ErrnoError | undefined;
  #isClosed = false;

  /** Takes over the descriptor. */
  constructor(transfer: ViewedTransfer, fd: number) {
    this.#transfer = transfer;
    this.fd = fd;
  }

  get size(): number {
    return this.#transfer.size;
  }

  get isComplete(): boolean {
    return this.#wrong === undefined && this.#transfer.isComplete;
  }

  ready(position: number, length: number, request: PartRequest): Awaitable<void> {
    if (this.#wrong !== undefined) return Promise.reject(this.#wrong);
    const transfer = this.#transfer;
    if (transfer.isComplete) return undefined;
    const end = Math.min(position + length, transfer.size);
    if (end <= position) return undefined;
    const isInOrder = Math.abs(position - this.#next) <= ORDER_BYTES;
    this.#inOrderBytes = isInOrder ? this.#inOrderBytes + (end - position) : 0;
    if (!isInOrder) this.#windowBytes = FIRST_WINDOW_BYTES;
    this.#next = end;
    if (transfer.isServable(position, end)) {
      this.#readAhead(transfer);
      return undefined;
    }
    if (isInOrder && position > 0) this.#widen();
    // The signal of a system call costs something once it is asked for.
    return transfer.ensure(position, end, this.#windowBytes, request.signal);
  }

  onDiscarded(listener: () => void): void {
    this.#listeners.push(listener);
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    closeSync(this.fd);
    this.#transfer.left(this);
  }

  /** What was read may have been wrong: nothing more is given out. */
  condemn(reason: ErrnoError): void {
    this.#wrong = reason;
    for (const listener of this.#listeners.splice(0)) listener();
  }

  #readAhead(transfer: ViewedTransfer): void {
    if (this.#inOrderBytes < READ_AHEAD_AFTER_BYTES) return;
    const until = transfer.arrivedUpTo(this.#next);
    if (until >= transfer.size || until - this.#next > this.#windowBytes / 4) return;
    this.#widen();
    transfer.readAhead(until, this.#windowBytes);
  }

  #widen(): void {
    this.#windowBytes = Math.min(LAST_WINDOW_BYTES, this.#windowBytes * 2);
  }
}
