// Learns blob sizes: one request for what several callers lack, whatever the overlap between them.
import type { Upstream, UpstreamRequest } from '../upstream/upstream.ts';
import type { AbortErrorFactory } from '../util/single-flight.ts';
import { Flight } from '../util/single-flight.ts';
import type { ObjectId } from '../util/types.ts';
import type { ObjectStore } from './object-store.ts';

/** Rows of one transaction: about ten milliseconds of this thread, and of other processes' waiting. */
const ROWS_PER_TRANSACTION = 8192;

/** Lets other work run. */
function giveWay(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

/** Sizes over `Upstream.fetchSizes`, kept in the store. */
export class SizeLoader {
  readonly #store: ObjectStore;
  readonly #upstream: Upstream;
  readonly #abortError: AbortErrorFactory;
  readonly #onFetched: (count: number) => void;
  readonly #flights = new Map<ObjectId, Flight<void>>();
  readonly #running = new Set<Flight<void>>();

  constructor(
    store: ObjectStore,
    upstream: Upstream,
    options: { abortError: AbortErrorFactory; onFetched: (count: number) => void },
  ) {
    this.#store = store;
    this.#upstream = upstream;
    this.#abortError = options.abortError;
    this.#onFetched = options.onFetched;
  }

  /**
   * Learns sizes that the store lacks: joins the requests under way that ask for some of them (an urgent caller only
   * urgent ones, see SingleFlight) and asks for the others in one.
   */
  async load(ids: readonly ObjectId[], request: UpstreamRequest): Promise<void> {
    const { signal, priority = 'demand' } = request;
    if (signal?.aborted === true) throw this.#abortError();
    const urgent = priority === 'demand';
    const flights = new Set<Flight<void>>();
    const missing: ObjectId[] = [];
    for (const id of ids) {
      const flight = this.#flights.get(id);
      if (flight !== undefined && (flight.urgent || !urgent)) flights.add(flight);
      else missing.push(id);
    }
    if (missing.length > 0) flights.add(this.#start(missing, priority));
    await Promise.all([...flights].map((flight) => flight.join(signal)));
  }

  /** Aborts all requests, and resolves when they settled. */
  async close(): Promise<void> {
    const running = [...this.#running];
    for (const flight of running) flight.abort();
    await Promise.all(running.map((flight) => flight.settled()));
  }

  #start(ids: readonly ObjectId[], priority: 'demand' | 'prefetch'): Flight<void> {
    const flight = new Flight<void>((signal) => this.#fetch(ids, { signal, priority }), {
      urgent: priority === 'demand',
      abortError: this.#abortError,
      onEnd: (ended) => {
        for (const id of ids) if (this.#flights.get(id) === ended) this.#flights.delete(id);
      },
    });
    for (const id of ids) this.#flights.set(id, flight);
    this.#running.add(flight);
    void flight.settled().then(() => this.#running.delete(flight));
    return flight;
  }

  async #fetch(ids: readonly ObjectId[], request: UpstreamRequest): Promise<void> {
    const sizes = [...(await this.#upstream.fetchSizes(ids, request))];
    for (let start = 0; start < sizes.length; start += ROWS_PER_TRANSACTION) {
      if (start > 0) await giveWay();
      this.#store.putSizes(sizes.slice(start, start + ROWS_PER_TRANSACTION));
    }
    this.#onFetched(sizes.length);
  }
}
