// What Git's configuration of the user says of HTTP: extra headers, and URLs that stand for others.
import { runGit } from '../../git/git-command.ts';
import { withoutTrailingSlashes } from '../../util/slashes.ts';

const GIT_CONFIG_TIMEOUT_MS = 10_000;

/** Settings of Git, as far as they matter to LFS. */
export interface GitSettings {
  /** The URL that `url.<base>.insteadOf` makes of this one. */
  rewrite(url: string): string;
  /**
   * Headers of `http.<url>.extraHeader`, the most specific of them; names in lower case. Those for all URLs
   * (`http.extraHeader`) only with `isTrusted`.
   */
  extraHeaders(url: URL, isTrusted: boolean): Readonly<Record<string, string>>;
}

/** One line of `git config`. Names of keys are in lower case, the part between the dots is as it was written. */
export interface GitConfigEntry {
  readonly key: string;
  readonly value: string;
}

/** How well `http.<pattern>.*` fits a URL: the length of its path; -1: not at all. */
function fit(pattern: string, url: URL): number {
  if (!URL.canParse(pattern)) return -1;
  const wanted = new URL(pattern);
  if (wanted.origin !== url.origin) return -1;
  if (wanted.username !== '' && wanted.username !== url.username) return -1;
  const folder = withoutTrailingSlashes(wanted.pathname);
  const isInside = url.pathname === folder || url.pathname.startsWith(`${folder}/`);
  return isInside ? folder.length : -1;
}

function parseHeaders(lines: readonly string[]): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const line of lines) {
    const colon = line.indexOf(':');
    if (colon <= 0) continue;
    headers[line.slice(0, colon).trim().toLowerCase()] = line.slice(colon + 1).trim();
  }
  return headers;
}

/** Settings from what `git config` printed. */
export function gitSettings(entries: readonly GitConfigEntry[]): GitSettings {
  const rewrites: { readonly from: string; readonly to: string }[] = [];
  const headers = new Map<string, string[]>();
  for (const { key, value } of entries) {
    const [, section, name, variable] = /^(url|http)\.(?:(.*)\.)?([^.]*)$/su.exec(key) ?? [];
    if (section === 'url' && variable === 'insteadof' && name !== undefined) {
      rewrites.push({ from: value, to: name });
    }
    if (section !== 'http' || variable !== 'extraheader') continue;
    // An empty value takes back what was set before, as in Git.
    const known = headers.get(name ?? '') ?? [];
    headers.set(name ?? '', value === '' ? [] : [...known, value]);
  }
  return {
    rewrite(url) {
      let best: (typeof rewrites)[number] | undefined;
      for (const each of rewrites) {
        if (url.startsWith(each.from) && each.from.length > (best?.from.length ?? 0)) best = each;
      }
      return best === undefined ? url : best.to + url.slice(best.from.length);
    },
    extraHeaders(url, isTrusted) {
      let best = isTrusted ? (headers.get('') ?? []) : [];
      let bestFit = -1;
      for (const [pattern, lines] of headers) {
        const fits = pattern === '' ? -1 : fit(pattern, url);
        if (fits > bestFit) {
          best = lines;
          bestFit = fits;
        }
      }
      return parseHeaders(best);
    },
  };
}

/** Asks git. Where it is missing or fails, there are no settings. */
export async function loadGitSettings(log: (message: string) => void): Promise<GitSettings> {
  const pattern = String.raw`^(http\.(.*\.)?extraheader|url\..*\.insteadof)$`;
  try {
    // From the root folder: where the daemon was started is nothing that it should depend on.
    const args = ['-C', '/', 'config', '-z', '--get-regexp', pattern];
    const { output } = await runGit(args, GIT_CONFIG_TIMEOUT_MS);
    const entries = output.split('\0').flatMap((entry) => {
      const lineEnd = entry.indexOf('\n');
      return lineEnd < 0 ? [] : [{ key: entry.slice(0, lineEnd), value: entry.slice(lineEnd + 1) }];
    });
    return gitSettings(entries);
  } catch (error) {
    log(`Git's configuration is not used for LFS: ${(error as Error).message}`);
    return gitSettings([]);
  }
}
