// Random changes of a mount whose files are all large: its status is what a comparison of all contents says.
import { constants } from 'node:fs';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { LfsFileStatus } from '../../../../src/mount/lfs/mount-lfs.ts';
import { ClientModel } from '../../../model/client-model.ts';
import {
  modelParameters,
  modelSeed,
  type Operation,
  operationSequences,
  resolveOperation,
} from '../../../model/operations.ts';
import { lfsOid } from '../../../support/lfs-repository.ts';
import { finish, LargeMount } from './large-mount.ts';

const DEFAULT_RUNS = 12;
const MAX_OPERATIONS = 40;
const RANDOM_TIMEOUT_MS = 240_000;

/** Large files of the commit: those of the model that have content. */
const LARGE = Object.fromEntries(
  Object.entries(modelSeed).flatMap(([path, node]) =>
    node.kind === 'file' && node.content.length > 0 && !path.includes('\xe9') ? [[path, node.content]] : [],
  ),
);

/** Oids of the regular files that the mount shows. */
async function shownOids(mount: LargeMount): Promise<Map<string, string>> {
  const { files } = await new ClientModel(mount.fs).paths();
  const oids = new Map<string, string>();
  for (const path of files) {
    const { mode } = await mount.fs.stat(path);
    if ((mode & constants.S_IFMT) !== constants.S_IFREG) continue;
    oids.set(Buffer.from(path, 'latin1').toString('utf8'), lfsOid(await mount.fs.readFile(path)));
  }
  oids.delete('.gitattributes');
  return oids;
}

function check(status: Readonly<Record<string, LfsFileStatus>>, shown: ReadonlyMap<string, string>): void {
  const moved = new Set(Object.values(status).flatMap(({ from }) => from ?? []));
  for (const [path, content] of Object.entries(LARGE)) {
    const [before, after] = [lfsOid(content), shown.get(path)];
    const told = status[path];
    if (after === before) expect([undefined, 'unmodified']).toContain(told?.change);
    else if (after !== undefined)
      expect(told).toMatchObject({ change: 'modified', oid: after, oldOid: before });
    else if (!moved.has(path)) expect(told).toMatchObject({ change: 'deleted', oldOid: before });
    else expect(told).toBeUndefined();
  }
  for (const [path, oid] of shown) {
    if (path in LARGE) continue;
    const told = status[path];
    expect(told).toMatchObject({ isLfs: true, oid });
    if (told?.from === undefined) expect(told?.change).toBe('new');
    else expect(lfsOid(LARGE[told.from] as Buffer)).toBe(oid);
  }
  for (const [path, { change }] of Object.entries(status)) {
    if (change !== 'deleted') expect(shown.has(path)).toBe(true);
  }
}

async function run(drawn: readonly Operation[]): Promise<void> {
  const mount = await LargeMount.create(LARGE);
  try {
    mount.attributes = '* filter=lfs\n.gitattributes -filter\n';
    const model = new ClientModel(mount.fs);
    for (const operation of drawn) {
      // Closing and opening is the mount's own here; a file that the model opens is closed with it.
      if (operation.op === 'reopen') continue;
      const { files, folders } = await model.paths();
      const others = files.filter((path) => path !== '.gitattributes');
      await model.run(resolveOperation(operation, { files: others, folders }));
    }
    const shown = await shownOids(mount);
    const { '.gitattributes': _own, ...status } = await mount.status();
    check(status, shown);
    expect(await finish(mount.lfs.push({ paths: [] }))).toMatchObject({ filesFailed: 0 });
    for (const file of Object.values(await mount.status())) {
      if (file.change !== 'deleted') expect(file.isUploaded).toBe(true);
    }
  } finally {
    await mount.dispose();
  }
}

test(
  'the status is what a comparison of all contents says, and a push makes it complete',
  async () => {
    const sequences = operationSequences(MAX_OPERATIONS, { setgid: false });
    await fc.assert(fc.asyncProperty(sequences, run), modelParameters(DEFAULT_RUNS));
  },
  RANDOM_TIMEOUT_MS,
);
