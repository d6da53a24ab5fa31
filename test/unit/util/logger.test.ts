// Log records and the directives that choose them.
import { describe, expect, it } from 'vitest';
import { createLogger, parseLogDirective, resolveLogLevel, type LogLevel } from '../../../src/util/logger.ts';

function linesOf(level: LogLevel | 'off', log: (logger: ReturnType<typeof createLogger>) => void): string[] {
  const lines: string[] = [];
  log(createLogger(level, (line) => lines.push(line)));
  return lines;
}

describe('a logger', () => {
  it('writes one line a record: time, level, message, fields', () => {
    const [line] = linesOf('info', (log) =>
      log.info('mounted', { job: 'a', path: '/a b', none: undefined, count: 3, big: 5n, list: ['x', 1n] }),
    );
    expect(line).toMatch(
      /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z {2}INFO mounted job=a path="\/a b" count=3 big=5 list=\["x","1"\]\n$/u,
    );
  });

  it('leaves out what is less important than its level', () => {
    const all = (log: ReturnType<typeof createLogger>): void => {
      for (const level of ['error', 'warn', 'info', 'debug', 'trace'] as const) log[level](level);
    };
    expect(linesOf('off', all)).toHaveLength(0);
    expect(linesOf('error', all)).toHaveLength(1);
    expect(linesOf('info', all)).toHaveLength(3);
    expect(linesOf('trace', all)).toHaveLength(5);
  });

  it('keeps a record on its line, and errors without a stack', () => {
    const [line] = linesOf('info', (log) =>
      log.error('a\nb', { name: 'x\ny', error: new Error('bad\nthing') }),
    );
    expect(line?.split('\n')).toHaveLength(2);
    expect(line).toContain(String.raw`a\nb name="x\ny" error="bad\nthing"`);
    expect(line).not.toContain('logger.test');
  });

  it('shows what would make a terminal do things', () => {
    const [line] = linesOf('info', (log) =>
      log.warn('\u001b[2J\rx', { plain: '\u001b[31m', c1: 'a \u009b2J' }),
    );
    expect(line).toContain(String.raw`\x1b[2J\x0dx plain=\x1b[31m c1="a \x9b2J"`);
  });

  it('tells the stack of errors in records for debugging', () => {
    const [line] = linesOf('debug', (log) => log.debug('x', { error: new Error('bad') }));
    expect(line).toContain('logger.test');
  });
});

describe('a directive', () => {
  it.each([
    ['debug', 'debug'],
    ['WARN', 'warn'],
    ['off', 'off'],
    ['4', 'debug'],
    ['scorpio=debug,info', 'debug'],
    ['info,hyper=trace', 'info'],
    ['scorpiofs::fuse=trace,warn', 'trace'],
    ['scorpio', 'trace'],
    ['hyper=debug', 'error'],
    [' info , ', 'info'],
  ])('%s means %s', (text, level) => {
    expect(parseLogDirective(text)).toBe(level);
  });

  it.each(['loud', 'scorpio=loud', '=debug', 'a b=info'])('%s is refused', (text) => {
    expect(() => parseLogDirective(text)).toThrow(/is not/u);
  });

  it('comes from the option, SCORPIO_LOG, RUST_LOG, the configuration', () => {
    const env = { SCORPIO_LOG: 'warn', RUST_LOG: 'debug' };
    const none = (): void => expect.unreachable();
    expect(resolveLogLevel({ option: 'trace', env, config: 'off' }, none)).toBe('trace');
    expect(resolveLogLevel({ option: ' ', env, config: 'off' }, none)).toBe('warn');
    expect(resolveLogLevel({ env: { RUST_LOG: 'debug' }, config: 'off' }, none)).toBe('debug');
    expect(resolveLogLevel({ env: {}, config: 'off' }, none)).toBe('off');
    expect(resolveLogLevel({ env: {} }, none)).toBe('info');
  });

  it('that is bad is told, and info is used', () => {
    const warnings: string[] = [];
    expect(resolveLogLevel({ option: 'loud', env: {} }, (message) => warnings.push(message))).toBe('info');
    expect(warnings).toEqual([
      'invalid log filter "loud" ("loud" is not one of off, error, warn, info, debug, trace); falling back to "info"',
    ]);
  });
});
