// Log records as single lines on stderr, and the directives that choose how many of them.

import { printable } from './printable.ts';

/** Levels, most important first. */
const LEVELS = ['error', 'warn', 'info', 'debug', 'trace'] as const;

/** How important a record is. */
export type LogLevel = (typeof LEVELS)[number];

/** Takes records. A field that is an Error is written as its message; undefined fields are left out. */
export interface Logger {
  /** Something failed that somebody has to see to. */
  error(message: string, fields?: Record<string, unknown>): void;
  /** Something is not as it should be; work goes on. */
  warn(message: string, fields?: Record<string, unknown>): void;
  /** What an operator wants to know on an ordinary day. */
  info(message: string, fields?: Record<string, unknown>): void;
  /** For finding faults; errors come with their stack. */
  debug(message: string, fields?: Record<string, unknown>): void;
  /** Every single operation. */
  trace(message: string, fields?: Record<string, unknown>): void;
}

const PLAIN_VALUE = /^[^\s"=]+$/u;

function renderValue(value: unknown, withStack: boolean): string {
  if (value instanceof Error) {
    return JSON.stringify(withStack ? (value.stack ?? value.message) : value.message);
  }
  if (typeof value === 'string') return PLAIN_VALUE.test(value) ? value : JSON.stringify(value);
  if (typeof value === 'object' && value !== null) {
    return JSON.stringify(value, (_key, inner: unknown) =>
      typeof inner === 'bigint' ? String(inner) : inner,
    );
  }
  return String(value);
}

function renderRecord(level: LogLevel, message: string, fields: Record<string, unknown> | undefined): string {
  // A record is one line whatever it holds: a line break in a file name must not forge a record, and what a server says
  // must not make the terminal of the reader do things.
  let line = `${new Date().toISOString()} ${level.toUpperCase().padStart(5)} ${message.replaceAll('\n', String.raw`\n`)}`;
  for (const [key, value] of Object.entries(fields ?? {})) {
    if (value !== undefined) line += ` ${key}=${renderValue(value, level === 'debug' || level === 'trace')}`;
  }
  return `${printable(line)}\n`;
}

const toStderr = (line: string): void => void process.stderr.write(line);
const ignore = (): void => undefined;

/** A logger that writes records of `level` and above to `sink`, one line each, line break included (default: stderr). */
export function createLogger(level: LogLevel | 'off', sink: (line: string) => void = toStderr): Logger {
  const most = level === 'off' ? -1 : LEVELS.indexOf(level);
  const at = (own: LogLevel): Logger[LogLevel] =>
    LEVELS.indexOf(own) <= most ? (message, fields) => sink(renderRecord(own, message, fields)) : ignore;
  return { error: at('error'), warn: at('warn'), info: at('info'), debug: at('debug'), trace: at('trace') };
}

/** Names under which a directive may address this program. */
const OWN_TARGETS = new Set(['scorpio', 'scorpiofs']);
const NUMBERED = ['off', ...LEVELS] as const;
const TARGET = /^[A-Za-z_][\w:-]*(\[.*\])?$/u;

function parseLevel(text: string): LogLevel | 'off' | undefined {
  const lower = text.toLowerCase();
  if (/^[0-5]$/u.test(lower)) return NUMBERED[Number(lower)];
  return NUMBERED.find((level) => level === lower);
}

/**
 * The level that a directive such as `debug` or `scorpio=debug,hyper=info,warn` sets for this program: the one given
 * for `scorpio`, else the one without a target, else `error`. Throws an Error that names what is wrong.
 */
export function parseLogDirective(text: string): LogLevel | 'off' {
  let general: LogLevel | 'off' | undefined;
  let own: LogLevel | 'off' | undefined;
  for (const part of text.split(',').map((piece) => piece.trim())) {
    if (part === '') continue;
    const equals = part.lastIndexOf('=');
    const target = equals < 0 ? undefined : part.slice(0, equals).trim();
    const word = equals < 0 ? part : part.slice(equals + 1).trim();
    if (target === undefined && OWN_TARGETS.has(word)) {
      own = 'trace';
      continue;
    }
    const level = parseLevel(word);
    if (level === undefined) throw new Error(`"${word}" is not one of off, ${LEVELS.join(', ')}`);
    if (target === undefined) general = level;
    else if (!TARGET.test(target)) throw new Error(`"${target}" is not a target`);
    else if (OWN_TARGETS.has(target.split('::', 1)[0] ?? '')) own = level;
  }
  return own ?? general ?? 'error';
}

/** Where a directive may come from, in order of precedence; blank is unset. */
export interface LogDirectives {
  /** `--log-level`. */
  readonly option?: string | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** `log_level` of the configuration. */
  readonly config?: string | undefined;
}

/** Chooses the level: option, SCORPIO_LOG, RUST_LOG, configuration, `info`. A bad directive is told to `warn`. */
export function resolveLogLevel(
  directives: LogDirectives,
  warn: (message: string) => void,
): LogLevel | 'off' {
  const { option, env, config } = directives;
  const text = [option, env['SCORPIO_LOG'], env['RUST_LOG'], config].find((value) => value?.trim());
  if (text === undefined) return 'info';
  try {
    return parseLogDirective(text);
  } catch (error) {
    warn(`invalid log filter ${JSON.stringify(text)} (${(error as Error).message}); falling back to "info"`);
    return 'info';
  }
}
