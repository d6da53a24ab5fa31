// Single flight: sharing, reference-counted abort, urgency.
import { describe, expect, test } from 'vitest';
import { SingleFlight } from '../../../src/util/single-flight.ts';

class GaveUp extends Error {}

function createFlights(): SingleFlight<string, number> {
  return new SingleFlight(() => new GaveUp('gave up'));
}

/** An operation to settle by hand; it rejects when it is aborted. */
function createOperation() {
  const state = { starts: 0, aborts: 0, settle: (_value: number | Error): void => undefined };
  const operation = (signal: AbortSignal): Promise<number> => {
    state.starts++;
    return new Promise((resolve, reject) => {
      state.settle = (value) => (typeof value === 'number' ? resolve(value) : reject(value));
      signal.addEventListener('abort', () => {
        state.aborts++;
        reject(new Error('aborted'));
      });
    });
  };
  return { state, operation };
}

describe('SingleFlight', () => {
  test('runs one operation for all who ask for the same key, and another for another key', async () => {
    const flights = createFlights();
    const { state, operation } = createOperation();
    const first = flights.run('a', operation);
    const second = flights.run('a', operation);
    const other = flights.run('b', async () => 9);
    expect(flights.size).toBe(2);
    state.settle(7);
    expect(await Promise.all([first, second, other])).toEqual([7, 7, 9]);
    expect(state.starts).toBe(1);
    expect(flights.size).toBe(0);
  });

  test('runs anew after a success and after a failure: nothing is remembered', async () => {
    const flights = createFlights();
    await expect(flights.run('a', () => Promise.reject(new Error('down')))).rejects.toThrow('down');
    expect(await flights.run('a', async () => 1)).toBe(1);
    expect(await flights.run('a', async () => 2)).toBe(2);
  });

  test('an operation that throws at once rejects', async () => {
    const flights = createFlights();
    const failing = (): Promise<number> => {
      throw new Error('at once');
    };
    await expect(flights.run('a', failing)).rejects.toThrow('at once');
    expect(flights.size).toBe(0);
  });

  test('who gives up gets the abort error at once, while the others still get the result', async () => {
    const flights = createFlights();
    const { state, operation } = createOperation();
    const controller = new AbortController();
    const impatient = flights.run('a', operation, { signal: controller.signal });
    const patient = flights.run('a', operation);
    controller.abort();
    await expect(impatient).rejects.toBeInstanceOf(GaveUp);
    expect(state.aborts).toBe(0);
    state.settle(3);
    expect(await patient).toBe(3);
  });

  test('aborts the operation only when the last one gave up, and then starts anew for the next', async () => {
    const flights = createFlights();
    const { state, operation } = createOperation();
    const controllers = [new AbortController(), new AbortController()];
    const waits = controllers.map(({ signal }) => flights.run('a', operation, { signal }));
    const outcomes = Promise.allSettled(waits);
    controllers[0]?.abort();
    expect(state.aborts).toBe(0);
    controllers[1]?.abort();
    expect(state.aborts).toBe(1);
    const next = flights.run('a', operation);
    expect(state.starts).toBe(2);
    state.settle(5);
    expect(await next).toBe(5);
    expect((await outcomes).map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  });

  test('a caller whose signal is aborted already starts nothing', async () => {
    const flights = createFlights();
    const { state, operation } = createOperation();
    await expect(flights.run('a', operation, { signal: AbortSignal.abort() })).rejects.toBeInstanceOf(GaveUp);
    expect(state.starts).toBe(0);
  });

  test('an urgent caller does not wait for a flight that is not urgent, and later callers join the urgent one', async () => {
    const flights = createFlights();
    const slow = createOperation();
    const fast = createOperation();
    const prefetch = flights.run('a', slow.operation, { urgent: false });
    const demand = flights.run('a', fast.operation);
    const joining = flights.run('a', slow.operation, { urgent: false });
    expect([slow.state.starts, fast.state.starts]).toEqual([1, 1]);
    fast.state.settle(1);
    expect(await demand).toBe(1);
    expect(await joining).toBe(1);
    slow.state.settle(2);
    expect(await prefetch).toBe(2);
  });

  test('closing aborts everything and waits until it settled', async () => {
    const flights = createFlights();
    const { state, operation } = createOperation();
    const outcome = Promise.allSettled([flights.run('a', operation)]);
    await flights.close();
    expect(state.aborts).toBe(1);
    expect((await outcome)[0]?.status).toBe('rejected');
  });
});
