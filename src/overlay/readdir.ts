// Listing a merged folder.
import { constants } from 'node:fs';
import type { CallContext, DirectorySink, Entry } from '../fuse/filesystem.ts';
import type { Listing } from '../layers/layer.ts';
import { ErrnoError } from '../util/errno.ts';
import type { OverlayCore } from './core.ts';
import { FIRST_COOKIE } from './directory-view.ts';
import type { DirectoryState, Inode } from './inode.ts';
import { lowerIno } from './inode-numbers.ts';
import { isPending } from './pending.ts';

const { S_IFMT, S_IFDIR } = constants;

/** What a listing offers: `index` is that in the lower listing, or -1 for a name that only the upper layer has. */
type Offer = (name: string, index: number, next: number) => boolean;

/** readdir(3): names, types and inode numbers. */
export function readdir(
  core: OverlayCore,
  inode: Inode,
  offset: number,
  sink: DirectorySink,
  ctx: CallContext,
): void {
  each(core, inode, offset, sink, ctx, (name, index, next) =>
    addPlain(core, { parent: inode, name, index }, next, sink, ctx),
  );
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
  const directory = inode.directory as DirectoryState;
  each(core, inode, offset, sink, ctx, (name, index, next) => {
    let entry: Entry;
    const known = directory.children.get(name);
    if (known === undefined && index >= 0 && directory.upperNames?.has(name) !== true) {
      const listing = directory.listing as Listing;
      const isFile = (listing.modeAt(index) & S_IFMT) !== S_IFDIR;
      if (isFile && core.layer.knownSize(listing.at(index)) === undefined) {
        return addPlain(core, { parent: inode, name, index }, next, sink, ctx);
      }
      entry = core.lowerEntry(inode, index, name, ctx);
    } else {
      const child = known ?? core.child(inode, name, ctx);
      if (child === undefined) return true;
      if (!isDescribable(core, child)) {
        if (known === undefined) core.dropIfUnused(child);
        return addPlain(core, { parent: inode, name, index }, next, sink, ctx);
      }
      entry = core.entry(child, ctx);
    }
    const accepted = sink.addEntry(name, entry, next);
    if (!accepted) core.forget(entry.node ?? entry.attributes.ino, 1);
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
  add: Offer,
): void {
  (inode.directory as DirectoryState).used = core.clock;
  const listing = core.listing(inode, ctx);
  const { whiteouts } = core.upperNames(inode);
  const view = core.view(inode, ctx);
  if (offset < 1 && !sink.add('.', inode.ino, S_IFDIR, 1)) return;
  if (offset < 2 && !sink.add('..', inode.parent?.ino ?? inode.ino, S_IFDIR, 2)) return;
  const from = Math.max(offset, FIRST_COOKIE);
  const lowerLength = listing?.length ?? 0;
  let isFirst = offset >= 2;
  const offer = (name: string, index: number, next: number): boolean => {
    const wasFirst = isFirst;
    isFirst = false;
    try {
      return add(name, index, next);
    } catch (error) {
      // What the sink took must not be offered again: it ends here, and the next call begins with this entry.
      if (!wasFirst && isPending(error)) return false;
      if (!(error instanceof ErrnoError)) throw error;
      // One object that cannot be described does not make the folder unreadable: a stat of it meets the error.
      return sink.add(name, lowerIno(name), inode.directory?.upperNames?.get(name) ?? 0, next);
    }
  };
  for (let index = from - FIRST_COOKIE; index < lowerLength; index++) {
    const name = (listing as Listing).nameAt(index);
    if (whiteouts.has(name)) continue;
    if (!offer(name, index, FIRST_COOKIE + index + 1)) return;
  }
  for (let position = view?.seek(from) ?? 0; position < (view?.length ?? 0); position++) {
    const name = view?.nameAt(position);
    if (name !== undefined && !offer(name, -1, (view?.cookieAt(position) ?? 0) + 1)) return;
  }
}

function addPlain(
  core: OverlayCore,
  { parent, name, index }: { parent: Inode; name: string; index: number },
  next: number,
  sink: DirectorySink,
  ctx: CallContext,
): boolean {
  const directory = parent.directory as DirectoryState;
  const known = directory.children.get(name);
  if (known !== undefined) return sink.add(name, known.shownIno || known.ino, known.type, next);
  if (index >= 0 && directory.upperNames?.has(name) !== true) {
    const type = (directory.listing as Listing).modeAt(index) & S_IFMT;
    return sink.add(name, core.inodes.childIno(parent, name), type, next);
  }
  // The number of a copied-up object is in its attributes, which come with the inode.
  const child = core.child(parent, name, ctx);
  if (child === undefined) return true;
  const accepted = sink.add(name, child.shownIno || child.ino, child.type, next);
  core.dropIfUnused(child);
  return accepted;
}
