// Long work in small steps: everybody else has a turn now and then.
import { setImmediate as nextTurn } from 'node:timers/promises';

/** Tells when a piece of work has kept the event loop for long enough. */
export class Turns {
  readonly #sliceMs: number;
  #end: number;

  /** Work goes on for so many milliseconds at a time. */
  constructor(sliceMs = 4) {
    this.#sliceMs = sliceMs;
    this.#end = performance.now() + sliceMs;
  }

  /** A promise to wait for where the time is up: others have their turn. Undefined: go on. */
  give(): Promise<void> | undefined {
    return performance.now() < this.#end ? undefined : this.#wait();
  }

  async #wait(): Promise<void> {
    await nextTurn();
    this.#end = performance.now() + this.#sliceMs;
  }
}
