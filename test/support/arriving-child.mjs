// Mounts an overlay in a process of its own over a small layer whose large file arrives when the parent says so.
//   arguments: mountpoint, folder for its files, how files are opened (auto, always, never)
//   messages:  { id, command, args } answered by { id, result }; the commands are below
import { mkdirSync, openSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { chooseBinding } from '../../dist/fuse/choose-binding.js';
import { createOverlay } from '../../dist/overlay/overlay.js';
import { ErrnoError } from '../../dist/util/errno.js';
import { ScriptedArrival } from './scripted-arrival.mjs';

const [mountpoint, folder, openRequests] = process.argv.slice(2);
const LARGE_BYTES = 16 * 1024 * 1024;
const FOLDER_MODE = 0o40755;
const FILE_MODE = 0o100644;

/** What the parent expects to read. */
const large = Buffer.alloc(LARGE_BYTES);
for (let at = 0; at < LARGE_BYTES; at += 4) large.writeUInt32LE((at * 2654435761) >>> 0, at);

const faults = [];
const heard = [];
const locked = new Set();
let isSmudged = false;
let overlay;

const makeError = (errno, message) =>
  new ErrnoError(errno, message, message === undefined ? {} : { cause: new Error(message) });
const arrival = new ScriptedArrival(join(folder, 'large'), large, makeError);

const texts = {
  'small.txt': () => 'small\n',
  'picture.psd': () => (isSmudged ? 'the picture itself, larger than its pointer\n' : 'pointer\n'),
  '.gitattributes': () => '*.psd filter=lfs\n',
};
const entry = (name, mode = FILE_MODE) => ({ name, mode, id: '0'.repeat(40), path: name });
const names = [...Object.keys(texts), 'large.bin'];
const entries = names.map((name) => entry(name));
const listing = {
  length: entries.length,
  byteLength: 100,
  at: (index) => entries[index],
  nameAt: (index) => names[index],
  modeAt: () => FILE_MODE,
  find: (name) => names.indexOf(name),
  get: (name) => entries[names.indexOf(name)],
};
const sizeOf = ({ name }) => (name === 'large.bin' ? LARGE_BYTES : texts[name]().length);
const open = ({ name }) => {
  const file = join(folder, `content-${name}`);
  writeFileSync(file, name === 'large.bin' ? large : texts[name]());
  return openSync(file, 'r');
};
const layer = {
  root: entry('', FOLDER_MODE),
  time: 1_767_225_600,
  list: () => listing,
  resolve: (path) => listing.get(path),
  knownSize: sizeOf,
  loadSizes: () => undefined,
  size: sizeOf,
  correctSize: () => undefined,
  open,
  openToRead: (wanted) => (wanted.name === 'large.bin' ? arrival.open() : open(wanted)),
  readlink: () => {
    throw new ErrnoError('EINVAL');
  },
};
const policy = {
  get mayBeReadOnly() {
    return locked.size > 0;
  },
  isReadOnly: ({ path }) => locked.has(path),
  checkWrite: ({ path }) => {
    if (locked.has(path)) throw new ErrnoError('EACCES', `${path} is locked`);
  },
  xattrNames: ({ path }) => (path.endsWith('.psd') ? ['user.scorpio.lfs.oid'] : []),
  xattr: ({ path }, name) =>
    path.endsWith('.psd') && name === 'user.scorpio.lfs.oid' ? Buffer.from('abcdef') : undefined,
};
const listener = {
  names: new Set(['.gitattributes']),
  fileChanged: (place, name) => heard.push(`${place}/${name}`),
  folderChanged: (path) => heard.push(path),
};

const commands = {
  arrive: (start, end) => arrival.arrive(start, end),
  complete: () => arrival.complete(),
  fail: (errno, message) => arrival.fail(errno, message),
  discard: () => arrival.discard(),
  mend: () => arrival.mend(),
  lock: (path) => {
    locked.add(path);
    overlay.control.policyChanged(path);
  },
  unlock: (path) => {
    locked.delete(path);
    overlay.control.policyChangedEverywhere();
  },
  smudge: () => {
    isSmudged = true;
    overlay.control.lowerChanged('', ({ name }) => name.endsWith('.psd'));
  },
  renew: () => overlay.control.lowerChanged('', ({ name }) => name === 'large.bin'),
  report: () => ({ asked: arrival.asked, views: arrival.views, opens: arrival.opens, faults, heard }),
};

for (const name of ['upper', 'work']) mkdirSync(join(folder, name));
const { mountFilesystem } = await chooseBinding(process.env.SCORPIO_TEST_BINDING ?? 'kernel');
const mount = await mountFilesystem(
  (notifier) => {
    overlay = createOverlay({
      layer,
      upperDir: join(folder, 'upper'),
      workDir: join(folder, 'work'),
      uid: process.getuid(),
      gid: process.getgid(),
      notifier,
      policy,
      listener,
    });
    return overlay;
  },
  {
    mountpoint,
    allowOther: false,
    source: 'scorpio:/arriving',
    openRequests,
    onFault: (operation, error) => faults.push(`${operation}: ${error.message}`),
  },
);
process.send({ ready: true });
process.on('message', async ({ id, command, args = [] }) => {
  if (command !== 'unmount') {
    process.send({ id, result: commands[command](...args) });
    return;
  }
  await mount.unmount({ lazy: true });
  process.disconnect();
});
