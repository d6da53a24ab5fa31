// Version, help, and mistakes on the command line.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createSandbox, type Sandbox } from './run-scorpio.ts';

let sandbox: Sandbox;

beforeAll(async () => {
  sandbox = await createSandbox();
});

afterAll(async () => {
  await sandbox.remove();
});

it.each(['--version', '-V'])('%s prints the version of the package', async (flag) => {
  const { version } = JSON.parse(
    readFileSync(join(import.meta.dirname, '../../../package.json'), 'utf8'),
  ) as {
    version: string;
  };
  expect(await sandbox.run(flag)).toEqual({ code: 0, stdout: `scorpio ${version}\n`, stderr: '' });
});

it('--help names every command and global option', async () => {
  const { code, stdout } = await sandbox.run('--help');
  expect(code).toBe(0);
  for (const word of [
    'serve',
    'mount',
    'umount',
    'list',
    'http-mount',
    'config',
    'mega-server',
    'doctor',
    'completions',
  ])
    expect(stdout).toMatch(new RegExp(`^ {2}${word}\\b`, 'mu'));
  for (const word of [
    '--config-path',
    '--http-addr',
    '--log-level',
    '--upper-root',
    '--cl-root',
    '--mount-root',
    '--state-file',
  ])
    expect(stdout).toContain(word);
});

describe('a mistake ends with 2, in words', () => {
  it.each<[string, string[], RegExp]>([
    ['an unknown command', ['lst'], /^error: unrecognized subcommand 'lst' \(did you mean list\?\)/u],
    ['an unknown option', ['list', '--all'], /^error: unknown option '--all'/u],
    ['a missing argument', ['umount'], /^error: missing required argument 'job'/u],
    ['an argument too many', ['list', 'x'], /^error: too many arguments/u],
    ['an address with a name', ['--http-addr', 'localhost:1', 'list'], /It is not IP:PORT/u],
    ['a timeout that is none', ['mount', 'x', '--timeout', '0'], /It is not a number of seconds/u],
    ['an argument too many', ['store', 'status', 'x'], /^error: too many arguments for 'status'/u],
    ['a missing option', ['mega-server'], /^error: required option '--repo <DIR>' not specified/u],
    ['a path and --path', ['mount', '/a', '--path', '/b'], /^error: \/a is a path already/u],
    [
      'an unknown shell',
      ['completions', 'tcsh'],
      /^error: there are completions for bash, zsh and fish, not for tcsh/u,
    ],
  ])('%s', async (_name, args, expected) => {
    const { code, stdout, stderr } = await sandbox.run(...args);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toMatch(expected);
    expect(stderr).not.toMatch(/^\s+at /mu);
  });
});

it('global options may stand before and after the subcommand', async () => {
  const args = ['--state-file', '/x/y'];
  const before = await sandbox.run(...args, 'config', 'show', '--json');
  const after = await sandbox.run('config', 'show', '--json', ...args);
  expect(before).toEqual(after);
  expect(JSON.parse(after.stdout)).toMatchObject({ antares_state_file: '/x/y' });
});

it('without a subcommand it serves, with a note', async () => {
  const { code, stderr } = await sandbox.run('-c', 'none.toml');
  expect(code).toBe(2);
  expect(stderr).toBe(
    'note: running `scorpio` without a subcommand is deprecated; use `scorpio serve`\n' +
      "Failed to load config: Config file not found at 'none.toml': No such file or directory (os error 2)\n",
  );
});

it.each(['bash', 'zsh', 'fish'])('completions for %s know the commands and their options', async (shell) => {
  const { code, stdout } = await sandbox.run('completions', shell);
  expect(code).toBe(0);
  for (const word of ['http-mount', 'validate', 'lazy', 'config-path']) expect(stdout).toContain(word);
  expect(stdout).not.toContain('background');
});

it.each<[string, string]>([
  ['scorpio l', 'lfs list'],
  ['scorpio lfs lo', 'lock locks'],
  ['scorpio lfs checkout --dea', '--deactivate'],
  ['scorpio lfs locks --verif', '--verify'],
  ['scorpio store prune --t', '--to'],
  ['scorpio mount lfs lo', ''],
])('bash completes %s to %s', async (line, expected) => {
  const { stdout: script } = await sandbox.run('completions', 'bash');
  const program = `${script}
COMP_WORDS=(${line}); COMP_CWORD=$((\${#COMP_WORDS[@]} - 1)); _scorpio; printf '%s\n' "\${COMPREPLY[@]}" | sort | xargs`;
  expect(execFileSync('bash', ['-c', program], { encoding: 'utf8' }).trim()).toBe(expected);
});
