// `npm run build`: compiles src to dist, and packs the program and its packages into few files, dist/bundle.
//
// Node reads, resolves and compiles each module on its own: as two hundred files the daemon takes twice as long to
// start, and it starts while a user waits for the first mount. Addons stay packages, since they are found by their folder.
import { spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { rolldown } from 'rolldown';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const addons = ['better-sqlite3', 'fuse-native', 'koffi', 'level'];

const compiler = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
const compiled = spawnSync(process.execPath, [compiler, '-p', join(root, 'tsconfig.build.json')], {
  stdio: ['ignore', 'inherit', 'inherit'],
});
const bundle = await rolldown({
  input: { scorpio: join(root, 'dist', 'cli', 'main.js') },
  platform: 'node',
  external: addons,
  logLevel: 'silent',
});
// Without hashes in their names, so that a build replaces the files of the one before.
await bundle.write({
  dir: join(root, 'dist', 'bundle'),
  format: 'esm',
  keepNames: true,
  // Without blanks and comments, which Node would read as well; names stay, for stack traces.
  minify: { compress: false, mangle: false },
  entryFileNames: '[name].js',
  chunkFileNames: '[name].js',
});
await bundle.close();
// What the compiler objected to was written all the same.
process.exitCode = compiled.status ?? 1;
