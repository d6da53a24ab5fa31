// The same system calls in a mount and in a folder of the local disk: results, errnos and side effects are the same.
import { mkdirSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { FuseNativeLimit } from '../../src/fuse/binding-limits.ts';
import { lacks } from '../support/binding.ts';
import { createMountFixture, type MountFixture } from '../support/mount-fixture.ts';
import { listScenarios, runScenarios, type ScenarioLog, scenarioSeed } from '../support/posix-scenarios.ts';
import { writeSeed } from '../support/seed-tree.ts';

const TIMEOUT_MS = 300_000;
/** Narrows the run down to scenarios whose names contain this. */
const ONLY = process.env['SCORPIO_TEST_POSIX'] ?? '';

const names = (await listScenarios()).filter((name) => name.includes(ONLY));
const scenarios = [...new Set(names.map((name) => name.slice(name.indexOf('-') + 1)))];

let fixture: MountFixture;
let expected: Record<string, ScenarioLog>;
let actual: Record<string, ScenarioLog>;

beforeAll(async () => {
  const seed = scenarioSeed(names);
  fixture = await createMountFixture({ seed });
  const plain = `${fixture.folder}/plain`;
  mkdirSync(plain);
  writeSeed(plain, seed);
  const mount = await fixture.mount();
  [expected, actual] = await Promise.all([runScenarios(plain, ONLY), runScenarios(mount.mountpoint, ONLY)]);
}, TIMEOUT_MS);

afterAll(async () => {
  await fixture?.dispose();
});

/** What two outcomes do not share, where both are trees. */
function onlyDifferent(outcome: unknown, other: unknown): string {
  if (outcome === null || typeof outcome !== 'object' || other === null || typeof other !== 'object')
    return JSON.stringify(outcome);
  const rest = Object.entries(outcome).filter(
    ([key, value]) => JSON.stringify(value) !== JSON.stringify((other as Record<string, unknown>)[key]),
  );
  return JSON.stringify(Object.fromEntries(rest));
}

/** Where the two runs part, with the origin of the folder. */
function differences(scenario: string): string[] {
  const own = names.filter((name) => name.slice(name.indexOf('-') + 1) === scenario);
  return own.flatMap((name) => {
    const [disk, mount] = [expected[name] ?? [], actual[name] ?? []];
    const steps = Array.from({ length: Math.max(disk.length, mount.length) }, (_, index) => index);
    return steps
      .filter((index) => JSON.stringify(disk[index]) !== JSON.stringify(mount[index]))
      .map((index) => {
        const [label, onDisk] = disk[index] ?? ['nothing'];
        const [, onMount] = mount[index] ?? ['nothing'];
        return `${name}: ${label}: disk ${onlyDifferent(onDisk, onMount)}, mount ${onlyDifferent(onMount, onDisk)}`;
      });
  });
}

/** What a binding needs for a scenario; the others need nothing that one of the bindings lacks. */
const NEEDS: Readonly<Record<string, readonly FuseNativeLimit[]>> = {
  unlink_effects: ['attribute-cache'],
  make_effects: ['attribute-cache'],
  rename_effects: ['attribute-cache'],
  write_effects: ['attribute-cache'],
  truncate_all: ['attribute-cache'],
  removed_current_folder: ['removed-folder'],
  removed_lower_folder: ['removed-folder'],
  rename_flags: ['rename-flags'],
  exchange_then_use: ['rename-flags'],
  long_names: ['rename-flags'],
  utimes_values: ['millisecond-times'],
  times_stay: ['millisecond-times'],
  utimes_special: ['both-times'],
  xattr_sizes: ['utf8-names'],
  long_multibyte_names: ['utf8-names'],
  fallocate_modes: ['fallocate'],
  set_id_own: ['fallocate'],
  holes: ['fallocate', 'seek-hole'],
  tmpfile: ['tmpfile'],
  root_chown: ['empty-chown', 'attribute-cache'],
  root_set_id_clearing: ['caller', 'fallocate'],
  root_sticky: ['caller'],
  root_inherited_groups: ['caller'],
  root_owner_of_new: ['caller'],
};

for (const scenario of scenarios) {
  test.skipIf(lacks(...(NEEDS[scenario] ?? [])))(scenario, () => {
    expect(differences(scenario)).toEqual([]);
  });
}
