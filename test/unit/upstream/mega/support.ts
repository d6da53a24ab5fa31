// Helpers of the tests of the Mega client.
import type { UpstreamErrorKind } from '../../../../src/upstream/upstream-error.ts';
import { UpstreamError } from '../../../../src/upstream/upstream-error.ts';
import type { BlobSink } from '../../../../src/upstream/upstream.ts';
import type { MegaUpstreamOptions } from '../../../../src/upstream/mega/mega-upstream.ts';

/** Options with short times. */
export function optionsFor(baseUrl: string, changes: Partial<MegaUpstreamOptions> = {}): MegaUpstreamOptions {
  return {
    baseUrl,
    connectTimeoutMs: 500,
    requestTimeoutMs: 3000,
    maxAttempts: 3,
    concurrency: 8,
    ...changes,
  };
}

/** A sink that keeps what it gets. */
export interface CollectingSink extends BlobSink {
  /** What the last attempt wrote. */
  content(): Buffer;
  /** Sizes given to `begin`, one for each attempt that began. */
  readonly begins: (number | undefined)[];
}

/** A sink in memory. */
export function collect(): CollectingSink {
  let chunks: Buffer[] = [];
  const begins: (number | undefined)[] = [];
  return {
    begins,
    begin(size) {
      begins.push(size);
      chunks = [];
    },
    write: (chunk) => void chunks.push(Buffer.from(chunk)),
    content: () => Buffer.concat(chunks),
  };
}

/** The UpstreamError that a promise rejects with; anything else fails the test. */
export async function failureOf(promise: Promise<unknown>): Promise<UpstreamError> {
  const error = await promise.then(
    () => new Error('it succeeded'),
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof UpstreamError)) throw error;
  return error;
}

/** The kind of failure that a promise rejects with. */
export async function kindOf(promise: Promise<unknown>): Promise<UpstreamErrorKind> {
  return (await failureOf(promise)).kind;
}

/** Bytes that look random and are the same in every run. */
export function noise(length: number, seed = 1): Buffer {
  const bytes = Buffer.alloc(length);
  let state = seed;
  for (let at = 0; at < length; at++) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    bytes[at] = state >>> 16;
  }
  return bytes;
}
