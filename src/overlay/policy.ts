// Asking the policy of an overlay: who may write a file, and what else is known of it.
import { constants } from 'node:fs';
import type { CallContext } from '../fuse/filesystem.ts';
import type { Listing } from '../layers/layer.ts';
import { ErrnoError } from '../util/errno.ts';
import type { OverlayCore } from './core.ts';
import type { PolicyFile } from './file-policy.ts';
import type { Inode } from './inode.ts';
import { need } from './pending.ts';
import { policyFileAt, policyFileOf } from './policy-file.ts';

/** What the names of attributes begin with that a policy makes up. */
const POLICY_PREFIX = 'user.scorpio.';

/** Throws ErrnoError where the policy does not let anybody write to a file that there is. */
export function checkWrite(core: OverlayCore, inode: Inode, ctx: CallContext): void {
  const { policy, policyChanges } = core;
  const file = policy === undefined ? undefined : policyFileOf(inode);
  if (policy === undefined || file === undefined) return;
  if (file.isUpper && inode.parent !== undefined) learnLower(core, inode.parent, ctx);
  policy.checkWrite(file);
  inode.writableSince = policyChanges;
}

/**
 * The same for a change that comes without an open file: where the kernel opens files without asking, each write does.
 * So it is remembered until the policy changes.
 */
export function checkWriteOnce(core: OverlayCore, inode: Inode, ctx: CallContext): void {
  if (core.policy !== undefined && inode.writableSince !== core.policyChanges) checkWrite(core, inode, ctx);
}

/** Has a folder know what the lower layer has in it; tries once, since whoever is away must not keep users from writing. */
function learnLower({ layer, inodes }: OverlayCore, folder: Inode, ctx: CallContext): void {
  const { lower, directory } = folder;
  if (lower === undefined || directory === undefined) return;
  if (directory.listing !== undefined || directory.isListingTried) return;
  directory.isListingTried = true;
  const keep = (listing: Listing): void => {
    if (directory.listing === undefined && inodes.has(folder)) inodes.keepListing(directory, listing);
  };
  const listing = layer.list(lower, ctx);
  need(listing instanceof Promise ? listing.then(keep).catch(() => undefined) : keep(listing));
}

/** Whoever makes a file may write it. */
export function allowWrite({ policyChanges }: OverlayCore, inode: Inode): void {
  inode.writableSince = policyChanges;
}

/** Whether an attribute may be one that the policy makes up. */
export function isPolicyAttribute({ policy }: OverlayCore, name: string): boolean {
  return policy !== undefined && name.startsWith(POLICY_PREFIX);
}

/** Throws EPERM for an attribute of a file that is not for users to change. */
export function requireOwnAttribute(core: OverlayCore, { type }: Inode, name: string): void {
  if (type === constants.S_IFREG && isPolicyAttribute(core, name)) throw new ErrnoError('EPERM');
}

/** What the policy makes up for a file: names of attributes. */
export function policyAttributes(core: OverlayCore, ino: number): readonly string[] {
  const { policy } = core;
  if (policy === undefined) return [];
  const file = fileOf(core, ino);
  return file === undefined ? [] : policy.xattrNames(file);
}

/** Value of one of them, or undefined. */
export function policyAttribute(core: OverlayCore, ino: number, name: string): Buffer | undefined {
  const file = fileOf(core, ino);
  return file === undefined ? undefined : core.policy?.xattr(file, name);
}

/** A file by its number, without making an object of it. */
function fileOf(core: OverlayCore, ino: number): PolicyFile | undefined {
  const at = core.inodes.fileAt(ino);
  if (at === undefined) return policyFileOf(core.inode(ino));
  const entry = at.folder.directory?.listing?.at(at.index);
  return entry === undefined ? undefined : policyFileAt(at.folder, entry);
}
