// Loading: every rule, every message, precedence, where the file is found.
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ConfigError } from '../../../src/config/config-error.ts';
import { CONFIG_KEYS, environmentName } from '../../../src/config/keys.ts';
import { loadConfig, type ConfigInput, type LoadedConfig } from '../../../src/config/load-config.ts';

let folder: string;
let home: Record<string, string>;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'scorpio-config-'));
  home = { HOME: join(folder, 'home') };
});

afterEach(async () => {
  await rm(folder, { recursive: true });
});

async function load(text: string, more: Partial<ConfigInput> = {}): Promise<LoadedConfig> {
  const file = join(folder, 'test.toml');
  await writeFile(file, text);
  return loadConfig({ file, env: home, cwd: folder, ...more });
}

async function problemsOf(text: string, more: Partial<ConfigInput> = {}): Promise<readonly string[]> {
  const error = await load(text, more).catch((caught: unknown) => caught);
  expect(error).toBeInstanceOf(ConfigError);
  return (error as ConfigError).problems;
}

function valueOf(loaded: LoadedConfig, flat: string): unknown {
  return loaded.settings.find((setting) => setting.key.flat === flat)?.value;
}

describe('the defaults', () => {
  it('need no file', async () => {
    const { config, file, warnings } = await loadConfig({
      env: { ...home, XDG_CONFIG_HOME: folder },
      cwd: folder,
    });
    expect(file).toBeUndefined();
    expect(warnings).toEqual([]);
    expect(config).toMatchObject({
      baseUrl: 'http://localhost:8000',
      lfsUrl: undefined,
      lfsToken: undefined,
      gitAuthor: 'MEGA',
      gitEmail: 'admin@mega.org',
      logLevel: 'info',
      httpAddr: '127.0.0.1:2725',
      fetchTimeoutSecs: 10,
      connectTimeoutSecs: 3,
      fetchMaxRetries: 3,
      fetchConcurrency: 10,
      allowOther: undefined,
    });
  });

  it('of the older keys are those that ScorpioFS documents', async () => {
    const loaded = await load('');
    const values = Object.fromEntries(loaded.settings.map(({ key, value }) => [key.flat, value]));
    expect(values).toMatchObject({
      dicfuse_readable: true,
      load_dir_depth: 3,
      dicfuse_import_concurrency: 4,
      dicfuse_dir_sync_ttl_secs: 5,
      dicfuse_reply_ttl_secs: 2,
      dicfuse_stat_mode: 'accurate',
      dicfuse_open_buff_max_bytes: 268_435_456,
      dicfuse_open_buff_max_files: 4096,
      antares_load_dir_depth: 3,
      antares_dicfuse_dir_sync_ttl_secs: 120,
      antares_dicfuse_reply_ttl_secs: 60,
      antares_dicfuse_stat_mode: 'fast',
      antares_dicfuse_open_buff_max_bytes: 67_108_864,
      antares_dicfuse_open_buff_max_files: 1024,
    });
  });

  it('of the paths follow store_path', async () => {
    const { config } = await load('store_path = "/x"');
    expect(config).toMatchObject({
      workspace: '/x/workspace',
      storePath: '/x',
      configFile: '/x/config.toml',
      upperRoot: '/x/upper',
      clRoot: '/x/cl',
      mountRoot: '/x/mnt',
      stateFile: '/x/mounts.toml',
    });
  });

  it('have flat keys and names in sections that are unique', () => {
    expect(new Set(CONFIG_KEYS.map((key) => key.flat)).size).toBe(CONFIG_KEYS.length);
    expect(new Set(CONFIG_KEYS.map((key) => `${key.section}.${key.short}`)).size).toBe(CONFIG_KEYS.length);
  });
});

describe('precedence', () => {
  const text = 'antares_state_file = "/flat"\n[antares]\nstate_file = "/section"';
  const env = { SCORPIO_ANTARES_STATE_FILE: '/env' };
  const overrides = { antares_state_file: '/cli' };

  it('is command line, environment, section, flat key, default', async () => {
    const path = async (more: Partial<ConfigInput>, file = text) => (await load(file, more)).config.stateFile;
    expect(await path({ env, overrides })).toBe('/cli');
    expect(await path({ env })).toBe('/env');
    expect(await path({})).toBe('/section');
    expect(await path({}, 'antares_state_file = "/flat"')).toBe('/flat');
    expect(await path({}, 'store_path = "/s"')).toBe('/s/mounts.toml');
  });

  it('passes over blank values at every level', async () => {
    const blank = { env: { SCORPIO_ANTARES_STATE_FILE: ' \t' }, overrides: { antares_state_file: '  ' } };
    expect((await load(text, blank)).config.stateFile).toBe('/section');
    const blankSection = 'antares_state_file = "/flat"\n[antares]\nstate_file = "  "';
    expect((await load(blankSection, blank)).config.stateFile).toBe('/flat');
    const allBlank = 'store_path = "/s"\nantares_state_file = ""\n[antares]\nstate_file = "  "';
    expect((await load(allBlank, blank)).config.stateFile).toBe('/s/mounts.toml');
  });

  it('warns of a key that is set flat and in its section', async () => {
    expect((await load(text)).warnings).toEqual([
      "config key 'antares_state_file' set both as a flat key and as [antares].state_file; " +
        'using the [antares] value (flat keys are deprecated)',
    ]);
  });

  it('takes every key from the environment, from its section and flat', async () => {
    const sample = (type: string, least: number): string =>
      ({
        url: 'https://h',
        path: '/p',
        string: 's',
        bool: 'false',
        'stat-mode': 'fast',
        'fuse-binding': 'kernel',
        'open-requests': 'never',
        address: '[::1]:1',
        'auto-url': 'https://h',
      })[type] ?? (type === 'auto-bool' ? 'false' : String(Math.max(7, least)));
    for (const key of CONFIG_KEYS) {
      const value = key.choices?.at(-1) ?? sample(key.type, key.min ?? 0);
      const inEnv = await load('', { env: { [environmentName(key)]: value } });
      const inSection = await load(`[${key.section}]\n${key.short} = "${value}"`);
      const flat = await load(`${key.flat} = "${value}"`);
      for (const loaded of [inEnv, inSection, flat])
        expect(String(valueOf(loaded, key.flat)), key.flat).toBe(value);
    }
  });
});

describe('lists of globs', () => {
  it('have commas between them, and may have commas in braces', async () => {
    const { config } = await load('lfs_include = "*.{bin,psd}, /a/b ,,{x,y}/**"');
    expect(config.lfs.include).toEqual(['*.{bin,psd}', '/a/b', '{x,y}/**']);
  });
});

describe('checks', () => {
  it.each([
    [
      'load_dir_depth = "abc"',
      `Invalid value for 'load_dir_depth': "abc" is not a valid usize (invalid digit found in string)`,
    ],
    [
      'load_dir_depth = -1',
      `Invalid value for 'load_dir_depth': "-1" is not a valid usize (invalid digit found in string)`,
    ],
    [
      'dicfuse_reply_ttl_secs = 1.5',
      `Invalid value for 'dicfuse_reply_ttl_secs': "1.5" is not a valid u64 (invalid digit found in string)`,
    ],
    [
      'dicfuse_fetch_dir_max_retries = 4294967296',
      `Invalid value for 'dicfuse_fetch_dir_max_retries': "4294967296" is not a valid u32 (number too large to fit in target type)`,
    ],
    [
      'dicfuse_readable = "yes"',
      `Invalid boolean for 'dicfuse_readable': expected 'true' or 'false', got "yes"`,
    ],
    [
      'dicfuse_stat_mode = "slow"',
      `Invalid stat mode for 'dicfuse_stat_mode': expected 'fast' or 'accurate', got "slow"`,
    ],
    ['base_url = "h/x"', `Invalid URL for 'base_url': "h/x" (relative URL without a base)`],
    [
      'base_url = "ftp://h"',
      `Invalid URL scheme for 'base_url': expected http/https, got "ftp" in "ftp://h"`,
    ],
    [
      'base_url = "localhost:8000"',
      `Invalid URL scheme for 'base_url': expected http/https, got "localhost" in "localhost:8000"`,
    ],
    ['lfs_url = "http://"', `Invalid URL for 'lfs_url': missing host in "http://"`],
    ['lfs_url = "http://:80/x"', `Invalid URL for 'lfs_url': missing host in "http://:80/x"`],
    [
      'lfs_url = "ftp://me:secret@h/x"',
      `Invalid URL scheme for 'lfs_url': expected http/https, got "ftp" in "ftp://***@h/x"`,
    ],
    [
      'lfs_url = "http//me:sec/r@t@h"',
      `Invalid URL for 'lfs_url': "http//***@h" (relative URL without a base)`,
    ],
    [
      'base_url = "http://me:secret@h:99999"',
      `Invalid URL for 'base_url': "http://***@h:99999" (not a valid URL)`,
    ],
    ['lfs_url = "http://h:99999"', `Invalid URL for 'lfs_url': "http://h:99999" (not a valid URL)`],
    ['fetch_file_thread = 0', `Invalid config 'fetch_file_thread': must be >= 1, got 0`],
    [
      'dicfuse_connect_timeout_secs = 0',
      `Invalid config 'dicfuse_connect_timeout_secs': must be >= 1, got 0`,
    ],
    [
      'base_url = ["a"]',
      `Invalid value for 'base_url': expected a scalar (string/number/bool), got an array`,
    ],
    [
      '[server.base_url]',
      `Invalid value for '[server].base_url': expected a scalar (string/number/bool), got a table`,
    ],
    [
      'log_level = 2020-01-01',
      `Invalid value for 'log_level': expected a scalar (string/number/bool), got a datetime`,
    ],
    [
      'http_addr = "localhost:80"',
      `Invalid address for 'http_addr': expected IP:PORT as 127.0.0.1:2725, got "localhost:80"`,
    ],
    [
      'http_addr = "1.2.3.4:70000"',
      `Invalid address for 'http_addr': expected IP:PORT as 127.0.0.1:2725, got "1.2.3.4:70000"`,
    ],
    [
      'allow_other = "some"',
      `Invalid value for 'allow_other': expected 'auto', 'true' or 'false', got "some"`,
    ],
  ])('say what is wrong with %s', async (text, problem) => {
    expect(await problemsOf(text)).toEqual([problem]);
  });

  it('report all problems: types, then URLs, then bounds', async () => {
    const problems = await problemsOf(
      'fetch_file_thread = 0\nbase_url = "x"\nload_dir_depth = "a"\ndicfuse_readable = "b"',
    );
    expect(problems.map((problem) => /'(\w+)'/u.exec(problem)?.[1])).toEqual([
      'dicfuse_readable',
      'load_dir_depth',
      'base_url',
      'fetch_file_thread',
    ]);
  });

  it('allow what ScorpioFS allows', async () => {
    const loaded = await load(
      'dicfuse_readable = "FALSE"\ndicfuse_stat_mode = "Fast"\nload_dir_depth = "+5"\ndicfuse_dir_sync_ttl_secs = 0\n' +
        'dicfuse_open_buff_max_bytes = "18446744073709551615"\ndicfuse_fetch_dir_max_retries = 0',
    );
    expect(valueOf(loaded, 'dicfuse_readable')).toBe(false);
    expect(valueOf(loaded, 'dicfuse_stat_mode')).toBe('fast');
    expect(valueOf(loaded, 'load_dir_depth')).toBe(5);
    expect(valueOf(loaded, 'dicfuse_dir_sync_ttl_secs')).toBe(0);
    expect(valueOf(loaded, 'dicfuse_open_buff_max_bytes')).toBe(18_446_744_073_709_551_615n);
    expect(loaded.config.fetchMaxRetries).toBe(1);
  });

  it('keep deadlines within what a timer can hold', async () => {
    const { config } = await load('dicfuse_fetch_dir_timeout_secs = 99999999999');
    expect(config.fetchTimeoutSecs * 1000).toBeLessThan(2 ** 31);
  });
});

describe('values', () => {
  it('that are paths become absolute from the current folder', async () => {
    const { config } = await load('store_path = "s"', { overrides: { antares_upper_root: 'up/../u' } });
    expect(config.storePath).toBe(join(folder, 's'));
    expect(config.mountRoot).toBe(join(folder, 's/mnt'));
    expect(config.upperRoot).toBe(join(folder, 'u'));
  });

  it('that are URLs lose the slash at the end', async () => {
    expect((await load('base_url = "http://h/mega//"')).config.baseUrl).toBe('http://h/mega');
  });

  it.each([
    ['auto', undefined],
    ['true', true],
    ['false', false],
  ])('of allow_other: %s', async (text, expected) => {
    expect((await load(`[fuse]\nallow_other = "${text}"`)).config.allowOther).toBe(expected);
  });
});

describe('warnings', () => {
  it('name an unknown key and the nearest known one', async () => {
    const { warnings } = await load(
      'bse_url = 1\nzzzzzz = 1\n[server]\nbas_url = "x"\n[servr]\na = 1\n[dicfuse]\nqqqqqqq = 1',
    );
    expect(warnings).toEqual([
      "unknown config key 'bse_url' is ignored; did you mean 'base_url'?",
      "unknown config key 'zzzzzz' is ignored",
      "unknown config key '[server].bas_url' is ignored; did you mean '[server].base_url'?",
      "unknown config section 'servr' is ignored; did you mean '[server]'?",
      "unknown config key '[dicfuse].qqqqqqq' is ignored",
    ]);
  });

  it.each(['0.0.0.0:1', '192.0.2.1:1', '[::]:1'])('tell that %s is reachable by others', async (address) => {
    expect((await load(`http_addr = "${address}"`)).warnings).toEqual([
      `http_addr ${address} is not a loopback address: everybody who reaches it can mount and unmount, there is no authentication`,
    ]);
  });

  it.each(['127.0.0.1:1', '127.9.9.9:0', '[::1]:1'])('do not come for %s', async (address) => {
    expect((await load(`http_addr = "${address}"`)).warnings).toEqual([]);
  });
});

describe('the file', () => {
  it('that is named must exist', async () => {
    await expect(loadConfig({ file: 'none.toml', env: home, cwd: folder })).rejects.toThrow(
      "Config file not found at 'none.toml': No such file or directory (os error 2)",
    );
    await expect(loadConfig({ env: { ...home, SCORPIO_CONFIG: 'gone.toml' }, cwd: folder })).rejects.toThrow(
      "Config file not found at 'gone.toml'",
    );
  });

  it('that is no TOML is refused in one line, with the place', async () => {
    const [problem, ...others] = await problemsOf('a = 1\nb = = 2\n');
    expect(others).toEqual([]);
    expect(problem).toMatch(/^Invalid config format in '.*test\.toml': .* at line 2, column \d+$/u);
  });

  it('that is a folder is refused', async () => {
    await expect(loadConfig({ file: folder, env: home, cwd: folder })).rejects.toThrow(
      `Cannot read config file '${folder}': Illegal operation on a directory (os error 21)`,
    );
  });

  it('is the named one, that of SCORPIO_CONFIG, ./scorpio.toml, that of XDG_CONFIG_HOME', async () => {
    const write = async (path: string): Promise<void> => {
      await mkdir(join(folder, path, '..'), { recursive: true });
      await writeFile(join(folder, path), `git_author = "${path}"`);
    };
    for (const path of ['named', 'variable', 'scorpio.toml', 'xdg/scorpio/scorpio.toml']) await write(path);
    const env: Record<string, string> = {
      ...home,
      XDG_CONFIG_HOME: join(folder, 'xdg'),
      SCORPIO_CONFIG: 'variable',
    };
    const author = async (input: Partial<ConfigInput>) =>
      (await loadConfig({ env, cwd: folder, ...input })).config.gitAuthor;
    expect(await author({ file: 'named' })).toBe('named');
    expect(await author({})).toBe('variable');
    delete env['SCORPIO_CONFIG'];
    expect(await author({})).toBe('scorpio.toml');
    await rm(join(folder, 'scorpio.toml'));
    expect(await author({})).toBe('xdg/scorpio/scorpio.toml');
    delete env['XDG_CONFIG_HOME'];
    await write('home/.config/scorpio/scorpio.toml');
    expect(await author({})).toBe('home/.config/scorpio/scorpio.toml');
  });
});
