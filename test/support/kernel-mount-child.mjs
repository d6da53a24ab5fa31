// Mounts the tree filesystem through the binding under test in a process of its own and does what its parent asks over the IPC channel.
//   arguments: mountpoint, options as JSON ({ allowOther, ttl, files })
//   messages:  { id, command, ...arguments } answered by { id, result } or { id, error }; events as { event }
import { chooseBinding } from '../../dist/fuse/choose-binding.js';
import { createTreeFilesystem } from './tree-filesystem.mjs';

const [mountpoint, json] = process.argv.slice(2);
const { allowOther = false, ttl } = JSON.parse(json ?? '{}');
const faults = [];
let filesystem;
let destroyed = 0;

const describe = (error) => ({ code: error.code, message: error.message });
const tell = (message) => (process.send ? process.send(message) : console.log(JSON.stringify(message)));

const commands = {
  unmount: async ({ lazy }) => mount.unmount({ lazy }),
  plant: ({ parent = 1, name, text, size }) =>
    filesystem.plant(
      parent,
      name,
      text !== undefined ? Buffer.from(text) : size === undefined ? undefined : Buffer.alloc(size, 7),
    ),
  rewrite: ({ ino, text }) => filesystem.rewrite(ino, Buffer.from(text)),
  drop: ({ name }) => filesystem.drop(name),
  report: () => ({
    faults,
    destroyed,
    connection: mount.connection,
    openFiles: filesystem.handles.size,
    forgotten: filesystem.forgotten.references,
  }),
};

let mount;
try {
  const { mountFilesystem } = await chooseBinding(process.env.SCORPIO_TEST_BINDING ?? 'kernel');
  mount = await mountFilesystem(
    (notifier) => {
      filesystem = createTreeFilesystem({ ttl, notifier });
      return Object.assign(filesystem, { destroy: () => void destroyed++ });
    },
    {
      mountpoint,
      allowOther,
      source: 'scorpio:/a, b',
      onFault: (operation, error) => faults.push({ operation, ...describe(error) }),
    },
  );
  tell({ event: 'mounted' });
} catch (error) {
  tell({ event: 'failed', error: describe(error), destroyed });
  process.disconnect?.();
}

let running = 0;
let isOver = false;
// Nothing but the channel may keep the process alive after the end: that it goes away then is part of the test.
const leaveWhenDone = () => isOver && running === 0 && process.disconnect?.();

process.on('message', async ({ id, command, ...rest }) => {
  running++;
  try {
    tell({ id, result: await commands[command](rest) });
  } catch (error) {
    tell({ id, error: describe(error) });
  }
  running--;
  leaveWhenDone();
});
void mount?.ended.then(() => {
  tell({ event: 'ended', destroyed });
  isOver = true;
  leaveWhenDone();
});
