// .lfsconfig: what a repository says of its LFS server. Anybody who can commit can write it, so only what is harmless
// counts: the URL. Keys that name programs or credentials, and URLs that are not http or https, do not.

/** Larger ones are no configuration; bytes. */
export const LFSCONFIG_MAX_BYTES: number = 64 * 1024;

/** What was found. */
export interface LfsConfigFile {
  /** `lfs.url`, without credentials. */
  readonly url: URL | undefined;
  /** What is wrong with it, for the log. */
  readonly problem: string | undefined;
}

const ESCAPES: Readonly<Record<string, string>> = { n: '\n', t: '\t', b: '\b' };

/** A value as Git's configuration writes it: quotes, escapes, comments. */
function parseValue(text: string): string {
  let value = '';
  let kept = 0;
  let isQuoted = false;
  for (let at = 0; at < text.length; at++) {
    const character = text.charAt(at);
    if (character === '\\') {
      const escaped = text.charAt(++at);
      value += ESCAPES[escaped] ?? escaped;
      kept = value.length;
    } else if (character === '"') {
      isQuoted = !isQuoted;
      kept = value.length;
    } else if (!isQuoted && (character === '#' || character === ';')) {
      break;
    } else {
      value += character;
      if (isQuoted || !/\s/u.test(character)) kept = value.length;
    }
  }
  return value.slice(0, kept);
}

/** The last value of a key outside of subsections. */
function lastValue(text: string, section: string, key: string): string | undefined {
  let inSection = false;
  let found: string | undefined;
  const joined = text.replace(/\r\n/gu, '\n').replace(/\\\n/gu, '');
  for (const line of joined.split('\n')) {
    const header = /^\s*\[([^\]"]*)(?:("(?:[^"\\]|\\.)*")\s*)?\](.*)$/u.exec(line);
    if (header !== null) {
      inSection = header[1]?.trim().toLowerCase() === section && header[2] === undefined;
    }
    const rest = header === null ? line : (header[3] ?? '');
    const assignment = /^\s*([A-Za-z][\w-]*)\s*=\s*(.*)$/u.exec(rest);
    if (inSection && assignment?.[1]?.toLowerCase() === key) found = parseValue(assignment[2] ?? '');
  }
  return found;
}

/** Reads the content of a .lfsconfig. */
export function parseLfsConfig(content: Uint8Array): LfsConfigFile {
  if (content.byteLength > LFSCONFIG_MAX_BYTES) {
    return { url: undefined, problem: '.lfsconfig is too large to be a configuration' };
  }
  const value = lastValue(
    Buffer.from(content)
      .toString('utf8')
      .replace(/^\uFEFF/u, ''),
    'lfs',
    'url',
  );
  if (value === undefined || value === '') return { url: undefined, problem: undefined };
  if (!/^https?:\/\//iu.test(value) || !URL.canParse(value)) {
    return { url: undefined, problem: 'lfs.url of .lfsconfig is ignored: it is no http or https URL' };
  }
  const url = new URL(value);
  url.username = '';
  url.password = '';
  return { url, problem: undefined };
}
