// The derived views of the table of keys: show, template, example, docs.
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CONFIG_KEYS } from '../../../src/config/keys.ts';
import { loadConfig } from '../../../src/config/load-config.ts';
import {
  renderDocsTable,
  renderExample,
  renderObject,
  renderTemplate,
  renderToml,
} from '../../../src/config/render-config.ts';
import { parseToml } from '../../../src/config/toml.ts';

const ROOT = join(import.meta.dirname, '../../..');
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'scorpio-render-'));
});

afterAll(async () => {
  await rm(folder, { recursive: true });
});

async function load(text: string, env: Record<string, string> = {}) {
  const file = join(folder, 'scorpio.toml');
  await writeFile(file, text);
  return loadConfig({ file, env, cwd: folder });
}

describe('config show', () => {
  it('prints TOML that loads to the same configuration', async () => {
    const first = await load(
      [
        'base_url = "http://h:1/a?b=\\"c\\"#d"',
        'git_author = "line\\nbreak, \\"quotes\\" and ünïcödé # no comment"',
        'dicfuse_open_buff_max_bytes = "18446744073709551615"',
        'allow_other = true',
        'log_level = "scorpio=debug,info"',
        'workspace = "sp ace"',
      ].join('\n'),
      { SCORPIO_STORE_PATH: '/x/store' },
    );
    const second = await load(renderToml(first.settings));
    expect(second.config).toEqual(first.config);
    expect(renderObject(second.settings)).toEqual(renderObject(first.settings));
    expect(second.warnings).toEqual([]);
  });

  it('shows no secret, and no password of a URL', async () => {
    const { settings, config } = await load(
      'base_url = "http://me:pass@word@mega/x"\nlfs_url = "https://me:hush@lfs:1/y"',
      { SCORPIO_LFS_TOKEN: 'let-me-in' },
    );
    expect(config).toMatchObject({ lfsToken: 'let-me-in', lfsUrl: 'https://me:hush@lfs:1/y' });
    const shown = renderToml(settings) + JSON.stringify(renderObject(settings));
    expect(shown).not.toMatch(/pass|word@|hush|let-me-in/u);
    expect(shown).toContain('base_url = "http://me:***@mega/x"');
    expect(renderToml(settings)).toContain('# lfs_token = "***" # SCORPIO_LFS_TOKEN\n');
    expect(renderObject(settings)['lfs_token']).toBe('***');
  });

  it('names a secret that cannot be sent without showing it', async () => {
    const failed = load('', { SCORPIO_LFS_TOKEN: 'let\nme in' });
    await expect(failed).rejects.toThrow("Invalid value for 'lfs_token': it has control characters");
    await expect(failed).rejects.not.toThrow('me in');
  });

  it('says who set what is not a default', async () => {
    const { settings } = await load('git_author = "A"', { SCORPIO_GIT_EMAIL: 'a@b' });
    const lines = renderToml(settings).split('\n');
    expect(lines).toContain(`git_author = "A" # ${join(folder, 'scorpio.toml')}`);
    expect(lines).toContain('git_email = "a@b" # SCORPIO_GIT_EMAIL');
    expect(lines).toContain('log_level = "info"');
  });

  it('names every key in JSON', async () => {
    const { settings } = await load('');
    expect(Object.keys(renderObject(settings))).toEqual(CONFIG_KEYS.map((key) => key.flat));
  });
});

describe('the template', () => {
  it('holds the twelve keys that ScorpioFS writes, flat, after two lines of comment', () => {
    const text = renderTemplate({ HOME: '/home/u' });
    expect(Object.keys(parseToml(text))).toEqual([
      'base_url',
      'lfs_url',
      'workspace',
      'store_path',
      'git_author',
      'git_email',
      'config_file',
      'log_level',
      'antares_upper_root',
      'antares_cl_root',
      'antares_mount_root',
      'antares_state_file',
    ]);
    expect(text.split('\n').filter((line) => line.startsWith('#'))).toHaveLength(2);
  });

  it('loads to the defaults without a warning', async () => {
    const env = { HOME: '/home/u' };
    const fromTemplate = await load(renderTemplate(env), env);
    expect(fromTemplate.warnings).toEqual([]);
    expect(fromTemplate.config).toEqual((await load('', env)).config);
  });
});

describe('scorpio.toml.example', () => {
  // After a change of the table: npx vitest run --project unit test/unit/config -u
  it('is what the table of keys says', async () => {
    await expect(renderExample()).toMatchFileSnapshot(join(ROOT, 'scorpio.toml.example'));
  });

  it('names every key, and loads without a warning when all are uncommented', async () => {
    const text = await readFile(join(ROOT, 'scorpio.toml.example'), 'utf8');
    const active = text.replaceAll(/^# (?=\w+ = )/gmu, '');
    const table = parseToml(active) as Record<string, Record<string, unknown>>;
    for (const key of CONFIG_KEYS) expect(table[key.section], key.flat).toHaveProperty(key.short);
    const { warnings, settings } = await load(active);
    expect(warnings).toEqual([]);
    // A blank value is none.
    const left = settings.filter(({ key, source }) => source === 'default' && key.default !== '');
    expect(left).toEqual([]);
  });
});

describe('docs/configuration.md', () => {
  it('holds the table of keys as it is', async () => {
    const path = join(ROOT, 'docs/configuration.md');
    const text = await readFile(path, 'utf8');
    const expected = text.replace(
      /<!-- keys:begin -->[^]*<!-- keys:end -->/u,
      () => `<!-- keys:begin -->\n${renderDocsTable()}\n<!-- keys:end -->`,
    );
    for (const key of CONFIG_KEYS)
      expect(expected).toContain(`| \`${key.flat}\` | \`${key.section}.${key.short}\` |`);
    await expect(expected).toMatchFileSnapshot(path);
  });
});
