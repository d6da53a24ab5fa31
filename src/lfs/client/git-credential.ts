// User names and passwords from Git's credential helpers. Nobody is ever asked: a daemon has no terminal.
import { runGit } from '../../git/git-command.ts';

/** A helper that unlocks a key ring may be slow; one that waits for a user would be for ever. */
const HELPER_TIMEOUT_MS = 15_000;

const NEVER_ASK = {
  GIT_TERMINAL_PROMPT: '0',
  GIT_ASKPASS: '',
  SSH_ASKPASS: '',
  GCM_INTERACTIVE: 'never',
};

/** What a helper knows. */
export interface GitCredential {
  readonly username: string;
  readonly password: string;
}

function lines(fields: Readonly<Record<string, string>>): string {
  return `${Object.entries(fields)
    .map(([name, value]) => `${name}=${value}\n`)
    .join('')}\n`;
}

function describe(url: URL, username: string | undefined): Record<string, string> {
  return {
    protocol: url.protocol.slice(0, -1),
    host: url.host,
    path: url.pathname.replace(/^\/|\/$/gu, ''),
    ...(username === undefined ? {} : { username }),
  };
}

async function run(action: string, fields: Readonly<Record<string, string>>): Promise<string | undefined> {
  const hasLineEnd = Object.values(fields).some((value) => /[\n\0]/u.test(value));
  if (hasLineEnd) return undefined;
  const { code, output } = await runGit(
    ['-C', '/', '-c', 'core.askPass=', 'credential', action],
    HELPER_TIMEOUT_MS,
    { environment: NEVER_ASK, ownGroup: true, input: lines(fields) },
  );
  return code === 0 ? output : undefined;
}

/** The credential of a URL, where a helper has one. Rejects with GitError. */
export async function fillCredential(url: URL, username?: string): Promise<GitCredential | undefined> {
  const output = await run('fill', describe(url, username));
  const found = new Map(
    (output ?? '').split('\n').map((line) => {
      const equals = line.indexOf('=');
      return [line.slice(0, equals), line.slice(equals + 1)];
    }),
  );
  const [user, password] = [found.get('username'), found.get('password')];
  return user === undefined || password === undefined ? undefined : { username: user, password };
}

/** Tells the helpers that a credential was good, or that it was not. Rejects with GitError. */
export async function reportCredential(
  url: URL,
  { username, password }: GitCredential,
  isGood: boolean,
): Promise<void> {
  await run(isGood ? 'approve' : 'reject', { ...describe(url, username), password });
}
