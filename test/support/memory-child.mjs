// Mounts an overlay over a large made-up tree with a small memory allowance, in a process of its own.
//   arguments: mountpoint, folder for its files, options as JSON ({ folders, files, allowance, canPrune })
//   messages:  { command: 'report' } answered by the report of the budget; { command: 'unmount' } ends it
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { mountKernel } from '../../dist/fuse/kernel/mount-kernel.js';
import { createMonorepoLayer } from '../../dist/layers/monorepo.js';
import { findPathsInUse } from '../../dist/mount/paths-in-use.js';
import { MemoryBudget } from '../../dist/overlay/memory-budget.js';
import { createLazyObjects } from '../../dist/objects/lazy-objects.js';
import { openObjectStore } from '../../dist/objects/object-store.js';
import { createOverlay } from '../../dist/overlay/overlay.js';

import { hashObject } from '../../dist/util/git-hash.js';

const [mountpoint, folder, json] = process.argv.slice(2);
const { folders, files, allowance, canPrune } = JSON.parse(json);

const store = openObjectStore(join(folder, 'store'));
const sizes = [];

async function blob(text) {
  const payload = Buffer.from(text);
  const id = hashObject('blob', payload);
  if (store.hasBlob(id)) return id;
  const writer = store.writeBlob(id);
  writer.begin(payload.length);
  await writer.write(payload);
  await writer.finish();
  sizes.push([id, payload.length]);
  return id;
}

function tree(entries) {
  const parts = entries.map(({ mode, name, id }) =>
    Buffer.concat([Buffer.from(`${mode} ${name}\0`), Buffer.from(id, 'hex')]),
  );
  const payload = Buffer.concat(parts);
  const id = hashObject('tree', payload);
  store.putTrees([[id, { payload }]]);
  return id;
}

const pad = (number) => String(number).padStart(4, '0');
const tops = [];
for (let at = 0; at < folders; at++) {
  const entries = [];
  for (let nth = 0; nth < files; nth++) {
    entries.push({ mode: '100644', name: `file-${pad(nth)}`, id: await blob(`${at} ${nth % 10}\n`) });
  }
  tops.push({ mode: '40000', name: `folder-${pad(at)}`, id: tree(entries) });
}
const root = tree(tops);
store.putSizes(sizes);
for (const name of ['upper', 'work']) mkdirSync(join(folder, name));
// Everything is in the store: nobody asks for anything.
const objects = createLazyObjects({
  store,
  upstream: { url: 'http://nobody', close: async () => undefined },
});

const budget = new MemoryBudget(2 ** 40, { allowance });
const layer = createMonorepoLayer({
  snapshot: { commit: root, tree: root, time: 1_767_225_600, path: '/' },
  objects,
});
/** The notifier of an older kernel. */
const older = (notifier) => ({
  invalidateInode: (...args) => notifier.invalidateInode(...args),
  invalidateEntry: (...args) => notifier.invalidateEntry(...args),
  delivered: () => notifier.delivered(),
});

const mount = await mountKernel(
  (notifier) =>
    createOverlay({
      layer,
      upperDir: join(folder, 'upper'),
      workDir: join(folder, 'work'),
      uid: process.getuid(),
      gid: process.getgid(),
      notifier: canPrune ? notifier : older(notifier),
      memory: budget,
      findPathsInUse: () => findPathsInUse(mountpoint, false),
    }),
  {
    mountpoint,
    allowOther: false,
    source: 'scorpio:/memory',
    onFault: (operation, error) => console.error(operation, error),
  },
);
process.send({ ready: true });
process.on('message', async ({ command }) => {
  if (command === 'report') {
    process.send({ report: budget.report() });
    return;
  }
  await mount.unmount({ lazy: true });
  await objects.close();
  await store.close();
  process.disconnect();
});
