// The base URL of a server, taken apart.
import { UpstreamError } from '../upstream-error.ts';

/** The parts of a base URL. */
export interface BaseUrl {
  /** Without credentials, query and trailing slash: for messages. */
  readonly url: string;
  /** Scheme, host and port. */
  readonly origin: string;
  /** Path before every request's path: `''`, or `/like/this`. */
  readonly prefix: string;
  /** Value of the Authorization header, where the URL has credentials. */
  readonly authorization: string | undefined;
}

/** Takes a base URL apart. Throws UpstreamError (`refused`) when it is no http or https URL. */
export function parseBaseUrl(text: string): BaseUrl {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
    // Not even a part of the text goes into the message: it may hold a password.
    throw new UpstreamError('refused', 'base_url must be a URL that begins with http:// or https://');
  }
  const prefix = url.pathname.replace(/\/+$/, '');
  const hasCredentials = url.username !== '' || url.password !== '';
  const credentials = `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`;
  return {
    url: url.origin + prefix,
    origin: url.origin,
    prefix,
    authorization: hasCredentials ? `Basic ${Buffer.from(credentials).toString('base64')}` : undefined,
  };
}
