// Random sequences of operations do the same on the overlay, without FUSE, as on the in-memory reference.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { FilesystemClient } from '../support/filesystem-client.ts';
import { createMemorySubject } from '../support/memory-subject.ts';
import type { MemoryLayerOptions } from '../support/memory-layer.ts';
import { createOverlaySubject } from '../support/overlay-subject.ts';
import { ClientModel } from './client-model.ts';
import {
  comparable,
  modelParameters,
  modelSeed,
  type Operation,
  operationSequences,
  resolveOperation,
} from './operations.ts';

const DEFAULT_RUNS = 150;
const MAX_OPERATIONS = 80;

// Without a kernel in between, the disk takes setgid from what an ordinary user writes to; with one, the kernel asks.
const sequences = operationSequences(MAX_OPERATIONS, { setgid: process.getuid?.() === 0 });

async function compare(operations: readonly Operation[], layer: MemoryLayerOptions): Promise<void> {
  const reference = new ClientModel(new FilesystemClient(await createMemorySubject(modelSeed)));
  const subject = createOverlaySubject(modelSeed, layer);
  const overlay = new ClientModel(
    new FilesystemClient(subject.filesystem),
    async () => new FilesystemClient(await subject.reopen()),
  );
  try {
    for (const [index, drawn] of operations.entries()) {
      const operation = resolveOperation(drawn, await reference.paths());
      const expected = comparable(operation, await reference.run(operation));
      const actual = comparable(operation, await overlay.run(operation));
      expect({ index, operation, outcome: actual }).toEqual({ index, operation, outcome: expected });
    }
    expect(await overlay.tree()).toEqual(await reference.tree());
    for (const model of [reference, overlay]) await model.run({ op: 'reopen' });
    expect(await overlay.tree()).toEqual(await reference.tree());
  } finally {
    overlay.client.forgetAll();
    reference.client.forgetAll();
    await subject.dispose();
  }
}

describe('random operations on the overlay do what they do on the reference', () => {
  test('over a layer that knows everything', async () => {
    const property = fc.asyncProperty(sequences, (operations) => compare(operations, {}));
    await fc.assert(property, modelParameters(DEFAULT_RUNS));
  });

  test('over a layer that has to fetch', async () => {
    const property = fc.asyncProperty(sequences, fc.nat(), (operations, delaySeed) =>
      compare(operations, { delaySeed }),
    );
    await fc.assert(property, modelParameters(DEFAULT_RUNS / 2));
  });

  test('over a layer whose files arrive while they are read', async () => {
    const property = fc.asyncProperty(sequences, fc.nat(), (operations, seed) =>
      compare(operations, { delaySeed: seed, arrivalSeed: seed }),
    );
    await fc.assert(property, modelParameters(DEFAULT_RUNS / 2));
  });
});
