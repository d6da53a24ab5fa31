// Trees and blob sizes in SQLite: a cache, so whatever is wrong with it can be answered by starting anew.
import { renameSync, statSync } from 'node:fs';
import Database from 'better-sqlite3';
import type { SizedTree } from '../git/sized-tree.ts';
import { hashObject } from '../util/git-hash.ts';
import { LruCache } from '../util/lru.ts';
import type { ObjectId } from '../util/types.ts';
import { connect } from './metadata-schema.ts';
import { codeOf, isDiskFull } from '../util/disk-full.ts';
import { toStoreError } from './store-error.ts';

/** Sizes kept in memory when they cannot be written. */
const UNSAVED_SIZES = 200_000;
/** Corrected sizes that are read when the store is opened; a server that lies more often is beyond help. */
const CORRECTIONS_MAX = 10_000;

/** What one step of making room forgets: some milliseconds of this thread. */
const SHRINK_TREES = 16;
const SHRINK_SIZES = 1024;

/** Options of MetadataDb. */
export interface MetadataOptions {
  readonly onWarning: (message: string) => void;
  /** How long a statement waits for another process's lock, in milliseconds; it blocks this thread. */
  readonly busyTimeoutMs: number;
  /** Called when the disk is full; true when something was removed, so that it is worth to try again. */
  readonly makeRoom: () => boolean;
}

interface Session {
  readonly db: Database.Database;
  /** Inode number of the file, to see that another process replaced it. */
  readonly inode: number;
  /** Opened on a full disk: other processes are kept out. */
  readonly alone: boolean;
  readonly getTree: Database.Statement<[Buffer], [Buffer, Buffer | null]>;
  readonly putTree: Database.Statement<[Buffer, Buffer, Buffer | null]>;
  readonly putTreeSizes: Database.Statement<[Buffer, Buffer]>;
  readonly dropTree: Database.Statement<[Buffer]>;
  readonly hasTree: Database.Statement<[Buffer], 1>;
  readonly getSize: Database.Statement<[Buffer], number>;
  readonly anySize: Database.Statement<[], 1>;
  readonly addSize: Database.Statement<[Buffer, number]>;
  readonly setSize: Database.Statement<[Buffer, number]>;
  readonly correctSize: Database.Statement<[Buffer, number]>;
  readonly corrections: Database.Statement<[number], [string, number]>;
}

function bytesOf(id: ObjectId): Buffer {
  return Buffer.from(id, 'hex');
}

/** Whether an error says that the file is no sound database; locks, permissions and a full disk do not. */
function isDamage(error: unknown): boolean {
  const code = codeOf(error);
  // SQLITE_ERROR at a statement of ours: the tables are not what the version promises.
  return code.startsWith('SQLITE_CORRUPT') || code === 'SQLITE_NOTADB' || code === 'SQLITE_ERROR';
}

function openSession(path: string, timeoutMs: number, alone = false): Session {
  const db = connect(path, timeoutMs, alone);
  try {
    return {
      db,
      alone,
      inode: statSync(path).ino,
      getTree: db
        .prepare<[Buffer], [Buffer, Buffer | null]>('SELECT payload, sizes FROM trees WHERE id = ?')
        .raw(),
      putTree: db.prepare(
        'INSERT INTO trees (id, payload, sizes) VALUES (?, ?, ?) ON CONFLICT (id) DO UPDATE SET sizes = excluded.sizes ' +
          'WHERE sizes IS NULL AND excluded.sizes IS NOT NULL',
      ),
      putTreeSizes: db.prepare('UPDATE trees SET sizes = ? WHERE id = ?'),
      dropTree: db.prepare('DELETE FROM trees WHERE id = ?'),
      hasTree: db.prepare<[Buffer], 1>('SELECT 1 FROM trees WHERE id = ?').pluck(),
      getSize: db.prepare<[Buffer], number>('SELECT size FROM sizes WHERE id = ?').pluck(),
      anySize: db.prepare<[], 1>('SELECT 1 FROM sizes LIMIT 1').pluck(),
      addSize: db.prepare('INSERT OR IGNORE INTO sizes (id, size) VALUES (?, ?)'),
      setSize: db.prepare(
        'INSERT INTO sizes (id, size) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET size = excluded.size WHERE size <> excluded.size',
      ),
      correctSize: db.prepare('INSERT OR REPLACE INTO corrected_sizes (id, size) VALUES (?, ?)'),
      corrections: db
        .prepare<[number], [string, number]>('SELECT lower(hex(id)), size FROM corrected_sizes LIMIT ?')
        .raw(),
    };
  } catch (error) {
    db.close();
    throw error;
  }
}

/**
 * The database. Only opening it fails (with StoreError); later troubles are warned about, and answered like an empty
 * database would: a file that turns out to be damaged is set aside and a new one begun.
 */
export class MetadataDb {
  readonly #path: string;
  readonly #options: MetadataOptions;
  readonly #unsaved = new LruCache<ObjectId, number>(UNSAVED_SIZES);
  readonly #warned = new Set<string>();
  #session: Session | undefined;
  #hasSizes: boolean | undefined;

  constructor(path: string, options: MetadataOptions) {
    this.#path = path;
    this.#options = options;
    try {
      this.#session = this.#openOnAnyDisk();
    } catch (error) {
      if (!isDamage(error)) throw toStoreError(error, path);
      this.#session = this.#rebuild(error, undefined);
    }
  }

  /** What is there can be read on a full disk, too. */
  #openOnAnyDisk(): Session {
    const { busyTimeoutMs, makeRoom, onWarning } = this.#options;
    try {
      return openSession(this.#path, busyTimeoutMs);
    } catch (error) {
      if (!isDiskFull(error)) throw error;
      if (makeRoom()) return openSession(this.#path, busyTimeoutMs);
      const session = openSession(this.#path, busyTimeoutMs, true);
      onWarning(`${toStoreError(error, this.#path).message}; what is in it is served, and nothing is added`);
      return session;
    }
  }

  /** Something was written, so there is space again: lets other processes in. */
  #rejoin(): void {
    if (this.#session?.alone !== true) return;
    this.#session.db.close();
    try {
      this.#session = this.#openOnAnyDisk();
    } catch (error) {
      this.#session = undefined;
      this.#options.onWarning(toStoreError(error, this.#path).message);
    }
  }

  /** A tree, verified, with the sizes that were kept with it. */
  tree(id: ObjectId): SizedTree | undefined {
    return this.#use((session) => {
      const key = bytesOf(id);
      const row = session.getTree.get(key);
      if (row === undefined) return undefined;
      const [payload, sizes] = row;
      // Hashing takes a tenth of the time of the query, and SQLite has no checksums of its own.
      if (hashObject('tree', payload) === id) return { payload, sizes: sizes ?? undefined };
      this.#options.onWarning(
        `the stored copy of tree ${id} was damaged (${this.#path}); it is fetched again`,
      );
      session.dropTree.run(key);
      return undefined;
    });
  }

  /** Keeps trees, which the caller verified, in one transaction. */
  putTrees(trees: readonly (readonly [ObjectId, SizedTree])[]): void {
    const isKept = this.#use((session) => {
      const put = (): void => {
        for (const [id, { payload, sizes }] of trees)
          session.putTree.run(bytesOf(id), payload, sizes ?? null);
      };
      // A single statement is a transaction of its own.
      if (trees.length === 1) put();
      else session.db.transaction(put)();
      return true;
    });
    if (isKept === true) this.#rejoin();
  }

  /** Keeps packed sizes with a tree that is stored, in place of others. */
  putTreeSizes(id: ObjectId, sizes: Buffer): void {
    this.#use((session) => session.putTreeSizes.run(sizes, bytesOf(id)));
  }

  /** Whether a tree is stored; reading it may still find it damaged. */
  hasTree(id: ObjectId): boolean {
    return this.#use((session) => session.hasTree.get(bytesOf(id))) === 1;
  }

  /** Sizes of blobs of which the server told wrong ones. */
  corrections(): Map<ObjectId, number> {
    return new Map(this.#use((session) => session.corrections.all(CORRECTIONS_MAX)) ?? []);
  }

  /** Notes the true size of a blob of which the server told a wrong one. */
  correctSize(id: ObjectId, size: number): void {
    this.#use((session) => session.correctSize.run(bytesOf(id), size));
  }

  /**
   * Whether sizes of single blobs were stored when the database was opened, or by this process since: with a server that
   * tells them with their trees there are none, and each blob that is published saves a query.
   */
  get hasSizes(): boolean {
    this.#hasSizes ??= this.#use((session) => session.anySize.get()) !== undefined;
    return this.#hasSizes;
  }

  /** Size of a blob in bytes. */
  size(id: ObjectId): number | undefined {
    return this.#use((session) => session.getSize.get(bytesOf(id))) ?? this.#unsaved.get(id);
  }

  /** Calls `each` with the index of each blob and its size, where it is known, in one transaction. */
  eachSize(ids: readonly ObjectId[], each: (index: number, size: number | undefined) => void): void {
    this.#use((session) => {
      session.db.transaction(() => {
        for (const [index, id] of ids.entries()) {
          each(index, session.getSize.get(bytesOf(id)) ?? this.#unsaved.get(id));
        }
      })();
    });
  }

  /** Keeps sizes in one transaction. What a server said does not replace what was counted (`counted`). */
  putSizes(sizes: Iterable<readonly [ObjectId, number]>, origin: 'told' | 'counted'): void {
    this.#hasSizes = true;
    const saved = this.#use((session) => {
      const statement = origin === 'told' ? session.addSize : session.setSize;
      session.db.transaction(() => {
        for (const [id, size] of sizes) statement.run(bytesOf(id), size);
      })();
      return true;
    });
    if (saved === true) return;
    for (const [id, size] of sizes) this.#unsaved.set(id, size);
  }

  /**
   * Makes room inside the file when what is in it takes more than so many bytes: forgets some of what was stored first.
   * Whether there is more to forget. The file does not shrink, but grows no further.
   */
  shrink(maxBytes: number): boolean {
    const isDone = this.#use(({ db }) => {
      const pragma = (name: string): number => Number(db.pragma(name, { simple: true }));
      const used = (pragma('page_count') - pragma('freelist_count')) * pragma('page_size');
      if (used <= maxBytes) return true;
      const steps = [
        `DELETE FROM trees WHERE rowid IN (SELECT rowid FROM trees ORDER BY rowid LIMIT ${SHRINK_TREES})`,
        `DELETE FROM sizes WHERE id IN (SELECT id FROM sizes LIMIT ${SHRINK_SIZES})`,
      ];
      // Both, whichever of them fills the file.
      const changes = steps.map((step) => db.prepare(step).run().changes);
      return changes.every((count) => count === 0);
    });
    return isDone === false;
  }

  /** Closes the database; afterwards it knows nothing and keeps nothing. */
  close(): void {
    this.#session?.db.close();
    this.#session = undefined;
  }

  #use<T>(operation: (session: Session) => T): T | undefined {
    const session = this.#session;
    if (session === undefined) return undefined;
    try {
      return operation(session);
    } catch (error) {
      if (!(error instanceof Database.SqliteError)) throw error;
      if (isDiskFull(error) && this.#options.makeRoom()) return this.#use(operation);
      if (isDamage(error)) {
        this.#session = undefined;
        try {
          this.#session = this.#rebuild(error, session);
        } catch (failure) {
          this.#options.onWarning((failure as Error).message);
        }
      } else if (!this.#warned.has(error.code)) {
        // Once for each kind: a full disk would be told about at every tree.
        this.#warned.add(error.code);
        this.#options.onWarning(
          `the local store ${this.#path} failed: ${toStoreError(error, this.#path).message}`,
        );
      }
      return undefined;
    }
  }

  /** Moves the damaged files away (unless another process did) and begins a new database. */
  #rebuild(reason: unknown, damaged: Session | undefined): Session {
    const timeoutMs = this.#options.busyTimeoutMs;
    try {
      damaged?.db.close();
      const isOurs = damaged === undefined || damaged.inode === statSync(this.#path).ino;
      if (isOurs) this.#setAside(reason);
    } catch (error) {
      if (codeOf(error) !== 'ENOENT') throw toStoreError(error, this.#path);
    }
    try {
      return openSession(this.#path, timeoutMs);
    } catch (error) {
      throw toStoreError(error, this.#path);
    }
  }

  #setAside(reason: unknown): void {
    const aside = `${this.#path}.damaged-${new Date().toISOString().replaceAll(':', '')}`;
    // The log goes first: a new database must never find the log of the old one beside it.
    for (const suffix of ['-wal', '-shm', '']) {
      try {
        renameSync(this.#path + suffix, aside + suffix);
      } catch (error) {
        if (codeOf(error) !== 'ENOENT') throw error;
      }
    }
    const message = reason instanceof Error ? reason.message : String(reason);
    this.#options.onWarning(
      `the metadata of the local store was damaged (${message}); it was set aside as ${aside} and begun anew`,
    );
  }
}
