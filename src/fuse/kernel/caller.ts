// Who asks: the context of a request, with an abort signal that is only made when somebody wants it.
import type { CallContext } from '../filesystem.ts';
import type { Request } from './codec/request.ts';

/** The context of a call. One is reused for calls that are answered at once; one that was kept is not. */
export class Caller implements CallContext {
  uid = 0;
  gid = 0;
  pid = 0;
  #controller: AbortController | undefined;
  #interrupted = false;

  /** Takes over who asks. */
  assign(request: Request): void {
    this.uid = request.uid;
    this.gid = request.gid;
    this.pid = request.pid;
  }

  /** Whether somebody holds the signal, so that the context must not serve another call. */
  get isTaken(): boolean {
    return this.#controller !== undefined;
  }

  get signal(): AbortSignal {
    if (!this.#controller) {
      this.#controller = new AbortController();
      if (this.#interrupted) this.#controller.abort();
    }
    return this.#controller.signal;
  }

  /** The caller gave up; also seen by a signal that is asked for later. */
  interrupt(): void {
    this.#interrupted = true;
    this.#controller?.abort();
  }
}
