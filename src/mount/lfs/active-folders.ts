// Which folders of the monorepo were checked out with their large files: a record in `config_file`, of all mounts.
import { mkdir, readFile } from 'node:fs/promises';
import { dirname, posix } from 'node:path';
import { isTomlTable, parseToml, stringifyToml, type TomlTable } from '../../config/toml.ts';
import { atomicWrite } from '../../util/atomic-write.ts';
import { isWithin } from '../../util/path-within.ts';
import { withoutSlashesAround } from '../../util/slashes.ts';
import { describeError } from '../../util/system-error.ts';
import { MountError } from '../mount-error.ts';

/** The folders. Paths are of the monorepo: leading slash, no trailing one, UTF-8 text. */
export interface ActiveFolders {
  /** Those that are recorded, in order. Rejects with MountError when the file cannot be read. */
  list(): Promise<readonly string[]>;
  /** Adds folders; durable when it resolves. */
  add(folders: readonly string[]): Promise<readonly string[]>;
  /** Takes folders out, with those below them. */
  remove(folders: readonly string[]): Promise<readonly string[]>;
}

/** Keeps them as tables `[[lfs]]` of a TOML file; whatever else the file says is kept. */
export function createActiveFolders(file: string): ActiveFolders {
  let last: Promise<unknown> = Promise.resolve();

  const change = (edit: (folders: readonly string[]) => readonly string[]): Promise<readonly string[]> => {
    const run = async (): Promise<readonly string[]> => {
      const document = await readDocument(file);
      const before = foldersOf(document, file);
      const after = [...new Set(edit(before))].sort();
      if (after.join('\n') === before.join('\n')) return after;
      await writeDocument(file, document, after);
      return after;
    };
    // One after the other: each starts from what the one before wrote.
    const turn = last.then(run, run);
    last = turn.catch(() => undefined);
    return turn;
  };

  return {
    async list() {
      await last;
      return foldersOf(await readDocument(file), file);
    },
    add: (folders) => change((known) => [...known, ...folders]),
    remove: (folders) =>
      change((known) => known.filter((path) => !folders.some((folder) => isWithin(path, folder)))),
  };
}

async function readDocument(file: string): Promise<TomlTable> {
  try {
    return parseToml(await readFile(file, 'utf8'));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return {};
    throw new MountError(
      'internal',
      `cannot read ${file} (config_file), which records what is checked out: ${describeError(error)}`,
      { cause: error },
    );
  }
}

function foldersOf(document: TomlTable, file: string): readonly string[] {
  const tables = document['lfs'] ?? [];
  if (!Array.isArray(tables)) {
    throw new MountError(
      'internal',
      `${file} (config_file): lfs is not a list of tables; correct or remove it`,
    );
  }
  const paths = (tables as unknown[]).flatMap((table) => pathOf(table) ?? []);
  return [...new Set(paths)].sort();
}

/** The folder of a table, which a person may have written; undefined where it is none. */
function pathOf(table: unknown): string | undefined {
  const path = isTomlTable(table) ? table['path'] : undefined;
  if (typeof path !== 'string' || !path.startsWith('/') || path.includes('\0')) return undefined;
  // Slashes too many, and `..`, which is nowhere a path of a mount.
  return `/${withoutSlashesAround(posix.normalize(path))}`;
}

async function writeDocument(file: string, document: TomlTable, folders: readonly string[]): Promise<void> {
  const known = (document['lfs'] ?? []) as readonly unknown[];
  // Tables keep what else they say, and those that nobody here understands stay as they are.
  const kept = known.filter((table) => {
    const path = pathOf(table);
    return path === undefined || folders.includes(path);
  });
  const has = new Set(kept.map(pathOf));
  const added = folders.filter((path) => !has.has(path)).map((path) => ({ path }));
  const lfs = [...kept, ...added];
  try {
    await mkdir(dirname(file), { recursive: true });
    await atomicWrite(file, stringifyToml({ ...document, lfs: lfs.length === 0 ? undefined : lfs }));
  } catch (error) {
    throw new MountError('internal', `cannot write ${file} (config_file): ${describeError(error)}`, {
      cause: error,
    });
  }
}
