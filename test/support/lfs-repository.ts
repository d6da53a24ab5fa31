// Repositories with large files as the real git-lfs makes them: its own configuration, hooks and store.
import { chmodSync, mkdirSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createHash, createHmac } from 'node:crypto';
import { runProgram } from './run-program.ts';
import { makeTestFolder } from './test-folder.ts';

/** A file of a working tree: its content, and whether it is executable. */
export type LfsFileSpec = string | Buffer | { readonly content: string | Buffer; readonly executable: true };

/** Options of a working tree. */
export interface LfsWorkTreeOptions {
  /** The LFS server, with a prefix of the API; without, nothing can be pushed or pulled. */
  readonly lfsUrl?: string | undefined;
  /** Repository to clone, with its large files from `lfsUrl`. Default: a new repository. */
  readonly clone?: string | undefined;
}

/** A working tree with git-lfs, in a temporary folder with a home of its own. */
export interface LfsWorkTree extends AsyncDisposable {
  /** Folder of the working tree. */
  readonly path: string;
  /** Runs git; rejects when it fails. Resolves with its standard output, without a line feed at the end. */
  git(...args: string[]): Promise<string>;
  /** As `git`, with whatever it ended with. */
  tryGit(
    ...args: string[]
  ): Promise<{ readonly code: number; readonly stdout: string; readonly stderr: string }>;
  /** Writes files; paths are UTF-8. */
  write(files: Readonly<Record<string, LfsFileSpec>>): void;
  /** Writes files, adds all that changed, and commits. Resolves with the commit's id. */
  commit(files?: Readonly<Record<string, LfsFileSpec>>): Promise<string>;
  /** Deletes the folder. */
  remove(): Promise<void>;
}

const TIMEOUT_MS = 120_000;

/** Makes a working tree. The caller disposes of it. */
export async function createLfsWorkTree({ lfsUrl, clone }: LfsWorkTreeOptions = {}): Promise<LfsWorkTree> {
  const folder = realpathSync(makeTestFolder());
  const [home, path] = [join(folder, 'home'), join(folder, 'tree')];
  mkdirSync(home);
  const tryGit = (...args: string[]) =>
    runProgram('git', args, {
      cwd: path,
      env: { HOME: home, GIT_LFS_SET_LOCKABLE_READONLY: '1' },
      timeoutMs: TIMEOUT_MS,
    });
  const git = async (...args: string[]) => {
    const { code, stdout, stderr } = await tryGit(...args);
    if (code !== 0) throw new Error(`git ${args.join(' ')}: exit ${code}\n${stdout}${stderr}`);
    return stdout.replace(/\n$/, '');
  };
  const write = (files: Readonly<Record<string, LfsFileSpec>>) => {
    for (const [name, spec] of Object.entries(files)) writeSpec(join(path, name), spec);
  };
  const remove = () => Promise.resolve(rmSync(folder, { recursive: true, force: true }));
  try {
    mkdirSync(path);
    await git('init', '--quiet', '--initial-branch=main');
    await git('lfs', 'install', '--local');
    // git-lfs waits for minutes where it may try again.
    await git('config', 'lfs.transfer.maxretries', '2');
    if (lfsUrl !== undefined) await git('config', 'lfs.url', lfsUrl);
    if (clone !== undefined) {
      await git('remote', 'add', 'origin', clone);
      await git('pull', '--quiet', 'origin', 'main');
    }
  } catch (error) {
    await remove();
    throw error;
  }
  return {
    path,
    git,
    tryGit,
    write,
    async commit(files = {}) {
      write(files);
      await git('add', '--all');
      await git('commit', '--quiet', '--allow-empty', '--message', 'Change files');
      return git('rev-parse', 'HEAD');
    },
    remove,
    [Symbol.asyncDispose]: remove,
  };
}

function writeSpec(path: string, spec: LfsFileSpec): void {
  mkdirSync(dirname(path), { recursive: true });
  const isExecutable = typeof spec === 'object' && 'executable' in spec;
  writeFileSync(path, isExecutable ? spec.content : spec);
  if (isExecutable) chmodSync(path, 0o755);
}

/** A content that looks random, and is the same for the same seed; fast also for hundreds of megabytes. */
export function noise(bytes: number, seed: string): Buffer {
  const content = Buffer.allocUnsafe(bytes);
  // One block of noise, and every copy of it told apart by its place.
  const block = Buffer.concat(
    Array.from({ length: 2048 }, (_, index) => createHmac('sha256', seed).update(String(index)).digest()),
  );
  for (let at = 0; at < bytes; at += block.length) {
    block.writeUInt32LE(at / block.length, 0);
    block.copy(content, at);
  }
  return content;
}

/** SHA-256 of a content. */
export function lfsOid(content: string | Buffer): string {
  return createHash('sha256').update(content).digest('hex');
}

/** The pointer of a content, as git-lfs writes it. */
export function lfsPointerTo(content: string | Buffer): string {
  return lfsPointer(lfsOid(content), Buffer.byteLength(content));
}

/** The pointer of a large file, as git-lfs writes it. */
export function lfsPointer(oid: string, size: number): string {
  return `version https://git-lfs.github.com/spec/v1\noid sha256:${oid}\nsize ${size}\n`;
}

/** Where an object lies below a folder in git-lfs's layout (`.git/lfs`, or the server's). */
export function lfsObjectPath(root: string, oid: string): string {
  return join(root, 'objects', oid.slice(0, 2), oid.slice(2, 4), oid);
}

/** Puts an object into a store. */
export function storeLfsObject(root: string, content: string | Buffer): { oid: string; size: number } {
  const oid = lfsOid(content);
  const path = lfsObjectPath(root, oid);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, content);
  return { oid, size: Buffer.byteLength(content) };
}
