// Makes in-memory reference filesystems for tests, with a tree built through the contract itself.
import { MemoryFilesystem } from '../conformance/memory-filesystem.ts';
import { FilesystemClient } from './filesystem-client.ts';
import { foldersOf, type SeedTree } from './seed-tree.ts';

/** Time that everything of a seed is stamped with, in seconds. */
export const SEED_TIME = 1_700_000_000;

/** A reference filesystem with a tree in it, owned by this process. */
export async function createMemorySubject(seed: SeedTree): Promise<MemoryFilesystem> {
  const filesystem = new MemoryFilesystem({ uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 });
  const client = new FilesystemClient(filesystem);
  for (const path of foldersOf(seed)) await client.mkdir(path);
  for (const [path, node] of Object.entries(seed)) {
    if (node.kind === 'submodule') await client.mkdir(path);
    else if (node.kind === 'symlink') await client.symlink(node.target, path);
    else await client.writeFile(path, node.content, node.executable ? 0o755 : 0o644);
  }
  const time = { seconds: SEED_TIME, nanoseconds: 0 };
  const paths = ['', ...foldersOf(seed), ...Object.keys(seed)];
  for (const path of paths) await client.setattr(path, { atime: time, mtime: time });
  client.forgetAll();
  return filesystem;
}
