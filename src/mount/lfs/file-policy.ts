// What locks and attributes decide about the files of a mount, and what they tell of them.
import type { LayerEntry } from '../../layers/layer.ts';
import type { AttributeRules } from '../../lfs/attributes/attribute-rules.ts';
import type { LfsObject } from '../../lfs/lfs-object.ts';
import type { LockRule } from '../../config/config.ts';
import type { FilePolicy, PolicyFile } from '../../overlay/file-policy.ts';
import { ErrnoError } from '../../util/errno.ts';
import type { Logger } from '../../util/logger.ts';
import { LruCache } from '../../util/lru.ts';
import type { LockHolder, LockService } from './lock-service.ts';

/** The same file is not written about again within this time. */
const SAY_AGAIN_MS = 60_000;
const REMEMBERED_FILES = 1_000;

/** Attributes of files as the mount shows them, from memory. */
export interface KnownAttributes {
  /** Rules of a folder of the mount (latin1, no leading slash); undefined: not known without waiting. */
  knownMergedRules(folder: string): AttributeRules | undefined;
  /** False as long as no attribute file that is known makes any file lockable. */
  readonly mayHaveLockable: boolean;
}

/** What the policy asks, and what it is to do. */
export interface FilePolicyOptions {
  readonly attributes: KnownAttributes;
  readonly locks: Pick<LockService, 'lockedBy' | 'isEmpty' | 'hasOthers' | 'isSupported'>;
  /** The large file that an entry of the lower layer reads as; undefined: not known without waiting. */
  readonly objectOf: (entry: LayerEntry) => LfsObject | 'none' | undefined;
  /** Whether the local store has the complete object. */
  readonly isStored: (oid: string) => boolean;
  /** Lockable files that the user has not locked. */
  readonly lockable: LockRule;
  /** Files that somebody else has locked. */
  readonly locked: LockRule;
  readonly log: Logger;
}

const OID = 'user.scorpio.oid';
const STATE = 'user.scorpio.state';
const LFS_OID = 'user.scorpio.lfs.oid';
const LFS_SIZE = 'user.scorpio.lfs.size';
const LOCK_OWNER = 'user.scorpio.lock.owner';

const toUtf8 = (latin1: string): string => Buffer.from(latin1, 'latin1').toString('utf8');

/** Makes the policy of one mount. */
export function createLfsFilePolicy(options: FilePolicyOptions): FilePolicy {
  return new LfsFilePolicy(options);
}

class LfsFilePolicy implements FilePolicy {
  readonly #options: FilePolicyOptions;
  readonly #said = new LruCache<string, number>(REMEMBERED_FILES);

  constructor(options: FilePolicyOptions) {
    this.#options = options;
  }

  get mayBeReadOnly(): boolean {
    const { lockable, locked, locks, attributes } = this.#options;
    return (
      (locked === 'refuse' && locks.hasOthers) ||
      (lockable === 'refuse' && locks.isSupported && attributes.mayHaveLockable)
    );
  }

  isReadOnly(file: PolicyFile): boolean {
    const { lockable, locked } = this.#options;
    const holder = this.#holderOf(file);
    if (locked === 'refuse' && holder !== undefined && !holder.isOurs) return true;
    return lockable === 'refuse' && holder?.isOurs !== true && this.#needsLock(file);
  }

  checkWrite(file: PolicyFile): void {
    const { lockable, locked } = this.#options;
    const holder = this.#holderOf(file);
    if (locked !== 'off' && holder !== undefined && !holder.isOurs) {
      const owner = holder.owner === '' ? 'somebody' : holder.owner;
      const text = `${owner} has locked it (lock ${holder.id})`;
      const isRefused = lockable === 'refuse' && locked === 'warn' && this.#needsLock(file);
      return this.#object(
        file,
        isRefused ? 'refuse' : locked,
        text,
        isRefused ? 'lfs_lockable' : 'lfs_locked',
      );
    }
    if (lockable === 'off' || holder?.isOurs === true || !this.#needsLock(file)) return;
    const path = toUtf8(file.path);
    const text = `it is lockable, and you have not locked it: scorpio lfs lock ${JSON.stringify(path)}`;
    this.#object(file, lockable, text, 'lfs_lockable');
  }

  /** None is listed: cp -a, rsync -X and tar would try to copy what cannot be set. */
  xattrNames(): readonly string[] {
    return [];
  }

  xattr(file: PolicyFile, name: string): Buffer | undefined {
    const value = this.#valueOf(file, name);
    return value === undefined ? undefined : Buffer.from(value, 'utf8');
  }

  #valueOf(file: PolicyFile, name: string): string | undefined {
    switch (name) {
      case OID:
        return file.lower?.id;
      case STATE:
        return this.#stateOf(file);
      case LFS_OID:
        return this.#contentObject(file)?.oid;
      case LFS_SIZE:
        return this.#contentObject(file)?.size.toString();
      case LOCK_OWNER:
        return ownerName(this.#holderOf(file));
      default:
        return undefined;
    }
  }

  #stateOf(file: PolicyFile): string {
    if (file.isUpper) return file.lower === undefined ? 'new' : 'modified';
    const object = this.#contentObject(file);
    if (object === undefined) return 'unmodified';
    return this.#options.isStored(object.oid) ? 'stored' : 'remote';
  }

  /** The large file that a file's content is; undefined: an ordinary file, or one that was written to. */
  #contentObject(file: PolicyFile): LfsObject | undefined {
    if (file.isUpper || file.lower === undefined) return undefined;
    const object = this.#options.objectOf(file.lower);
    return object === 'none' ? undefined : object;
  }

  #holderOf(file: PolicyFile): LockHolder | undefined {
    const { locks } = this.#options;
    // Making the path costs more than this question.
    return locks.isEmpty ? undefined : locks.lockedBy(file.path);
  }

  /** Whether it is in the repository and lockable. Where the server has no locks, nobody could lock it. */
  #needsLock(file: PolicyFile): boolean {
    const { locks, attributes } = this.#options;
    if (file.lower === undefined || !locks.isSupported || !attributes.mayHaveLockable) return false;
    const { path } = file;
    const slash = path.lastIndexOf('/');
    const rules = attributes.knownMergedRules(slash < 0 ? '' : path.slice(0, slash));
    if (rules === undefined || rules.isEmpty) return false;
    return rules.of(path.slice(slash + 1)).isLockable;
  }

  /** Refuses or warns, and says why, now and then. */
  #object(file: PolicyFile, rule: LockRule, reason: string, key: string): void {
    const path = toUtf8(file.path);
    const now = performance.now();
    if (now - (this.#said.get(path) ?? -Infinity) >= SAY_AGAIN_MS) {
      this.#said.set(path, now);
      const what = rule === 'refuse' ? 'a file must not be written' : 'a file is written that should not be';
      this.#options.log.warn(what, { path, reason, setting: key });
    }
    if (rule === 'refuse') throw new ErrnoError('EACCES', `${path} must not be written: ${reason}`);
  }
}

/** The name of who has locked a file; Mega keeps none. */
function ownerName(holder: LockHolder | undefined): string | undefined {
  if (holder === undefined || holder.owner !== '') return holder?.owner;
  return holder.isOurs ? 'you' : 'unknown';
}
