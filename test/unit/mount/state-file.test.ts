// The state file's form.
import { makeTestFolder } from '../../support/test-folder.ts';
import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { MountRecord } from '../../../src/mount/mount-record.ts';
import { loadState, saveState } from '../../../src/mount/state-file.ts';
import { createStateStore } from '../../../src/mount/state-store.ts';
import { createRecordingLogger } from './registry-fixture.ts';

const defaults = { upperRoot: '/upper', uid: 5, gid: 6 };
let folder: string;
let file: string;
beforeEach(() => {
  folder = makeTestFolder();
  file = join(folder, 'deep', 'state.toml');
});
afterEach(() => rm(folder, { recursive: true, force: true }));

function record(fields: Partial<MountRecord> = {}): MountRecord {
  return {
    mountId: '11111111-2222-3333-4444-555555555555',
    jobId: 'job "ü" \\ \n',
    path: '/a b/ü',
    cl: null,
    clDir: null,
    mountpoint: '/m',
    ownsMountpoint: true,
    upperDir: '/u',
    workDir: '/w',
    uid: 1,
    gid: 2,
    snapshot: { commit: 'a'.repeat(40), tree: 'b'.repeat(40), time: 9_000_000_000 },
    createdAtEpochMs: 1_700_000_000_001,
    lastSeenEpochMs: 1_700_000_000_002,
    established: true,
    state: 'Provisioning',
    ...fields,
  };
}

it('reads what it wrote', async () => {
  const mounts = [
    record(),
    record({ mountId: '2'.repeat(8) + '-2222-3333-4444-555555555555', jobId: null, snapshot: undefined }),
  ];
  const unmounted = [record({ state: 'Unmounted' })];
  await saveState(file, { mounts, unmounted });
  const log = createRecordingLogger();
  expect(await loadState(file, defaults, log)).toEqual({ mounts, unmounted });
  expect(log.lines).toEqual([]);
  expect(await readdir(join(folder, 'deep'))).toEqual(['state.toml', 'state.toml.copy']);
});

it('is empty when there is none', async () => {
  expect(await loadState(file, defaults, createRecordingLogger())).toEqual({ mounts: [], unmounted: [] });
});

it('reads the empty form that ScorpioFS writes', async () => {
  await writeFile(join(folder, 's'), 'mounts = []\n');
  expect((await loadState(join(folder, 's'), defaults, createRecordingLogger())).mounts).toEqual([]);
});

it('fills what records of other programs lack', async () => {
  file = join(folder, 's');
  await writeFile(
    file,
    '[[mounts]]\njob_id = "j"\nmountpoint = "/m"\nupper_id = "not a uuid"\nupper_dir = "/u"\n',
  );
  const { mounts } = await loadState(file, defaults, createRecordingLogger());
  const id = mounts[0]?.mountId ?? '';
  expect(id).toMatch(/^[0-9a-f-]{36}$/);
  expect(mounts).toMatchObject([
    { path: '/', uid: 5, gid: 6, workDir: `/upper/.work/${id}`, snapshot: undefined, established: true },
  ]);
});

it.each([
  ['mountpoint = "relative"\nupper_dir = "/u"', 'mountpoint is not an absolute path'],
  ['mountpoint = "/m"', 'upper_dir is not an absolute path'],
  ['mountpoint = "/m"\nupper_dir = "/u"\nuid = -1', 'uid is not a number'],
  ['mountpoint = "/m"\nupper_dir = "/u"\npath = 3', 'path is not a string'],
  ['mountpoint = "/m"\nupper_dir = "/u"\ncommit = "zz"', 'commit and tree are not object ids'],
])('keeps a copy of a file with a bad entry (%s), and uses the good ones', async (bad) => {
  file = join(folder, 's');
  const text = `[[mounts]]\n${bad}\n\n[[mounts]]\njob_id = "good"\nmountpoint = "/m"\nupper_dir = "/u"\n`;
  await writeFile(file, text);
  const log = createRecordingLogger();
  const { mounts } = await loadState(file, defaults, log);
  expect(mounts.map((mount) => mount.jobId)).toEqual(['good']);
  const copy = (await readdir(folder)).find((name) => name.startsWith('s.damaged-')) ?? '';
  expect(await readFile(join(folder, copy), 'utf8')).toBe(text);
  expect(log.lines).toHaveLength(1);
});

it.each(['', '\n', 'mounts = [', '\0\0\0\0'])(
  'uses the copy of a file that holds %j, and sets that one aside',
  async (damaged) => {
    await saveState(file, { mounts: [record()], unmounted: [] });
    await writeFile(file, damaged);
    const log = createRecordingLogger();
    const { mounts } = await loadState(file, defaults, log);
    expect(mounts.map((mount) => mount.mountId)).toEqual([record().mountId]);
    expect(log.lines).toEqual([expect.stringContaining('its copy is used')]);
    const names = await readdir(join(folder, 'deep'));
    const kept = names.find((name) => name.includes('.damaged-')) ?? '';
    expect(await readFile(join(folder, 'deep', kept), 'utf8')).toBe(damaged);
  },
);

it('says so where a damaged file has no copy', async () => {
  file = join(folder, 's');
  await writeFile(file, '');
  const log = createRecordingLogger();
  expect(await loadState(file, defaults, log)).toEqual({ mounts: [], unmounted: [] });
  expect(log.lines).toEqual([expect.stringContaining('no earlier mount is known')]);
});

it('refuses a file that a newer version wrote, and leaves it alone', async () => {
  file = join(folder, 's');
  await writeFile(file, 'schema = 2\n');
  await expect(loadState(file, defaults, createRecordingLogger())).rejects.toThrow('newer version');
  expect(await readFile(file, 'utf8')).toBe('schema = 2\n');
});

it('writes one file for many changes at once, and the last word is in it', async () => {
  const mounts: MountRecord[] = [];
  const store = createStateStore(file, () => ({ mounts, unmounted: [] }));
  const saves = Array.from({ length: 50 }, (_, index) => {
    mounts.push(record({ mountId: `11111111-2222-3333-4444-${String(index).padStart(12, '0')}` }));
    return store.save();
  });
  await Promise.all(saves);
  expect((await loadState(file, defaults, createRecordingLogger())).mounts).toHaveLength(50);
  expect(new Set(saves).size).toBe(2);
});

it('tells everybody who waits that a write failed, and writes again afterwards', async () => {
  await writeFile(join(folder, 'deep'), 'a file in the way');
  const store = createStateStore(file, () => ({ mounts: [record()], unmounted: [] }));
  const results = await Promise.allSettled([store.save(), store.save(), store.save()]);
  expect(results.map((result) => result.status)).toEqual(['rejected', 'rejected', 'rejected']);
  await rm(join(folder, 'deep'));
  await store.save();
  expect((await loadState(file, defaults, createRecordingLogger())).mounts).toHaveLength(1);
});
