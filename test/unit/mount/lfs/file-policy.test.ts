// What locks and attributes decide about the files of a mount.
import { expect, test } from 'vitest';
import type { LayerEntry } from '../../../../src/layers/layer.ts';
import type { AttributeRules } from '../../../../src/lfs/attributes/attribute-rules.ts';
import type { LfsObject } from '../../../../src/lfs/lfs-object.ts';
import { createLfsFilePolicy } from '../../../../src/mount/lfs/file-policy.ts';
import type { FilePolicyOptions } from '../../../../src/mount/lfs/file-policy.ts';
import type { LockHolder } from '../../../../src/mount/lfs/lock-service.ts';
import type { FilePolicy, PolicyFile } from '../../../../src/overlay/file-policy.ts';
import { createLogger } from '../../../../src/util/logger.ts';

const OBJECT: LfsObject = { oid: 'f'.repeat(64), size: 12_345 };
const LOWER: LayerEntry = { name: 'a.bin', mode: 0o100644, id: '1'.repeat(40), path: 'art/a.bin' };

const rules = (isLockable: boolean): AttributeRules => ({
  of: (name) => ({ isLfs: true, isLockable: isLockable && name.endsWith('.bin') }),
  isEmpty: false,
  inside: () => rules(isLockable),
});

function makePolicy(
  options: Partial<Omit<FilePolicyOptions, 'locks' | 'log'>> & {
    readonly holders?: Readonly<Record<string, LockHolder>>;
    readonly hasNoLocks?: boolean;
  } = {},
): { readonly policy: FilePolicy; readonly logged: string[] } {
  const logged: string[] = [];
  const holders = options.holders ?? {};
  const policy = createLfsFilePolicy({
    attributes: {
      knownMergedRules: (folder) => (folder === 'unknown' ? undefined : rules(true)),
      mayHaveLockable: true,
    },
    objectOf: () => OBJECT,
    isStored: () => false,
    lockable: 'refuse',
    locked: 'warn',
    ...options,
    locks: {
      lockedBy: (path) => holders[path],
      isEmpty: Object.keys(holders).length === 0,
      hasOthers: Object.values(holders).some((holder) => !holder.isOurs),
      isSupported: options.hasNoLocks !== true,
    },
    log: createLogger('warn', (line) => logged.push(line)),
  });
  return { policy, logged };
}

const file = (path = 'art/a.bin', changes: Partial<PolicyFile> = {}): PolicyFile => ({
  path,
  lower: LOWER,
  isUpper: false,
  ...changes,
});
const ours: LockHolder = { owner: '', isOurs: true, id: '7' };
const theirs: LockHolder = { owner: 'bob', isOurs: false, id: '8' };

const XATTRS = ['state', 'oid', 'lfs.oid', 'lfs.size', 'lock.owner'].map((name) => `user.scorpio.${name}`);
const xattrs = (policy: FilePolicy, asked: PolicyFile): Record<string, string | undefined> =>
  Object.fromEntries(
    XATTRS.flatMap((name) => {
      const value = policy.xattr(asked, name);
      return value === undefined ? [] : [[name, value.toString()]];
    }),
  );

test('a lockable file is read-only until the user locks it, and says why, once', () => {
  const { policy, logged } = makePolicy();
  expect(policy.mayBeReadOnly).toBe(true);
  expect(policy.isReadOnly(file())).toBe(true);
  expect(() => policy.checkWrite(file())).toThrow(expect.objectContaining({ code: 'EACCES' }));
  expect(() => policy.checkWrite(file())).toThrow('scorpio lfs lock "art/a.bin"');
  expect(logged).toHaveLength(1);
  expect(logged[0]).toMatch(/path=art\/a\.bin .*lfs lock .*setting=lfs_lockable/u);
  const locked = makePolicy({ holders: { 'art/a.bin': ours } });
  expect(locked.policy.isReadOnly(file())).toBe(false);
  locked.policy.checkWrite(file());
  expect(locked.logged).toEqual([]);
});

test('what is not lockable, not in the repository, or not known, may be written', () => {
  const { policy, logged } = makePolicy();
  for (const free of [file('art/a.txt'), file('art/a.bin', { lower: undefined }), file('unknown/a.bin')]) {
    expect(policy.isReadOnly(free)).toBe(false);
    policy.checkWrite(free);
  }
  expect(logged).toEqual([]);
});

test('lockable files of a server without locks may be written: nobody could lock them', () => {
  const { policy } = makePolicy({ hasNoLocks: true });
  expect(policy.mayBeReadOnly).toBe(false);
  expect(policy.isReadOnly(file())).toBe(false);
  policy.checkWrite(file());
});

test('lfs_lockable warns, or is off', () => {
  const warning = makePolicy({ lockable: 'warn' });
  expect(warning.policy.isReadOnly(file())).toBe(false);
  warning.policy.checkWrite(file());
  expect(warning.logged).toHaveLength(1);
  const off = makePolicy({ lockable: 'off' });
  off.policy.checkWrite(file());
  expect(off.logged).toEqual([]);
});

test('a file that somebody else has locked is warned about, refused, or written', () => {
  const holders = { 'art/a.txt': theirs };
  const warning = makePolicy({ holders });
  expect(warning.policy.isReadOnly(file('art/a.txt'))).toBe(false);
  warning.policy.checkWrite(file('art/a.txt'));
  expect(warning.logged[0]).toContain('bob has locked it (lock 8)');
  const refusing = makePolicy({ holders, locked: 'refuse' });
  expect(refusing.policy.isReadOnly(file('art/a.txt'))).toBe(true);
  expect(() => refusing.policy.checkWrite(file('art/a.txt'))).toThrow('bob has locked it');
  const off = makePolicy({ holders, locked: 'off', lockable: 'off' });
  expect(off.policy.mayBeReadOnly).toBe(false);
  off.policy.checkWrite(file('art/a.txt'));
  expect(off.logged).toEqual([]);
});

test('a lockable file that somebody else has locked stays read-only where others are only warned about', () => {
  const { policy } = makePolicy({ holders: { 'art/a.bin': theirs } });
  expect(policy.isReadOnly(file())).toBe(true);
  expect(() => policy.checkWrite(file())).toThrow('bob has locked it');
});

test('extended attributes tell blob, large file, state and owner', () => {
  const { policy } = makePolicy({ holders: { 'art/a.bin': theirs, 'art/b.bin': ours } });
  expect(xattrs(policy, file())).toEqual({
    'user.scorpio.state': 'remote',
    'user.scorpio.oid': LOWER.id,
    'user.scorpio.lfs.oid': OBJECT.oid,
    'user.scorpio.lfs.size': '12345',
    'user.scorpio.lock.owner': 'bob',
  });
  expect(xattrs(policy, file('art/b.bin', { isUpper: true }))).toEqual({
    'user.scorpio.state': 'modified',
    'user.scorpio.oid': LOWER.id,
    'user.scorpio.lock.owner': 'you',
  });
  expect(xattrs(policy, file('new', { lower: undefined, isUpper: true }))).toEqual({
    'user.scorpio.state': 'new',
  });
  expect(policy.xattr(file(), 'user.scorpio.nothing')).toBeUndefined();
});

test('the state of what is there tells ordinary files from large ones that were downloaded', () => {
  const stored = makePolicy({ isStored: () => true });
  expect(xattrs(stored.policy, file())['user.scorpio.state']).toBe('stored');
  const ordinary = makePolicy({ objectOf: () => 'none' });
  expect(xattrs(ordinary.policy, file())).toEqual({
    'user.scorpio.state': 'unmodified',
    'user.scorpio.oid': LOWER.id,
  });
});
