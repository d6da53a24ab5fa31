// The configuration as text: for `config show`, `config init`, scorpio.toml.example and the docs.
import type { SettingValue } from './check-value.ts';
import { dataFolder, SYSTEM_DATA_FOLDER, type Environment } from './config-paths.ts';
import type { ConfigKey } from './config-key.ts';
import { CONFIG_KEYS } from './keys.ts';
import type { Setting } from './load-config.ts';
import { stringifyToml } from './toml.ts';

const HIDDEN = '***';

function assignment(name: string, value: SettingValue): string {
  // TOML's integers are signed and of 64 bits; a larger number is read back from a string as well.
  return stringifyToml({ [name]: typeof value === 'bigint' ? String(value) : value }).trim();
}

function bySection<T>(
  items: readonly T[],
  keyOf: (item: T) => ConfigKey,
  render: (item: T) => string,
): string {
  const names = new Set(items.map((item) => keyOf(item).section));
  return [...names]
    .map((name) => {
      const inside = items.filter((item) => keyOf(item).section === name);
      return `[${name}]\n${inside.map((item) => render(item)).join('')}`;
    })
    .join('\n');
}

/** What is shown of a value: no secret, and of a URL not its password. */
function shown(key: ConfigKey, value: SettingValue): SettingValue {
  if (key.type === 'secret') return value === '' ? '' : HIDDEN;
  if (!key.type.endsWith('url') || typeof value !== 'string') return value;
  return value.replace(/^([a-z][a-z0-9+.-]*:[\\/]*[^\\/?#@:]*):[^\\/?#]*@/iu, `$1:${HIDDEN}@`);
}

/**
 * The settings as TOML that can be loaded again; what is not a default says where it comes from. A secret that is set is
 * a comment, so that nobody loads what stands in its place.
 */
export function renderToml(settings: readonly Setting[]): string {
  return bySection(
    settings,
    (setting) => setting.key,
    ({ key, value, source }) => {
      const line = assignment(key.short, shown(key, value));
      const isSecret = key.type === 'secret' && value !== '';
      const from = source === 'default' ? '' : ` # ${source.replaceAll('\n', ' ')}`;
      return `${isSecret ? '# ' : ''}${line}${from}\n`;
    },
  );
}

/** The settings by flat key, for JSON: numbers beyond JavaScript's are strings. */
export function renderObject(settings: readonly Setting[]): Record<string, string | number | boolean> {
  return Object.fromEntries(
    settings.map(({ key, value }) => [
      key.flat,
      typeof value === 'bigint' ? String(value) : (shown(key, value) as string | number | boolean),
    ]),
  );
}

function defaultValue(key: ConfigKey, data: string): SettingValue {
  if (key.type === 'bool') return key.default === 'true';
  if (['usize', 'u64', 'u32'].includes(key.type)) return Number(key.default);
  return key.default.replace('{data}', data).replace('{store_path}', data);
}

/** The file that `config init` writes: the keys that a user is likely to set, flat, at the defaults of this user. */
export function renderTemplate(env: Environment): string {
  const data = dataFolder(env);
  const keys = CONFIG_KEYS.filter((key) => key.template);
  return [
    '# Configuration of Scorpio. Every key has a default: delete what you do not change.',
    '# All keys are explained in scorpio.toml.example and docs/configuration.md.',
    ...keys.map((key) => assignment(key.flat, defaultValue(key, data))),
    '',
  ].join('\n');
}

/** scorpio.toml.example: every key with its description, commented out at the default. */
export function renderExample(): string {
  const header = [
    '# Every key of the configuration at its default; delete the # in front of what you change.',
    '# Paths are the defaults of root. For other users /var/lib/scorpio is $XDG_DATA_HOME/scorpio, and when store_path',
    '# is set, the other paths follow it. docs/configuration.md says where this file is looked for.',
    '',
  ].join('\n');
  const render = (key: ConfigKey): string =>
    `# ${key.description}\n# ${assignment(key.short, defaultValue(key, SYSTEM_DATA_FOLDER))}\n`;
  return `${header}\n${bySection(CONFIG_KEYS, (key) => key, render)}`;
}

const TYPE_RULES: Readonly<Record<Exclude<ConfigKey['type'], 'choice'>, string>> = {
  url: 'URL; http or https, with a host',
  path: 'path; a relative one starts at the current folder',
  string: 'text',
  bool: '`true` or `false`',
  usize: 'whole number',
  u64: 'whole number',
  u32: 'whole number',
  'stat-mode': '`fast` or `accurate`',
  'fuse-binding': '`auto`, `kernel` or `fuse-native`',
  address: '`IP:PORT`',
  'auto-bool': '`auto`, `true` or `false`',
  'byte-size': 'bytes as `512MiB` or `2GB`',
  'disk-amount': 'bytes as `20GB` or `512MiB`, or a share of the disk as `30%`',
  'open-requests': '`auto`, `always` or `never`',
  'auto-url': '`auto`, or a URL',
  secret: 'text, never shown',
};

function ruleOf({ type, choices = [] }: ConfigKey): string {
  return type === 'choice' ? choices.map((choice) => `\`${choice}\``).join(', ') : TYPE_RULES[type];
}

function documentedDefault(key: ConfigKey): string {
  return `\`${key.default.replace('{data}', '<data>').replace('{store_path}', '<store_path>')}\``;
}

/** The table of keys in docs/configuration.md. */
export function renderDocsTable(): string {
  const rows = CONFIG_KEYS.map((key) => {
    const rule = ruleOf(key) + (key.min === undefined ? '' : `, >= ${key.min}`);
    return `| \`${key.flat}\` | \`${key.section}.${key.short}\` | ${rule} | ${documentedDefault(key)} | ${key.description} |`;
  });
  return [
    '| flat key | section.key | value | default | what it does |',
    '|---|---|---|---|---|',
    ...rows,
  ].join('\n');
}
