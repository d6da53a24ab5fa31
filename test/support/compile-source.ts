// Compiles the sources for tests that run a part of them in a process of its own: Node 20 does not run TypeScript.
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

const PROJECT = resolve(import.meta.dirname, '../..');
const COMPILE_TIMEOUT_MS = 60_000;

/** Compiled sources in a temporary folder. */
export interface CompiledSource extends AsyncDisposable {
  /** File URL of the module compiled from `path` (below src/, ending in `.ts`). */
  urlOf(path: string): string;
  /** Deletes the folder. */
  remove(): Promise<void>;
}

/** Compiles src/. Fails when nothing comes of it; types are checked elsewhere. */
export async function compileSource(): Promise<CompiledSource> {
  const folder = await mkdtemp(join(tmpdir(), 'scorpio-compiled-'));
  const dist = join(folder, 'dist');
  const output = await new Promise<string>((done) => {
    execFile(
      process.execPath,
      [
        join(PROJECT, 'node_modules/typescript/bin/tsc'),
        '-p',
        join(PROJECT, 'tsconfig.build.json'),
        '--outDir',
        dist,
        '--tsBuildInfoFile',
        join(folder, 'tsbuildinfo'),
      ],
      { timeout: COMPILE_TIMEOUT_MS },
      (_error, stdout, stderr) => done(stdout + stderr),
    );
  });
  if (!existsSync(dist)) throw new Error(`tsc wrote nothing: ${output}`);
  // So that packages are found from there.
  await symlink(join(PROJECT, 'node_modules'), join(folder, 'node_modules'));
  const remove = (): Promise<void> => rm(folder, { recursive: true, force: true });
  return {
    urlOf: (path) => `file://${join(dist, path.replace(/\.ts$/, '.js'))}`,
    remove,
    [Symbol.asyncDispose]: remove,
  };
}
