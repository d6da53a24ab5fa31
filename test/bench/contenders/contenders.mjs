// Who is measured: the columns of the table, from left to right.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { local } from './local.mjs';
import { fuseOverlayfs, unionfsFuse } from './peer.mjs';
import { scorpio } from './scorpio.mjs';

const peers = [fuseOverlayfs, unionfsFuse];

/** Programs of the peers, and the Debian package of each. */
export const peerPrograms = Object.fromEntries(
  peers.map(({ command, debianPackage }) => [command, debianPackage]),
);

/** Scorpio as it is without any configuration, then its other ways to the kernel: who wins where decides the default. */
const ways = [
  scorpio('scorpio', 'Scorpio', {}),
  scorpio('no-open', 'Scorpio, no-open', { open_requests: 'never' }),
  scorpio('passthrough', 'Scorpio, passthrough', { open_requests: 'always' }),
  scorpio('fuse-native', 'Scorpio, fuse-native', { fuse_binding: 'fuse-native' }),
];

/** Keys of the configuration that the built program knows. */
async function knownKeys(root) {
  const { CONFIG_KEYS } = await import(pathToFileURL(join(root, 'dist', 'config', 'keys.js')).href);
  return new Set(CONFIG_KEYS.map(({ flat }) => flat));
}

/** Whether this build has the keys, and the optional package that one of them asks for. */
const isBuilt = (settings, known, root) =>
  Object.keys(settings).every((key) => known.has(key)) &&
  (settings.fuse_binding !== 'fuse-native' || existsSync(join(root, 'node_modules', 'fuse-native')));

/** Ids of all contenders. */
export const contenderIds = [local, ...ways, ...peers].map(({ id }) => id);

/**
 * The contenders that are wanted and can run here. The local disk is always among them: the ratios need it.
 * `hasProgram` tells whether a program is installed.
 */
export async function chooseContenders({ root, wanted = contenderIds, hasProgram }) {
  const known = await knownKeys(root);
  const can = (contender) =>
    contender.kind === 'peer'
      ? hasProgram(contender.command)
      : isBuilt(contender.settings ?? {}, known, root);
  return [local, ...ways, ...peers].filter(
    (contender) => contender === local || (wanted.includes(contender.id) && can(contender)),
  );
}
