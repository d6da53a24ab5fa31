// URLs for logs and messages.

/** The URL as it is, but for a user and a password in it. A text that is no URL is not looked into. */
export function withoutCredentials(text: string): string {
  const url = URL.parse(text);
  if (url === null || (url.username === '' && url.password === '')) return text;
  url.username = '';
  url.password = '';
  return url.href;
}
