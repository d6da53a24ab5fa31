// Headers of HTTP answers.

/** Headers as undici gives them: names in lower case. */
export type AnswerHeaders = Readonly<Record<string, string | string[] | undefined>>;

/** The value of a header; the first one where there are several. */
export function headerOf(headers: AnswerHeaders, name: string): string | undefined {
  const value = headers[name];
  return Array.isArray(value) ? value[0] : value;
}

/** The announced length of a body in bytes. */
export function contentLengthOf(headers: AnswerHeaders): number | undefined {
  const value = headerOf(headers, 'content-length');
  return value !== undefined && /^\d{1,15}$/.test(value) ? Number(value) : undefined;
}

/** Milliseconds that a Retry-After header asks for, in either of its forms. */
export function retryAfterMs(headers: AnswerHeaders, now: number = Date.now()): number | undefined {
  const value = headerOf(headers, 'retry-after');
  if (value === undefined) return undefined;
  if (/^\d{1,9}$/.test(value)) return Number(value) * 1000;
  const date = Date.parse(value);
  return Number.isNaN(date) ? undefined : Math.max(0, date - now);
}
