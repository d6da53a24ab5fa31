// Pruning: what goes, what stays, and who was asked before.
import { describe, expect, test, vi } from 'vitest';
import type { LfsClient } from '../../../../src/lfs/client/lfs-client.ts';
import { LfsError } from '../../../../src/lfs/lfs-error.ts';
import type { LfsObject } from '../../../../src/lfs/lfs-object.ts';
import { createPruneRun, type PrunedMount } from '../../../../src/mount/lfs/prune-run.ts';
import { createLogger } from '../../../../src/util/logger.ts';

const log = createLogger('off');
const never = new AbortController().signal;
const oidOf = (number: number): string => number.toString(16).padStart(64, '0');

/** A store of objects of 1, 2, 3... bytes, of which some are open. */
function storeOf(count: number, open: readonly number[] = []) {
  const objects = new Map<string, LfsObject>();
  for (let number = 1; number <= count; number++) {
    objects.set(oidOf(number), { oid: oidOf(number), size: number });
  }
  return {
    left: () => [...objects.values()].map(({ size }) => size),
    async *stored() {
      yield* objects.values();
    },
    remove: (oids: readonly string[]) =>
      oids.flatMap((oid) => {
        const object = objects.get(oid);
        if (object === undefined || open.includes(object.size)) return [];
        objects.delete(oid);
        return [object];
      }),
  };
}

function mountOf(
  needed: readonly number[],
  present: (objects: readonly LfsObject[]) => readonly number[],
): PrunedMount {
  const client = {
    url: `http://lfs/${needed.join()}`,
    present: vi.fn(async (objects: readonly LfsObject[]) => new Set(present(objects).map(oidOf))),
  };
  return {
    neededOids: async () => new Set(needed.map(oidOf)),
    server: { client: async () => client as unknown as LfsClient, url: client.url, problem: undefined },
  };
}

const has =
  (...numbers: number[]) =>
  (objects: readonly LfsObject[]): number[] =>
    objects.map(({ size }) => size).filter((size) => numbers.includes(size));

describe('prune', () => {
  test('removes what some server confirms, and nothing needs', async () => {
    const downloads = storeOf(6, [6]);
    const mounts = [mountOf([1], has(1, 2, 3, 6)), mountOf([2], has(4))];
    const prune = createPruneRun({ downloads, mounts: () => mounts, log });
    const report = await prune({ dryRun: false, verifyRemote: true })(() => undefined, never);
    expect(downloads.left()).toEqual([1, 2, 5, 6]);
    expect(report).toMatchObject({ files: 3, filesDone: 2, filesFailed: 1, freedBytes: 7 });
    expect(report.failures).toEqual([expect.objectContaining({ oid: oidOf(5) })]);
    expect(report.warnings).toEqual([expect.stringContaining('in use')]);
  });

  test('asks the server of each mount, also where they are not known yet and look the same', async () => {
    const downloads = storeOf(3);
    const mounts = [mountOf([], has(1)), mountOf([], has(2))];
    const prune = createPruneRun({ downloads, mounts: () => mounts, log });
    expect(await prune({ dryRun: false, verifyRemote: true })(() => undefined, never)).toMatchObject({
      filesDone: 2,
      filesFailed: 1,
    });
    expect(downloads.left()).toEqual([3]);
  });

  test('in a dry run says what would go, and touches nothing', async () => {
    const downloads = storeOf(3);
    const prune = createPruneRun({ downloads, mounts: () => [mountOf([2], has(1, 2, 3))], log });
    const report = await prune({ dryRun: true, verifyRemote: true })(() => undefined, never);
    expect(report).toMatchObject({ files: 2, filesDone: 2, freedBytes: 4 });
    expect(downloads.left()).toEqual([1, 2, 3]);
  });

  test('asks nobody where that is not wanted, and needs no mount then', async () => {
    const downloads = storeOf(3);
    const prune = createPruneRun({ downloads, mounts: () => [], log });
    await expect(prune({ dryRun: false, verifyRemote: true })(() => undefined, never)).rejects.toMatchObject({
      kind: 'invalid',
    });
    expect(downloads.left()).toEqual([1, 2, 3]);
    const report = await prune({ dryRun: false, verifyRemote: false })(() => undefined, never);
    expect(report).toMatchObject({ filesDone: 3, freedBytes: 6 });
  });

  test('keeps everything when the server cannot be asked, or what is needed is not known', async () => {
    const downloads = storeOf(3);
    const away = mountOf([], () => {
      throw new LfsError('unreachable', 'no connection');
    });
    const prune = createPruneRun({ downloads, mounts: () => [away], log });
    const report = await prune({ dryRun: false, verifyRemote: true })(() => undefined, never);
    expect(report).toMatchObject({
      filesDone: 0,
      filesFailed: 3,
      freedBytes: 0,
      warnings: ['no connection'],
    });
    const ignorant: PrunedMount = {
      ...mountOf([], has(1, 2, 3)),
      neededOids: () => Promise.reject(new Error('the tree cannot be read')),
    };
    const other = createPruneRun({ downloads, mounts: () => [ignorant], log });
    await expect(other({ dryRun: false, verifyRemote: true })(() => undefined, never)).rejects.toThrow(
      'the tree cannot be read',
    );
    expect(downloads.left()).toEqual([1, 2, 3]);
  });

  test('ends when it is told to', async () => {
    const downloads = storeOf(300);
    const stop = new AbortController();
    const mount = mountOf([], (objects) => {
      stop.abort(new Error('stopped'));
      return objects.map(({ size }) => size);
    });
    const prune = createPruneRun({ downloads, mounts: () => [mount], log });
    await expect(prune({ dryRun: false, verifyRemote: true })(() => undefined, stop.signal)).rejects.toThrow(
      'stopped',
    );
    expect(downloads.left().length).toBeGreaterThanOrEqual(200);
  });
});
