// Who we are for an LFS server, and which hosts may know.
import type { GitCredential } from './git-credential.ts';
import { fillCredential, reportCredential } from './git-credential.ts';
import type { GitSettings } from './git-settings.ts';

/** Where credentials come from. */
export interface CredentialOptions {
  /** `lfs_token`: a bearer token, or `user:password`. */
  readonly token: string | undefined;
  /** The URL for whose host the token is meant. */
  readonly tokenFor: URL;
  /** URLs that the user configured, with their credentials. */
  readonly configured: readonly URL[];
  readonly settings: () => Promise<GitSettings>;
  readonly log: (message: string) => void;
}

/** Hands out credentials by host (scheme, name and port): what is meant for one never goes to another. */
export interface Credentials {
  /** Headers for a request to this URL. */
  headers(url: URL): Promise<Readonly<Record<string, string>>>;
  /**
   * A request to this URL, with these headers, was answered 401. Asks Git's credential helpers where nothing was sent;
   * whether another attempt makes sense.
   */
  refused(url: URL, sent: Readonly<Record<string, string>>): Promise<boolean>;
  /** A request to this URL, with these headers, was not answered 401. */
  accepted(url: URL, sent: Readonly<Record<string, string>>): void;
  /** What a user can do about a refusal. */
  advice(url: URL): string;
}

/** From a helper, and not known to be good yet. */
interface Helped {
  readonly credential: GitCredential;
  readonly authorization: string;
  isReported: boolean;
}

const basic = (credentials: string): string => `Basic ${Buffer.from(credentials).toString('base64')}`;

const decoded = (part: string): string => {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
};

/** The Authorization header of a token. A bearer token has no colon (RFC 6750). */
function tokenAuthorization(token: string): string {
  return token.includes(':') ? basic(token) : `Bearer ${token}`;
}

/** Asks nobody yet. */
export function createCredentials(options: CredentialOptions): Credentials {
  const fixed = new Map<string, string>();
  if (options.token !== undefined) fixed.set(options.tokenFor.origin, tokenAuthorization(options.token));
  for (const url of options.configured) {
    if (url.username !== '' && url.password !== '' && !fixed.has(url.origin)) {
      fixed.set(url.origin, basic(`${decoded(url.username)}:${decoded(url.password)}`));
    }
  }
  const trusted = new Set(options.configured.map((url) => url.origin));
  const helped = new Map<string, Helped>();
  const asking = new Map<string, Promise<boolean>>();

  const usernameFor = (url: URL): string | undefined => {
    const configured = options.configured.find((each) => each.origin === url.origin && each.username !== '');
    return configured === undefined ? undefined : decoded(configured.username);
  };

  function report(url: URL, credential: GitCredential, isGood: boolean): void {
    reportCredential(url, credential, isGood).catch((error: Error) => {
      options.log(
        `Git's credential helper was not told about the password for ${url.host}: ${error.message}`,
      );
    });
  }

  async function askHelpers(url: URL): Promise<boolean> {
    try {
      const credential = await fillCredential(url, usernameFor(url));
      if (credential === undefined) return false;
      const authorization = basic(`${credential.username}:${credential.password}`);
      helped.set(url.origin, { credential, authorization, isReported: false });
      return true;
    } catch (error) {
      options.log(`Git's credential helper failed for ${url.host}: ${(error as Error).message}`);
      return false;
    }
  }

  return {
    async headers(url) {
      const settings = await options.settings();
      const extra = settings.extraHeaders(url, trusted.has(url.origin));
      const authorization = fixed.get(url.origin) ?? helped.get(url.origin)?.authorization;
      return authorization === undefined ? extra : { ...extra, authorization };
    },
    async refused(url, sent) {
      const known = helped.get(url.origin);
      if (sent['authorization'] !== undefined) {
        // Another request may have learned a better one meanwhile.
        if (known !== undefined && known.authorization !== sent['authorization']) return true;
        if (known !== undefined) {
          helped.delete(url.origin);
          report(url, known.credential, false);
        }
        return false;
      }
      if (known !== undefined) return true;
      const running = asking.get(url.origin) ?? askHelpers(url).finally(() => asking.delete(url.origin));
      asking.set(url.origin, running);
      return running;
    },
    accepted(url, sent) {
      const known = helped.get(url.origin);
      if (known === undefined || known.isReported || known.authorization !== sent['authorization']) return;
      known.isReported = true;
      report(url, known.credential, true);
    },
    advice(url) {
      if (fixed.has(url.origin)) {
        return options.token === undefined || url.origin !== options.tokenFor.origin
          ? `check the user name and password for ${url.host} in the configuration`
          : 'check lfs_token (SCORPIO_LFS_TOKEN)';
      }
      return `set lfs_token (SCORPIO_LFS_TOKEN), or store a password for ${url.host} with a credential helper of Git`;
    },
  };
}
