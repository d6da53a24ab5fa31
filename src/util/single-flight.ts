// One operation for however many callers want its result at the same time.
import { setMaxListeners } from 'node:events';

/** An operation: it must settle soon after `signal` aborts. */
export type FlightOperation<T> = (signal: AbortSignal) => Promise<T>;

/** How a caller joins a flight. */
export interface JoinOptions {
  /** The caller gives up when it aborts. */
  readonly signal?: AbortSignal | undefined;
  /** Whether somebody waits for the result; see SingleFlight. Default true. */
  readonly urgent?: boolean;
}

/** Makes the error that a caller gets who gave up. */
export type AbortErrorFactory = () => Error;

/**
 * A running operation with reference-counted abort: it is aborted when all who joined gave up, never while one still
 * waits. It starts when it is made, and must be joined in the same turn.
 */
export class Flight<T> {
  readonly urgent: boolean;
  readonly #abortError: AbortErrorFactory;
  readonly #controller = new AbortController();
  readonly #result: Promise<T>;
  readonly #onEnd: () => void;
  #waiters = 0;
  #ended = false;

  /** `onEnd` is called once: when the operation settled, or when everybody gave up, whichever comes first. */
  constructor(
    operation: FlightOperation<T>,
    options: { urgent: boolean; abortError: AbortErrorFactory; onEnd: (flight: Flight<T>) => void },
  ) {
    this.urgent = options.urgent;
    this.#abortError = options.abortError;
    this.#onEnd = () => {
      if (this.#ended) return;
      this.#ended = true;
      options.onEnd(this);
    };
    this.#result = (async () => operation(this.#controller.signal))();
    // Also marks the result as handled: a flight that everybody left rejects with nobody listening.
    this.#result.then(this.#onEnd, this.#onEnd);
  }

  /** The operation's result; rejects as soon as `signal` aborts. */
  join(signal?: AbortSignal): Promise<T> {
    if (signal?.aborted === true) {
      if (this.#waiters === 0) this.abort();
      return Promise.reject(this.#abortError());
    }
    this.#waiters++;
    return new Promise<T>((resolve, reject) => {
      let waiting = true;
      const leave = (): boolean => {
        if (!waiting) return false;
        waiting = false;
        this.#waiters--;
        signal?.removeEventListener('abort', giveUp);
        return true;
      };
      const giveUp = (): void => {
        if (!leave()) return;
        if (this.#waiters === 0) this.abort();
        reject(this.#abortError());
      };
      if (signal !== undefined) {
        // One signal may cover hundreds of waits; Node would take them for a leak.
        setMaxListeners(0, signal);
        signal.addEventListener('abort', giveUp, { once: true });
      }
      this.#result.then(
        (value) => leave() && resolve(value),
        (error: unknown) => leave() && reject(error as Error),
      );
    });
  }

  /** Aborts the operation for everybody; the others get its error. */
  abort(): void {
    this.#onEnd();
    this.#controller.abort();
  }

  /** Resolves when the operation settled, however. */
  async settled(): Promise<void> {
    await this.#result.then(
      () => undefined,
      () => undefined,
    );
  }
}

/**
 * Flights by key. A caller joins the flight that is under way for its key, with one exception: an urgent caller does
 * not wait for a flight that is not urgent (which may be queued behind everything else) but starts its own, which
 * later callers join. The same operation then runs twice; what it does must allow that.
 */
export class SingleFlight<K, T> {
  readonly #flights = new Map<K, Flight<T>>();
  readonly #running = new Set<Flight<T>>();
  readonly #abortError: AbortErrorFactory;

  constructor(abortError: AbortErrorFactory) {
    this.#abortError = abortError;
  }

  /** How many keys have a flight under way. */
  get size(): number {
    return this.#flights.size;
  }

  /** The result of the flight for `key`; started with `operation` when there is none to join. */
  run(key: K, operation: FlightOperation<T>, options: JoinOptions = {}): Promise<T> {
    const urgent = options.urgent ?? true;
    if (options.signal?.aborted === true) return Promise.reject(this.#abortError());
    const current = this.#flights.get(key);
    if (current !== undefined && (current.urgent || !urgent)) return current.join(options.signal);
    const flight = new Flight(operation, {
      urgent,
      abortError: this.#abortError,
      onEnd: (ended) => {
        if (this.#flights.get(key) === ended) this.#flights.delete(key);
      },
    });
    this.#flights.set(key, flight);
    this.#running.add(flight);
    void flight.settled().then(() => this.#running.delete(flight));
    return flight.join(options.signal);
  }

  /** Aborts all flights, and resolves when their operations settled. */
  async close(): Promise<void> {
    const running = [...this.#running];
    for (const flight of running) flight.abort();
    await Promise.all(running.map((flight) => flight.settled()));
  }
}
