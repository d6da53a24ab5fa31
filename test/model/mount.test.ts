// Random sequences of operations do the same on a mount as on a plain folder of the local disk.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createFolderAgent, type FolderAgent } from '../support/folder-agent.ts';
import { createMountFixture, type MountFixture, type TestMount } from '../support/mount-fixture.ts';
import { writeSeed } from '../support/seed-tree.ts';
import {
  type ExistingPaths,
  modelParameters,
  modelSeed,
  type Operation,
  operationSequences,
  type Outcome,
  resolveOperation,
} from './operations.ts';

const DEFAULT_RUNS = 60;
const MAX_OPERATIONS = 80;

let fixture: MountFixture;
let agent: FolderAgent;
let count = 0;

beforeAll(async () => {
  fixture = await createMountFixture({ seed: modelSeed });
  agent = createFolderAgent();
});

afterAll(async () => {
  await agent?.[Symbol.asyncDispose]();
  await fixture?.dispose();
});

async function compare(operations: readonly Operation[]): Promise<void> {
  const plain = join(fixture.folder, `plain-${count++}`);
  mkdirSync(plain, { mode: 0o755 });
  writeSeed(plain, modelSeed);
  const mount = await fixture.mount();
  try {
    for (const [index, drawn] of operations.entries()) {
      const existing = await agent.perform<{ value: ExistingPaths }>(plain, { op: 'paths' });
      const operation = resolveOperation(drawn, existing.value);
      const outcomes = await performOnBoth(plain, mount, operation);
      expect({ index, operation, outcome: outcomes.mount }).toEqual({
        index,
        operation,
        outcome: outcomes.plain,
      });
    }
    await expectSameTree(plain, mount);
    await performOnBoth(plain, mount, { op: 'reopen' });
    await expectSameTree(plain, mount);
  } finally {
    for (const root of [plain, mount.mountpoint]) await agent.perform(root, { op: 'closeAll' });
    await mount.unmount();
  }
}

async function performOnBoth(
  plain: string,
  mount: TestMount,
  operation: Operation,
): Promise<{ plain: Outcome; mount: Outcome }> {
  if (operation.op !== 'reopen') {
    return {
      plain: await agent.perform<Outcome>(plain, operation),
      mount: await agent.perform<Outcome>(mount.mountpoint, operation),
    };
  }
  for (const root of [plain, mount.mountpoint]) await agent.perform(root, { op: 'closeAll' });
  await mount.remount();
  return { plain: { value: null }, mount: { value: null } };
}

async function expectSameTree(plain: string, mount: TestMount): Promise<void> {
  const expected = await agent.perform<Outcome>(plain, { op: 'tree' });
  expect(expected).toHaveProperty('value');
  expect(await agent.perform(mount.mountpoint, { op: 'tree' })).toEqual(expected);
}

test('random operations on a mount do what they do on a plain folder', async () => {
  const property = fc.asyncProperty(operationSequences(MAX_OPERATIONS), compare);
  await fc.assert(property, modelParameters(DEFAULT_RUNS));
});
