// What every read-only layer must do, whatever it is made of: run it with a factory for each kind.
import { closeSync, readFileSync, writeSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Layer, LayerEntry, Listing } from '../../src/layers/layer.ts';
import { Errno } from '../../src/util/errno.ts';
import type { ObjectId } from '../../src/util/types.ts';
import { toErrno } from '../../src/fuse/errno.ts';
import { readOpenFile } from '../support/store-folder.ts';

const O_ACCMODE = 3;
const O_CLOEXEC = 0o2000000;

/** An entry as the tree of the repository has it. */
export interface ExpectedEntry {
  /** Path below the layer's root, latin1. */
  readonly path: string;
  /** Git's mode: 0o40000, 0o100644, 0o100755, 0o120000, 0o160000. */
  readonly mode: number;
  readonly id: ObjectId;
  /** Of a blob. */
  readonly content?: Buffer;
}

/** A layer, and what it must show. */
export interface LayerSubject extends AsyncDisposable {
  readonly layer: Layer;
  /** Id of the root's tree. */
  readonly tree: ObjectId;
  /** Time of the commit, in seconds. */
  readonly time: number;
  /** All entries at all depths; it has a file, an executable, a symlink, a submodule and folders in folders. */
  readonly entries: readonly ExpectedEntry[];
}

/** `st_mode` of what has a mode in Git. */
function shownMode(mode: number): number {
  if (mode === 0o40000 || mode === 0o160000) return 0o040755;
  return mode === 0o120000 ? 0o120777 : mode;
}

function parentOf(path: string): string {
  return path.includes('/') ? path.slice(0, path.lastIndexOf('/')) : '';
}

function entriesOf(listing: Listing): LayerEntry[] {
  return Array.from({ length: listing.length }, (_none, index) => listing.at(index));
}

/** The errno that a call fails with, thrown or rejected; undefined when it succeeds. */
async function errnoOf(call: () => unknown): Promise<number | undefined> {
  try {
    await call();
    return undefined;
  } catch (error) {
    return toErrno(error);
  }
}

/** Registers the suite. The factory is called once; the layer is cold or warm as the factory likes. */
export function describeLayer(name: string, create: () => Promise<LayerSubject>): void {
  describe(`layer: ${name}`, () => {
    let subject: LayerSubject;
    let layer: Layer;

    beforeAll(async () => {
      subject = await create();
      ({ layer } = subject);
    });
    afterAll(() => subject[Symbol.asyncDispose]());

    async function find(path: string): Promise<LayerEntry> {
      const entry = await layer.resolve(path);
      if (entry === undefined) throw new Error(`no entry ${path}`);
      return entry;
    }
    const folders = (): string[] => [
      '',
      ...subject.entries.filter(({ mode }) => mode === 0o40000).map(({ path }) => path),
    ];
    const ofMode = (...modes: number[]): ExpectedEntry[] =>
      subject.entries.filter(({ mode }) => modes.includes(mode));
    const first = (mode: number): ExpectedEntry => {
      const [found] = ofMode(mode);
      if (found === undefined) throw new Error(`the subject has nothing of mode ${mode.toString(8)}`);
      return found;
    };

    test('the root is a folder without a name', () => {
      expect(layer.root).toMatchObject({ name: '', path: '', mode: 0o040755, id: subject.tree });
      expect(layer.time).toBe(subject.time);
    });

    test('every folder lists exactly its entries, with mode, id and path', async () => {
      for (const folder of folders()) {
        const listing = await layer.list(await find(folder));
        const expected = subject.entries.filter(({ path }) => path !== '' && parentOf(path) === folder);
        const shown = entriesOf(listing).map(({ name, path, mode, id, isSubmodule }) => ({
          name,
          path,
          mode,
          id,
          isSubmodule: isSubmodule ?? false,
        }));
        const wanted = expected.map(({ path, mode, id }) => ({
          name: path.slice(path.lastIndexOf('/') + 1),
          path,
          mode: shownMode(mode),
          id,
          isSubmodule: mode === 0o160000,
        }));
        const byName = (a: { name: string }, b: { name: string }): number => (a.name < b.name ? -1 : 1);
        expect(shown.sort(byName)).toEqual(wanted.sort(byName));
      }
    });

    test('a listing finds each of its names, and no other', async () => {
      for (const folder of folders()) {
        const listing = await layer.list(await find(folder));
        for (const entry of entriesOf(listing)) {
          expect(listing.get(entry.name)).toEqual(entry);
          for (const near of [`${entry.name}x`, entry.name.slice(0, -1), entry.name.toUpperCase()]) {
            const isThere = entriesOf(listing).some(({ name }) => name === near);
            expect(listing.get(near) !== undefined).toBe(isThere);
          }
        }
        for (const never of ['', '.', '..', 'no such name', '\u0101'])
          expect(listing.get(never)).toBeUndefined();
        expect(() => listing.at(listing.length)).toThrow(RangeError);
        expect(() => listing.at(-1)).toThrow(RangeError);
      }
    });

    test('two listings of a folder agree on the order, and the second needs no waiting', async () => {
      for (const folder of folders()) {
        const directory = await find(folder);
        const before = await layer.list(directory);
        const after = layer.list(directory);
        expect(after).not.toBeInstanceOf(Promise);
        expect(entriesOf(after as Listing)).toEqual(entriesOf(before));
      }
    });

    test('every path resolves to its entry', async () => {
      for (const { path, mode, id } of subject.entries) {
        expect(await layer.resolve(path)).toMatchObject({ path, mode: shownMode(mode), id });
      }
      expect(await layer.resolve('')).toEqual(layer.root);
    });

    test('a path that is not there resolves to nothing, also below files, symlinks and submodules', async () => {
      const below = [0o100644, 0o120000, 0o160000].map((mode) => `${first(mode).path}/x`);
      for (const path of ['no such name', `${first(0o40000).path}/no such name`, '/', 'x//y', ...below]) {
        expect(await layer.resolve(path)).toBeUndefined();
      }
    });

    test('a submodule is an empty folder', async () => {
      const listing = await layer.list(await find(first(0o160000).path));
      expect(listing.length).toBe(0);
      await layer.loadSizes(listing);
    });

    test('the sizes of a whole folder are known after they were loaded, also to entries from before', async () => {
      for (const folder of folders()) {
        const listing = await layer.list(await find(folder));
        const before = entriesOf(listing);
        await layer.loadSizes(listing);
        for (const entry of [...before, ...entriesOf(listing)]) {
          const content = subject.entries.find(({ path }) => path === entry.path)?.content;
          expect([entry.path, layer.knownSize(entry)]).toEqual([entry.path, content?.length]);
        }
        expect(layer.loadSizes(listing)).toBeUndefined();
      }
    });

    test('the size of each file and symlink is that of its content; folders have none', async () => {
      for (const { path, content } of subject.entries) {
        const entry = await find(path);
        if (content === undefined) {
          expect(layer.knownSize(entry)).toBeUndefined();
          expect(await errnoOf(() => layer.size(entry))).toBe(Errno.EISDIR);
        } else {
          expect(await layer.size(entry)).toBe(content.length);
        }
      }
    });

    test('every file opens with its content, in a read-only descriptor that children do not inherit', async () => {
      for (const { path, content } of ofMode(0o100644, 0o100755)) {
        const fd = await layer.open(await find(path));
        try {
          expect([path, readOpenFile(fd).equals(content ?? Buffer.from('?'))]).toEqual([path, true]);
          const info = readFileSync(`/proc/self/fdinfo/${fd}`, 'latin1');
          const flags = Number.parseInt(/flags:\s+(\d+)/.exec(info)?.[1] ?? '', 8);
          expect([flags & O_ACCMODE, flags & O_CLOEXEC]).toEqual([0, O_CLOEXEC]);
          expect(() => writeSync(fd, 'x')).toThrow('EBADF');
        } finally {
          closeSync(fd);
        }
      }
    });

    test('each open gives a descriptor of its own, and a file opened before opens without waiting', async () => {
      const entry = await find(first(0o100644).path);
      const fds = [await layer.open(entry), await layer.open(entry)];
      const immediate = layer.open(entry);
      expect(typeof immediate).toBe('number');
      expect(new Set([...fds, immediate]).size).toBe(3);
      for (const fd of [...fds, immediate as number]) closeSync(fd);
    });

    test('every symlink has its target, the second time without waiting', async () => {
      for (const { path, content } of ofMode(0o120000)) {
        const entry = await find(path);
        expect(await layer.readlink(entry)).toEqual(content);
        expect(layer.readlink(entry)).toEqual(content);
      }
    });

    test('what does not fit the kind of the entry fails with the errno of the system call', async () => {
      const [file, folder, link, submodule] = await Promise.all(
        [0o100644, 0o40000, 0o120000, 0o160000].map((mode) => find(first(mode).path)),
      );
      if (!file || !folder || !link || !submodule) throw new Error('not all kinds are there');
      expect(await errnoOf(() => layer.list(file))).toBe(Errno.ENOTDIR);
      expect(await errnoOf(() => layer.list(link))).toBe(Errno.ENOTDIR);
      expect(await errnoOf(() => layer.open(folder))).toBe(Errno.EISDIR);
      expect(await errnoOf(() => layer.open(submodule))).toBe(Errno.EISDIR);
      expect(await errnoOf(() => layer.open(link))).toBe(Errno.ELOOP);
      expect(await errnoOf(() => layer.readlink(file))).toBe(Errno.EINVAL);
      expect(await errnoOf(() => layer.readlink(folder))).toBe(Errno.EINVAL);
    });

    test('a caller who gave up gets EINTR, or the answer that needed no waiting', async () => {
      const request = { signal: AbortSignal.abort() };
      const file = await find(first(0o100644).path);
      for (const call of [() => layer.size(file, request), () => layer.list(layer.root, request)]) {
        expect([undefined, Errno.EINTR]).toContain(await errnoOf(call));
      }
      const opened = await Promise.resolve(layer.open(file, request)).catch(toErrno);
      if (opened !== Errno.EINTR) closeSync(opened);
    });
  });
}
