// Listing a merged folder.
import { constants } from 'node:fs';
import type { CallContext, DirectorySink } from '../fuse/filesystem.ts';
import type { Listing } from '../layers/layer.ts';
import { ErrnoError } from '../util/errno.ts';
import type { OverlayCore } from './core.ts';
import { FIRST_COOKIE } from './directory-view.ts';
import type { Inode } from './inode.ts';
import { lowerIno } from './inode-numbers.ts';
import { isPending } from './pending.ts';

const { S_IFMT, S_IFDIR } = constants;

/** readdir(3): names, types and inode numbers. */
export function readdir(
  core: OverlayCore,
  inode: Inode,
  offset: number,
  sink: DirectorySink,
  ctx: CallContext,
): void {
  each(core, inode, offset, sink, ctx, (name, next) => addPlain(core, inode, name, next, sink, ctx));
}

/**
 * As `readdir`, with attributes. Sizes that could not be learned (the server is away) do not spoil the listing: those
 * entries come without attributes, and a `stat` of one meets the error.
 */
export function readdirplus(
  core: OverlayCore,
  inode: Inode,
  offset: number,
  sink: DirectorySink,
  ctx: CallContext,
): void {
  each(core, inode, offset, sink, ctx, (name, next) => {
    const known = inode.directory?.children.get(name);
    const child = known ?? core.child(inode, name, ctx);
    if (child === undefined) return true;
    if (!isDescribable(core, child)) {
      if (known === undefined) core.dropIfUnused(child);
      return addPlain(core, inode, name, next, sink, ctx);
    }
    const accepted = sink.addEntry(name, core.entry(child, ctx), next);
    if (!accepted) core.forget(child.ino, 1);
    return accepted;
  });
}

/** Whether the attributes are known without a request. */
function isDescribable(core: OverlayCore, inode: Inode): boolean {
  if (inode.upper || inode.directory !== undefined || inode.lower === undefined) return true;
  return core.layer.knownSize(inode.lower) !== undefined;
}

function each(
  core: OverlayCore,
  inode: Inode,
  offset: number,
  sink: DirectorySink,
  ctx: CallContext,
  add: (name: string, next: number) => boolean,
): void {
  const view = core.view(inode, ctx);
  if (offset < 1 && !sink.add('.', inode.ino, S_IFDIR, 1)) return;
  if (offset < 2 && !sink.add('..', inode.parent?.ino ?? inode.ino, S_IFDIR, 2)) return;
  const start = view.seek(Math.max(offset, FIRST_COOKIE));
  for (let position = start; position < view.length; position++) {
    const name = view.nameAt(position);
    if (name === undefined) continue;
    const next = view.cookieAt(position) + 1;
    try {
      if (!add(name, next)) return;
    } catch (error) {
      // What the sink took must not be offered again: it ends here, and the next call begins with this entry.
      if (isPending(error) && (position > start || offset < 2)) return;
      if (!(error instanceof ErrnoError)) throw error;
      // One object that cannot be described does not make the folder unreadable: a stat of it meets the error.
      if (!sink.add(name, lowerIno(name), inode.directory?.upperNames?.get(name) ?? 0, next)) return;
    }
  }
}

function addPlain(
  core: OverlayCore,
  parent: Inode,
  name: string,
  next: number,
  sink: DirectorySink,
  ctx: CallContext,
): boolean {
  const directory = parent.directory;
  const known = directory?.children.get(name);
  if (known !== undefined) return sink.add(name, known.ino, known.type, next);
  if (directory?.upperNames?.has(name) !== true) {
    const lower = (core.listing(parent, ctx) as Listing).get(name);
    return lower === undefined || sink.add(name, lowerIno(lower.path), lower.mode & S_IFMT, next);
  }
  // The number of a copied-up object is in its attributes, which come with the inode.
  const child = core.child(parent, name, ctx);
  if (child === undefined) return true;
  const accepted = sink.add(name, child.ino, child.type, next);
  core.dropIfUnused(child);
  return accepted;
}
