// Content that arrives when a test says so: in any order, late, or not at all. Runs in tests and in children that mount.
import { closeSync, ftruncateSync, openSync, writeSync } from 'node:fs';

/** A transfer of one file, and its readers. `makeError(errno, message)` makes what readers are refused with. */
export class ScriptedArrival {
  /** What readers asked for and had to wait for: `[position, length]`. */
  asked = [];
  /** Readers that have it open. */
  views = 0;
  /** How often it was opened. */
  opens = 0;
  #file;
  #content;
  #makeError;
  #parts = [];
  #waiting = new Set();
  #listeners = new Set();
  #isComplete = false;
  #failure;

  constructor(file, content, makeError) {
    this.#file = file;
    this.#content = content;
    this.#makeError = makeError;
    const fd = openSync(file, 'w');
    ftruncateSync(fd, content.length);
    closeSync(fd);
  }

  /** One more reader's view. */
  open() {
    this.opens++;
    this.views++;
    const fd = openSync(this.#file, 'r');
    const script = this;
    let isOpen = true;
    // What was found wrong is wrong for those who have it open.
    let failure;
    return {
      fd,
      size: this.#content.length,
      get isComplete() {
        return script.#isComplete;
      },
      ready: (position, length, request) => {
        failure ??= this.#failure;
        if (failure !== undefined) return Promise.reject(failure);
        if (this.#has(position, position + length)) return undefined;
        this.asked.push([position, length]);
        return this.#wait(position, position + length, request.signal);
      },
      onDiscarded: (listener) => this.#listeners.add(listener),
      close: () => {
        if (!isOpen) throw new Error('closed twice');
        isOpen = false;
        this.views--;
        closeSync(fd);
      },
    };
  }

  /** A part comes. */
  arrive(start = 0, end = this.#content.length) {
    const fd = openSync(this.#file, 'r+');
    writeSync(fd, this.#content, start, end - start, start);
    closeSync(fd);
    this.#parts.push([start, end]);
    for (const waiter of this.#waiting) if (this.#has(waiter.start, waiter.end)) waiter.resolve();
  }

  /** All has come, and was checked. */
  complete() {
    this.arrive();
    this.#isComplete = true;
  }

  /** Whoever waits, and who asks from now on, is refused. */
  fail(errno, message) {
    this.#failure = this.#makeError(errno, message);
    for (const waiter of this.#waiting) waiter.reject(this.#failure);
  }

  /** What came was wrong, and is thrown away: everybody is told, and refused. */
  discard() {
    this.#parts = [];
    this.fail('EIO', 'wrong bytes');
    for (const listener of this.#listeners) listener();
    this.#listeners.clear();
  }

  /** From now on it works again, for those who open it. */
  mend() {
    this.#failure = undefined;
  }

  #has(start, end) {
    let at = start;
    for (;;) {
      const part = this.#parts.find(([from, to]) => from <= at && to > at);
      if (part === undefined) return at >= end;
      at = part[1];
      if (at >= end) return true;
    }
  }

  #wait(start, end, signal) {
    return new Promise((done, refuse) => {
      const settle = (outcome) => (value) => {
        this.#waiting.delete(waiter);
        signal.removeEventListener('abort', onAbort);
        outcome(value);
      };
      const waiter = { start, end, resolve: settle(done), reject: settle(refuse) };
      const onAbort = () => waiter.reject(this.#makeError('EINTR'));
      this.#waiting.add(waiter);
      if (signal.aborted) onAbort();
      else signal.addEventListener('abort', onAbort);
    });
  }
}
