// A tree of files described as a value, for seeding a layer, a folder on the disk or a Git repository alike.
import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { randomBytes } from './random.ts';

/** One object of a seed. Git knows no other kinds and modes. A submodule shows as an empty folder. */
export type SeedNode =
  | { readonly kind: 'file'; readonly content: Buffer; readonly executable: boolean }
  | { readonly kind: 'symlink'; readonly target: string }
  | { readonly kind: 'submodule' };

/** Objects by their path: latin1, `/`-separated, no leading slash. Folders follow from the paths. */
export type SeedTree = Readonly<Record<string, SeedNode>>;

/** A file of a seed. */
export function seedFile(content: string | Buffer, options: { executable?: boolean } = {}): SeedNode {
  const bytes = typeof content === 'string' ? Buffer.from(content) : content;
  return { kind: 'file', content: bytes, executable: options.executable ?? false };
}

/** A symbolic link of a seed. */
export function seedSymlink(target: string): SeedNode {
  return { kind: 'symlink', target };
}

/** The folders that the paths of a seed imply, parents first. */
export function foldersOf(seed: SeedTree): string[] {
  const folders = new Set<string>();
  for (const path of Object.keys(seed)) {
    const parts = path.split('/');
    for (let depth = 1; depth < parts.length; depth++) folders.add(parts.slice(0, depth).join('/'));
  }
  return [...folders].sort((a, b) => a.split('/').length - b.split('/').length);
}

/** Writes a seed into an existing folder of the local disk. */
export function writeSeed(folder: string, seed: SeedTree): void {
  const at = (path: string): Buffer =>
    Buffer.concat([Buffer.from(`${folder}/`), Buffer.from(path, 'latin1')]);
  for (const path of foldersOf(seed)) {
    mkdirSync(at(path), { recursive: true });
    chmodSync(at(path), 0o755);
  }
  for (const [path, node] of Object.entries(seed)) {
    mkdirSync(at(dirname(path)), { recursive: true });
    if (node.kind === 'submodule') mkdirSync(at(path));
    else if (node.kind === 'symlink') symlinkSync(Buffer.from(node.target, 'latin1'), at(path));
    else {
      writeFileSync(at(path), node.content);
      chmodSync(at(path), node.executable ? 0o755 : 0o644);
    }
  }
}

/** A name of exactly 255 bytes. */
export const LONGEST_NAME: string = 'n'.repeat(255);

/** The tree that tests over a lower layer know: each kind, depth, odd names, a large file, a large folder. */
export const lowerSeed: SeedTree = {
  'README.md': seedFile('hello, lower\n'),
  'run.sh': seedFile('#!/bin/sh\necho run\n', { executable: true }),
  empty: seedFile(''),
  'big.bin': seedFile(randomBytes(300_000, 1)),
  link: seedSymlink('README.md'),
  dangling: seedSymlink('nowhere/at all'),
  'docs/a.md': seedFile('a\n'),
  'docs/b.md': seedFile('bb\n'),
  'docs/link': seedSymlink('../README.md'),
  'docs/deep/er/est/leaf.txt': seedFile('leaf\n'),
  'docs/deep/note.txt': seedFile('note\n'),
  'src/main.ts': seedFile('export {};\n'),
  'src/util/one.ts': seedFile('1;\n'),
  'src/util/two.ts': seedFile('2;\n'),
  'odd/caf\xe9': seedFile('latin1\n'),
  'odd/per%cent & more+#?': seedFile('odd\n'),
  [`odd/${LONGEST_NAME}`]: seedFile('long\n'),
  'vendor/module': { kind: 'submodule' },
  ...Object.fromEntries(
    Array.from({ length: 120 }, (_, index) => [`many/file-${index}`, seedFile(`${index}\n`)]),
  ),
};
