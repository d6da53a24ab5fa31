// What files the store holds, how much disk they take and when each was last used: usage.db, an SQLite file.
import { renameSync, rmSync } from 'node:fs';
import Database from 'better-sqlite3';
import type { ObjectId } from '../util/types.ts';
import { enterWalMode } from './metadata-schema.ts';
import { codeOf, isDiskFull } from '../util/disk-full.ts';
import { toStoreError } from './store-error.ts';

/**
 * The schema, `PRAGMA user_version` 1. Triggers keep the totals: they are right whatever a crash cuts off. Ids are those
 * of stored-file.ts.
 */
const SCHEMA = `
  CREATE TABLE blobs (id BLOB PRIMARY KEY NOT NULL, bytes INTEGER NOT NULL, used INTEGER NOT NULL) WITHOUT ROWID;
  CREATE INDEX blobs_by_use ON blobs (used, bytes);
  CREATE TABLE state (name TEXT PRIMARY KEY NOT NULL, value INTEGER NOT NULL) WITHOUT ROWID;
  INSERT INTO state VALUES ('bytes', 0), ('blobs', 0);
  CREATE TRIGGER blobs_added AFTER INSERT ON blobs BEGIN
    UPDATE state SET value = value + 1 WHERE name = 'blobs';
    UPDATE state SET value = value + NEW.bytes WHERE name = 'bytes';
  END;
  CREATE TRIGGER blobs_removed AFTER DELETE ON blobs BEGIN
    UPDATE state SET value = value - 1 WHERE name = 'blobs';
    UPDATE state SET value = value - OLD.bytes WHERE name = 'bytes';
  END;
  CREATE TRIGGER blobs_resized AFTER UPDATE OF bytes ON blobs WHEN OLD.bytes <> NEW.bytes BEGIN
    UPDATE state SET value = value + NEW.bytes - OLD.bytes WHERE name = 'bytes';
  END;
`;
/** Version 2: totals of large files, whose ids are longer than those of blobs. An older program goes on with it. */
const LARGE_FILES_SCHEMA = `
  INSERT OR IGNORE INTO state VALUES ('large_bytes', 0), ('large_files', 0);
  CREATE TRIGGER large_added AFTER INSERT ON blobs WHEN length(NEW.id) > 20 BEGIN
    UPDATE state SET value = value + 1 WHERE name = 'large_files';
    UPDATE state SET value = value + NEW.bytes WHERE name = 'large_bytes';
  END;
  CREATE TRIGGER large_removed AFTER DELETE ON blobs WHEN length(OLD.id) > 20 BEGIN
    UPDATE state SET value = value - 1 WHERE name = 'large_files';
    UPDATE state SET value = value - OLD.bytes WHERE name = 'large_bytes';
  END;
  CREATE TRIGGER large_resized AFTER UPDATE OF bytes ON blobs WHEN length(OLD.id) > 20 BEGIN
    UPDATE state SET value = value + NEW.bytes - OLD.bytes WHERE name = 'large_bytes';
  END;
`;
const SCHEMA_VERSION = 2;
/** How long a file that could not be opened is left alone. */
const REOPEN_AFTER_MS = 10_000;

/** A blob in the order of use. */
export interface UsedBlob {
  readonly id: ObjectId;
  /** Bytes of disk that it takes. */
  readonly bytes: number;
  /** When it was last used, in milliseconds since 1970. */
  readonly used: number;
}

/** What is to be noted of one file. Without `bytes`: it was used, and nothing is noted of one that is unknown. */
export interface Usage {
  readonly bytes?: number;
  readonly used: number;
  /** It is not there any more. */
  readonly isGone?: boolean;
}

interface Row {
  readonly id: Buffer;
  readonly bytes: number;
  readonly used: number;
}

interface Session {
  readonly db: Database.Database;
  readonly add: Database.Statement<[Buffer, number, number]>;
  readonly touch: Database.Statement<[number, Buffer, number]>;
  readonly remove: Database.Statement<[Buffer]>;
  readonly oldest: Database.Statement<[number, number], Row>;
  readonly find: Database.Statement<[Buffer], Row>;
  readonly range: Database.Statement<[Buffer, Buffer], Buffer>;
  readonly getState: Database.Statement<[string], number>;
  readonly setState: Database.Statement<[string, number]>;
}

function openSession(path: string, timeoutMs: number): Session {
  const db = new Database(path, { timeout: timeoutMs });
  try {
    enterWalMode(db, timeoutMs);
    db.pragma('synchronous = NORMAL');
    const version = (): number => Number(db.pragma('user_version', { simple: true }));
    if (version() < SCHEMA_VERSION) {
      db.transaction(() => {
        // Another process may have been faster.
        if (version() === 0) db.exec(SCHEMA);
        if (version() >= SCHEMA_VERSION) return;
        db.exec(LARGE_FILES_SCHEMA);
        db.pragma(`user_version = ${SCHEMA_VERSION}`);
      }).immediate();
    }
    return {
      db,
      add: db.prepare(
        'INSERT INTO blobs VALUES (?, ?, ?) ON CONFLICT (id) DO UPDATE SET bytes = excluded.bytes, used = excluded.used',
      ),
      touch: db.prepare('UPDATE blobs SET used = ? WHERE id = ? AND used < ?'),
      remove: db.prepare('DELETE FROM blobs WHERE id = ?'),
      oldest: db.prepare('SELECT id, bytes, used FROM blobs WHERE used <= ? ORDER BY used LIMIT ?'),
      find: db.prepare('SELECT id, bytes, used FROM blobs WHERE id = ?'),
      range: db.prepare<[Buffer, Buffer], Buffer>('SELECT id FROM blobs WHERE id >= ? AND id < ?').pluck(),
      getState: db.prepare<[string], number>('SELECT value FROM state WHERE name = ?').pluck(),
      setState: db.prepare(
        'INSERT INTO state VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value',
      ),
    };
  } catch (error) {
    db.close();
    throw error;
  }
}

/**
 * The database. It is a note of what can be counted again, so nothing that is wrong with it stops anybody: a damaged
 * file is replaced by an empty one, and where it cannot be opened or written, all methods answer as if it were empty.
 */
export class UsageDb {
  readonly #path: string;
  readonly #timeoutMs: number;
  readonly #onWarning: (message: string) => void;
  #session: Session | undefined;
  #isWarned = false;
  #isClosed = false;
  #reopenAtMs = 0;

  /** Call `open` before anything else. `timeoutMs`: how long to wait for another process's lock, blocking. */
  constructor(path: string, timeoutMs: number, onWarning: (message: string) => void) {
    this.#path = path;
    this.#timeoutMs = timeoutMs;
    this.#onWarning = onWarning;
  }

  /** Opens the file. `makeRoom` is called when the disk is full; true when it is worth to try again. */
  open(makeRoom: () => boolean): void {
    this.#reopenAtMs = Date.now() + REOPEN_AFTER_MS;
    try {
      this.#session = openSession(this.#path, this.#timeoutMs);
    } catch (error) {
      if (isDiskFull(error)) makeRoom();
      this.#open();
    }
  }

  /** Notes usages in one transaction; false when that failed. */
  note(usages: Iterable<readonly [ObjectId, Usage]>): boolean {
    return (
      this.#use(({ db, add, touch, remove }) => {
        db.transaction(() => {
          for (const [id, { bytes, used, isGone }] of usages) {
            const key = Buffer.from(id, 'hex');
            if (isGone === true) remove.run(key);
            else if (bytes === undefined) touch.run(used, key, used);
            else add.run(key, bytes, used);
          }
        }).immediate();
        return true;
      }) ?? false
    );
  }

  /** Forgets blobs that are not there any more, in one transaction; false when that failed. */
  remove(ids: readonly ObjectId[]): boolean {
    if (ids.length === 0) return true;
    return (
      this.#use(({ db, remove }) => {
        db.transaction(() => {
          for (const id of ids) remove.run(Buffer.from(id, 'hex'));
        }).immediate();
        return true;
      }) ?? false
    );
  }

  /** The blobs that were not used for longest, and not since `before` (milliseconds since 1970), oldest first. */
  oldest(count: number, before: number = Number.MAX_SAFE_INTEGER): UsedBlob[] {
    const rows = this.#use(({ oldest }) => oldest.all(before, count)) ?? [];
    return rows.map(({ id, bytes, used }) => ({ id: id.toString('hex'), bytes, used }));
  }

  /** What is known of one. */
  find(id: ObjectId): UsedBlob | undefined {
    const row = this.#use(({ find }) => find.get(Buffer.from(id, 'hex')));
    return row === undefined ? undefined : { id, bytes: row.bytes, used: row.used };
  }

  /** Ids of the known files whose first byte is `prefix`. */
  withPrefix(prefix: number): Set<ObjectId> {
    const from = Buffer.from([prefix]);
    // Longer than any id, where no next prefix exists.
    const to = prefix === 255 ? Buffer.alloc(64, 255) : Buffer.from([prefix + 1]);
    return new Set((this.#use(({ range }) => range.all(from, to)) ?? []).map((id) => id.toString('hex')));
  }

  /**
   * A number that was kept: `bytes` and `blobs` are the totals, `large_bytes` and `large_files` those of large files
   * alone. 0 when it was never set.
   */
  state(name: string): number {
    return this.#use(({ getState }) => getState.get(name)) ?? 0;
  }

  /** Keeps a number. */
  setState(name: string, value: number): void {
    this.#use(({ setState }) => setState.run(name, value));
  }

  /** Closes the file; afterwards it knows nothing. */
  close(): void {
    this.#isClosed = true;
    this.#drop();
  }

  #drop(): void {
    this.#session?.db.close();
    this.#session = undefined;
  }

  #use<T>(operation: (session: Session) => T): T | undefined {
    // It may have been a full disk, which is none any more.
    if (this.#session === undefined && !this.#isClosed && Date.now() >= this.#reopenAtMs) this.#open();
    if (this.#session === undefined) return undefined;
    try {
      return operation(this.#session);
    } catch (error) {
      if (!(error instanceof Database.SqliteError)) throw error;
      if (isDamage(error)) {
        this.#drop();
        this.#setAside();
        this.#open();
      } else this.#warn(error);
      return undefined;
    }
  }

  #open(): void {
    this.#reopenAtMs = Date.now() + REOPEN_AFTER_MS;
    try {
      this.#session = openSession(this.#path, this.#timeoutMs);
      return;
    } catch (error) {
      if (!isDamage(error)) return this.#warn(error);
    }
    this.#setAside();
    try {
      this.#session = openSession(this.#path, this.#timeoutMs);
    } catch (error) {
      this.#warn(error);
    }
  }

  #setAside(): void {
    try {
      // The log goes first: a new database must never find the log of the old one beside it.
      for (const suffix of ['-wal', '-shm']) rmSync(this.#path + suffix, { force: true });
      renameSync(this.#path, `${this.#path}.damaged`);
    } catch (error) {
      if (codeOf(error) !== 'ENOENT') this.#warn(error);
    }
  }

  #warn(error: unknown): void {
    if (this.#isWarned) return;
    this.#isWarned = true;
    const { message } = toStoreError(error, this.#path);
    this.#onWarning(`what the store holds cannot be noted, so its limit may not hold: ${message}`);
  }
}

function isDamage(error: unknown): boolean {
  const code = codeOf(error);
  return code.startsWith('SQLITE_CORRUPT') || code === 'SQLITE_NOTADB' || code === 'SQLITE_ERROR';
}
