// Loads the configuration: option > environment > [section].short > flat key > default, checked as a whole.
import { nearest } from '../util/nearest.ts';
import { checkRange, checkValue, parseAddress, type SettingValue } from './check-value.ts';
import { ConfigError } from './config-error.ts';
import { dataFolder, type Environment } from './config-paths.ts';
import type { Config } from './config.ts';
import type { ConfigKey } from './config-key.ts';
import { CONFIG_KEYS, environmentName } from './keys.ts';
import { readConfigFile } from './read-config-file.ts';
import { resolveConfig } from './resolve-config.ts';
import { isTomlTable, type TomlTable } from './toml.ts';

/** A key with its value. */
export interface Setting {
  readonly key: ConfigKey;
  readonly value: SettingValue;
  /** Who set it: `default`, the name of the file, of the environment variable, or `command line`. */
  readonly source: string;
}

/** What to load from. */
export interface ConfigInput {
  /** The file that the user named; undefined: look for one. */
  readonly file?: string | undefined;
  readonly env: Environment;
  /** Values of the command line, by flat key. */
  readonly overrides?: Readonly<Record<string, string | undefined>>;
  /** Folder that relative paths start from; default: the current one. */
  readonly cwd?: string;
}

/** A checked configuration and how it came about. */
export interface LoadedConfig {
  readonly config: Config;
  /** One for each key, in the order of the table. */
  readonly settings: readonly Setting[];
  /** The file that was read, as it was named. */
  readonly file: string | undefined;
  /** What is odd but usable, one line each. */
  readonly warnings: readonly string[];
}

/** Text as it was given, and by whom; undefined: not set. */
type Found = { readonly text: string; readonly source: string } | undefined;

class Loader {
  readonly problems: string[] = [];
  readonly warnings: string[] = [];
  readonly #input: ConfigInput;
  readonly #table: TomlTable;
  readonly #file: string | undefined;

  constructor(input: ConfigInput, table: TomlTable, file: string | undefined) {
    this.#input = input;
    this.#table = table;
    this.#file = file;
  }

  find(key: ConfigKey): Found {
    const override = this.#input.overrides?.[key.flat]?.trim();
    const variable = this.#input.env[environmentName(key)]?.trim();
    const section = this.#table[key.section];
    const inSection = isTomlTable(section)
      ? this.#textOf(section[key.short], `[${key.section}].${key.short}`)
      : undefined;
    const flat = this.#textOf(this.#table[key.flat], key.flat);
    if (inSection && flat) {
      this.warnings.push(
        `config key '${key.flat}' set both as a flat key and as [${key.section}].${key.short}; ` +
          `using the [${key.section}] value (flat keys are deprecated)`,
      );
    }
    if (override) return { text: override, source: 'command line' };
    if (variable) return { text: variable, source: environmentName(key) };
    const text = inSection || flat;
    return text ? { text, source: this.#file ?? 'file' } : undefined;
  }

  #textOf(value: unknown, name: string): string | undefined {
    if (value === undefined) return undefined;
    if (typeof value === 'string') return value.trim();
    if (typeof value === 'number' || typeof value === 'bigint' || typeof value === 'boolean')
      return String(value);
    const what = Array.isArray(value) ? 'an array' : isTomlTable(value) ? 'a table' : 'a datetime';
    this.problems.push(`Invalid value for '${name}': expected a scalar (string/number/bool), got ${what}`);
    return undefined;
  }

  warnOfUnknownKeys(): void {
    const sections = new Set(CONFIG_KEYS.map((key) => key.section));
    const flatKeys = CONFIG_KEYS.map((key) => key.flat);
    for (const [name, value] of Object.entries(this.#table)) {
      if (flatKeys.includes(name)) continue;
      if (!isTomlTable(value)) this.#warnUnknown('config key', name, flatKeys, (known) => known);
      else if (!sections.has(name))
        this.#warnUnknown('config section', name, sections, (known) => `[${known}]`);
      else this.#warnOfUnknownShorts(name, value);
    }
  }

  #warnOfUnknownShorts(section: string, table: TomlTable): void {
    const known = CONFIG_KEYS.filter((key) => key.section === section).map((key) => key.short);
    for (const short of Object.keys(table)) {
      if (known.includes(short)) continue;
      this.#warnUnknown(
        'config key',
        `[${section}].${short}`,
        known,
        (near) => `[${section}].${near}`,
        short,
      );
    }
  }

  #warnUnknown(
    what: string,
    name: string,
    known: Iterable<string>,
    show: (known: string) => string,
    word: string = name,
  ): void {
    const near = nearest(word, known);
    const hint = near === undefined ? '' : `; did you mean '${show(near)}'?`;
    this.warnings.push(`unknown ${what} '${name}' is ignored${hint}`);
  }
}

const isLoopback = (host: string): boolean => host.startsWith('127.') || host === '::1';

function warnOfOpenAddress(loader: Loader, settings: ReadonlyMap<string, Setting>): void {
  const text = String(settings.get('http_addr')?.value);
  const host = parseAddress(text)?.host;
  if (host === undefined || isLoopback(host)) return;
  loader.warnings.push(
    `http_addr ${text} is not a loopback address: everybody who reaches it can mount and unmount, there is no authentication`,
  );
}

/** Type checks run in the order of the table, and those of URLs after all others, as users of the keys know it. */
function checkTypes(loader: Loader, input: ConfigInput, cwd: string): Map<string, Setting> {
  const found = new Map(CONFIG_KEYS.map((key) => [key.flat, loader.find(key)]));
  const settings = new Map<string, Setting>();
  const check = (key: ConfigKey): void => {
    const from = found.get(key.flat);
    const text =
      from?.text ??
      key.default
        .replace('{data}', dataFolder(input.env))
        .replace('{store_path}', String(settings.get('store_path')?.value));
    const checked = checkValue(key, text, cwd);
    if ('problem' in checked) loader.problems.push(checked.problem);
    else settings.set(key.flat, { key, value: checked.value, source: from?.source ?? 'default' });
  };
  const isUrl = (key: ConfigKey): boolean => key.type === 'url';
  const store = CONFIG_KEYS.filter((key) => key.flat === 'store_path');
  const others = CONFIG_KEYS.filter((key) => key.flat !== 'store_path');
  // Other defaults are below store_path.
  for (const key of store) check(key);
  for (const key of others) if (!isUrl(key)) check(key);
  for (const key of others) if (isUrl(key)) check(key);
  return settings;
}

/**
 * Loads and checks the configuration; nothing is created or written. Throws ConfigError with all problems: types in
 * the order of the table, then URLs, then lower bounds.
 */
export async function loadConfig(input: ConfigInput): Promise<LoadedConfig> {
  const cwd = input.cwd ?? process.cwd();
  const { path: file, table } = await readConfigFile(input.file, input.env, cwd);
  const loader = new Loader(input, table, file);
  const settings = checkTypes(loader, input, cwd);
  for (const { key, value } of settings.values()) {
    const problem = checkRange(key, value);
    if (problem !== undefined) loader.problems.push(problem);
  }
  loader.warnOfUnknownKeys();
  warnOfOpenAddress(loader, settings);
  if (loader.problems.length > 0) throw new ConfigError(loader.problems, file, loader.warnings);
  const ordered = CONFIG_KEYS.flatMap((key) => settings.get(key.flat) ?? []);
  return { config: resolveConfig(settings), settings: ordered, file, warnings: loader.warnings };
}
