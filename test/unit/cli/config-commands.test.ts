// `config init`, `validate` and `show`.
import { mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createSandbox, type Sandbox } from './run-scorpio.ts';

let sandbox: Sandbox;

beforeEach(async () => {
  sandbox = await createSandbox();
});

afterEach(async () => {
  await sandbox.remove();
});

describe('config init', () => {
  it('writes a file that validates', async () => {
    expect(await sandbox.run('config', 'init')).toEqual({
      code: 0,
      stdout:
        'wrote config template to scorpio.toml\n' +
        'edit base_url/lfs_url, then: scorpio --config-path scorpio.toml doctor\n',
      stderr: '',
    });
    expect(await sandbox.run('config', 'validate')).toEqual({
      code: 0,
      stdout: 'scorpio.toml: OK\n',
      stderr: '',
    });
  });

  it('does not overwrite a file, but with --force', async () => {
    const path = join(sandbox.folder, 'c.toml');
    await writeFile(path, '# mine');
    expect(await sandbox.run('config', 'init', 'c.toml')).toEqual({
      code: 2,
      stdout: '',
      stderr: "refusing to overwrite existing 'c.toml' (use --force)\n",
    });
    expect(await readFile(path, 'utf8')).toBe('# mine');
    expect((await sandbox.run('config', 'init', 'c.toml', '--force')).code).toBe(0);
    expect(await readFile(path, 'utf8')).toContain('base_url');
  });

  it('says why it cannot write', async () => {
    expect(await sandbox.run('config', 'init', 'no/c.toml')).toEqual({
      code: 2,
      stdout: '',
      stderr: "failed to write 'no/c.toml': No such file or directory (os error 2)\n",
    });
  });
});

describe('config validate', () => {
  it('lists all problems', async () => {
    await writeFile(
      join(sandbox.folder, 'c.toml'),
      'base_url = "ftp://h"\nload_dir_depth = 0\ndicfuse_readable = 1',
    );
    expect(await sandbox.run('config', 'validate', '-c', 'c.toml')).toEqual({
      code: 2,
      stdout: '',
      stderr:
        'c.toml: 3 problem(s) found:\n' +
        `  - Invalid boolean for 'dicfuse_readable': expected 'true' or 'false', got "1"\n` +
        `  - Invalid URL scheme for 'base_url': expected http/https, got "ftp" in "ftp://h"\n` +
        `  - Invalid config 'load_dir_depth': must be >= 1, got 0\n`,
    });
  });

  it('needs no file', async () => {
    expect(await sandbox.run('config', 'validate')).toMatchObject({
      code: 0,
      stdout: '(no config file: defaults and environment): OK\n',
    });
  });

  it('warns beside the problems', async () => {
    await writeFile(join(sandbox.folder, 'c.toml'), 'base_url = "ftp://h"\nbase_ulr = "x"');
    expect((await sandbox.run('config', 'validate', '-c', 'c.toml')).stderr).toMatch(
      /^warning: unknown config key 'base_ulr' .*\nc\.toml: 1 problem/u,
    );
  });

  it('warns of a log level that there is not', async () => {
    await writeFile(join(sandbox.folder, 'c.toml'), 'log_level = "loud"');
    expect(await sandbox.run('config', 'validate', '-c', 'c.toml')).toEqual({
      code: 0,
      stdout: 'c.toml: OK\n',
      stderr:
        'warning: invalid log filter "loud" ("loud" is not one of off, error, warn, info, debug, trace); falling back to "info"\n',
    });
  });

  it('reports a missing file, and warns of unknown keys', async () => {
    expect((await sandbox.run('-c', 'no.toml', 'config', 'validate')).stderr).toBe(
      "no.toml: 1 problem(s) found:\n  - Config file not found at 'no.toml': No such file or directory (os error 2)\n",
    );
    await writeFile(join(sandbox.folder, 'scorpio.toml'), 'base_ulr = "http://h"');
    expect(await sandbox.run('config', 'validate')).toEqual({
      code: 0,
      stdout: 'scorpio.toml: OK\n',
      stderr: "warning: unknown config key 'base_ulr' is ignored; did you mean 'base_url'?\n",
    });
  });
});

describe('config show', () => {
  it('prints a file that shows the same again', async () => {
    await writeFile(join(sandbox.folder, 'a.toml'), 'base_url = "http://h/x"\n[fuse]\nallow_other = true');
    const first = await sandbox.run('-c', 'a.toml', 'config', 'show');
    await writeFile(join(sandbox.folder, 'b.toml'), first.stdout);
    const [json, again] = [
      await sandbox.run('-c', 'a.toml', 'config', 'show', '--json'),
      await sandbox.run('-c', 'b.toml', 'config', 'show', '--json'),
    ];
    expect(first.code).toBe(0);
    expect(JSON.parse(json.stdout)).toMatchObject({
      base_url: 'http://h/x',
      allow_other: true,
      load_dir_depth: 3,
    });
    expect(again).toEqual(json);
  });

  it('creates nothing', async () => {
    await rm(sandbox.storePath, { recursive: true });
    await sandbox.run('config', 'show');
    expect(await readdir(sandbox.folder)).toEqual([]);
  });
});

it('a configuration that is wrong ends every command that needs it, with 2', async () => {
  await writeFile(join(sandbox.folder, 'scorpio.toml'), 'log_level = []\nload_dir_depth = 0');
  for (const args of [
    ['list'],
    ['mount', 'x'],
    ['umount', 'x'],
    ['serve'],
    ['http-mount', '/'],
    ['config', 'show'],
  ]) {
    expect(await sandbox.run(...args), args[0]).toEqual({
      code: 2,
      stdout: '',
      stderr:
        "Failed to load config: Invalid value for 'log_level': expected a scalar (string/number/bool), got an array" +
        ' (and 1 more, see: scorpio config validate)\n',
    });
  }
});

it('a folder that cannot be made ends serve and mount, with 2', async () => {
  await mkdir(join(sandbox.folder, 'd'));
  await writeFile(join(sandbox.folder, 'd/file'), '');
  for (const command of [['serve'], ['mount', 'x']]) {
    const { code, stderr } = await sandbox.run(...command, '--cl-root', 'd/file/cl');
    expect(code).toBe(2);
    expect(stderr).toContain(
      `Failed to load config: cannot create '${sandbox.folder}/d/file/cl' (antares_cl_root)`,
    );
  }
});
