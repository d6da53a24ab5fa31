// The folders that a daemon expects.
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { Config } from '../../../src/config/config.ts';
import { loadConfig } from '../../../src/config/load-config.ts';
import { prepareFolders } from '../../../src/config/prepare-folders.ts';

let folder: string;
let config: Config;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'scorpio-prepare-'));
  const env = {
    HOME: folder,
    SCORPIO_STORE_PATH: join(folder, 'a/store'),
    SCORPIO_CONFIG_FILE: join(folder, 'b/c.toml'),
  };
  ({ config } = await loadConfig({ env, cwd: folder }));
});

afterEach(async () => {
  await rm(folder, { recursive: true });
});

const modeOf = async (path: string): Promise<number> => (await stat(path)).mode & 0o777;

it('makes what is missing, private where it holds what a user wrote', async () => {
  await prepareFolders(config);
  expect(await modeOf(config.storePath)).toBe(process.getuid?.() === 0 ? 0o711 : 0o700);
  expect(await modeOf(config.upperRoot)).toBe(0o700);
  expect(await modeOf(config.clRoot)).toBe(0o700);
  expect(await modeOf(config.mountRoot)).toBe(0o755);
  expect(await modeOf(config.workspace)).toBe(0o755);
  expect(await readFile(config.configFile, 'utf8')).toBe('works = []\n');
});

it('leaves what exists as it is', async () => {
  await prepareFolders(config);
  await writeFile(config.configFile, 'works = [] # mine\n');
  await prepareFolders(config);
  expect(await readFile(config.configFile, 'utf8')).toBe('works = [] # mine\n');
});

it('names the key of a folder that cannot be made', async () => {
  await writeFile(join(folder, 'file'), '');
  const inFile = { ...config, clRoot: join(folder, 'file/cl') };
  await expect(prepareFolders(inFile)).rejects.toThrow(
    /^cannot create '.*file\/cl' \(antares_cl_root\): File already exists/u,
  );
  const isFile = { ...config, workspace: join(folder, 'file') };
  await expect(prepareFolders(isFile)).rejects.toThrow(/\(workspace\): File already exists/u);
});
