// The schema of metadata.db, and opening a connection with it.
import Database from 'better-sqlite3';
import { StoreError } from './store-error.ts';

/**
 * Step N brings a database of version N to N + 1; never edit one that was released.
 *
 * `trees` has a rowid on purpose: payloads of a kilobyte make leaves of a WITHOUT ROWID table overflow, and with
 * 20,000 real-sized trees that was twice as slow to read and to write and twice as large (docs: sqlite.org/withoutrowid
 * advises against it above a twentieth of a page). Not compressed either: a third of a payload is random ids, and
 * deflating took twice the time to write and read to save 45 %.
 *
 * `trees.sizes` are the packed sizes of the tree's blobs (git/sized-tree.ts): a row for each blob, found by a random id,
 * was an eighth of a walk through 100,000 files. `sizes` has those that were learned blob by blob; `corrected_sizes`
 * those of which the server told a wrong one, which are hardly any.
 */
const MIGRATIONS: readonly string[] = [
  `CREATE TABLE trees (id BLOB PRIMARY KEY NOT NULL, payload BLOB NOT NULL);
   CREATE TABLE sizes (id BLOB PRIMARY KEY NOT NULL, size INTEGER NOT NULL) WITHOUT ROWID;`,
  `ALTER TABLE trees ADD COLUMN sizes BLOB;
   CREATE TABLE corrected_sizes (id BLOB PRIMARY KEY NOT NULL, size INTEGER NOT NULL) WITHOUT ROWID;`,
];

/** Version of the schema that this program writes (`PRAGMA user_version`). */
export const SCHEMA_VERSION: number = MIGRATIONS.length;

const WAL_RETRY_MS = 10;

/** Waits without giving way: opening a store is synchronous. */
function pause(milliseconds: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
}

/** Turns the write-ahead log on. SQLite does not wait for other processes here, whatever its busy timeout is. Throws SqliteError. */
export function enterWalMode(db: Database.Database, timeoutMs: number): void {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    try {
      db.pragma('journal_mode = WAL');
      return;
    } catch (error) {
      const isBusy = error instanceof Database.SqliteError && error.code.startsWith('SQLITE_BUSY');
      if (!isBusy || Date.now() >= deadline) throw error;
      pause(WAL_RETRY_MS);
    }
  }
}

function versionOf(db: Database.Database): number {
  return db.pragma('user_version', { simple: true }) as number;
}

/**
 * Opens the database, makes or migrates its schema, and proves that its tables answer.
 *
 * @param timeoutMs how long to wait for another process's lock, in milliseconds
 * @param alone keeps every other process out; that takes no space on a full disk, where the index of the write-ahead
 *   log, which processes share, does not fit
 * @throws StoreError of kind `newer`; SqliteError for everything else.
 */
export function connect(path: string, timeoutMs: number, alone = false): Database.Database {
  const db = new Database(path, { timeout: timeoutMs });
  try {
    if (alone) db.pragma('locking_mode = EXCLUSIVE');
    const version = versionOf(db);
    if (version > SCHEMA_VERSION) {
      throw new StoreError(
        'newer',
        `the local store ${path} was made by a newer Scorpio (schema ${version}, this one knows ${SCHEMA_VERSION}); ` +
          'update Scorpio, or use another store_path',
      );
    }
    enterWalMode(db, timeoutMs);
    // With a write-ahead log NORMAL keeps the database consistent over a power cut; the last writes may be lost.
    db.pragma('synchronous = NORMAL');
    if (version < SCHEMA_VERSION) {
      db.transaction(() => {
        // Another process may have been faster.
        for (const step of MIGRATIONS.slice(versionOf(db))) db.exec(step);
        db.pragma(`user_version = ${SCHEMA_VERSION}`);
      }).immediate();
    }
    db.prepare(
      'SELECT (SELECT length(payload) + length(sizes) FROM trees LIMIT 1), (SELECT size FROM sizes LIMIT 1), ' +
        '(SELECT size FROM corrected_sizes LIMIT 1)',
    ).get();
    return db;
  } catch (error) {
    db.close();
    throw error;
  }
}
