// The benchmarks' own machinery: taking turns, giving up what hangs, targets, and the table that the README shows.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

interface Row {
  samples: Record<string, number[]>;
  failures: Record<string, string>;
}
interface Contender {
  readonly id: string;
  readonly title: string;
}
type Work = (
  place: unknown,
  record: (row: Row, amount: number) => void,
  contender: Contender,
) => Promise<void>;
interface Options {
  turns: number;
  contenders: readonly Contender[];
  begin: (contender: Contender) => Promise<unknown>;
  sample: Work;
  end: (place: unknown) => Promise<void>;
}

/** The modules are JavaScript without types. */
const load = async <T>(name: string): Promise<T> =>
  (await import(new URL(`../../bench/${name}.mjs`, import.meta.url).href)) as T;
const { compare } = await load<{
  compare: (stage: unknown, rows: readonly Row[], options: Options) => Promise<void>;
}>('comparison');
const { row } = await load<{ row: (what: string, options?: object) => Row }>('row');
const { isMet, atMostTimes, atLeastSpeed, below, fasterThan } = await load<{
  isMet: (row: Row, id: string) => boolean | undefined;
  atMostTimes: (times: number) => object;
  atLeastSpeed: (speed: number) => object;
  below: (ms: number) => object;
  fasterThan: (id: string) => object;
}>('targets');
const { writeMarkdown } = await load<{ writeMarkdown: (file: string, result: object) => void }>('readme');
const { renderTable } = await load<{ renderTable: (result: object) => string }>('table');
const { describeNoise } = await load<{ describeNoise: (result: object) => string | undefined }>('noise');
const { readOptions } = await load<{ readOptions: (args: string[]) => { names: string[] } }>('options');

const a = { id: 'a', title: 'A' };
const b = { id: 'b', title: 'B' };

function fakeStage(stepDeadlineMs = 10_000) {
  const ended: unknown[] = [];
  return {
    ended,
    isClosing: false,
    stepDeadlineMs,
    beginStep: () => undefined,
    log: () => undefined,
    endHanging: (place: unknown) => ended.push(place),
  };
}

describe('compare', () => {
  it('lets the contenders work by turns, and ends what it began', async () => {
    const entry = row('work');
    const order: string[] = [];
    await compare(fakeStage(), [entry], {
      turns: 2,
      contenders: [a, b],
      begin: async ({ id }) => `place of ${id}`,
      sample: async (place, record, { id }) => {
        order.push(String(place));
        record(entry, id === 'a' ? 1 : 2);
      },
      end: async (place) => void order.push(`end of ${String(place)}`),
    });
    const turn = ['place of a', 'place of b'];
    expect(order).toEqual([...turn, ...turn, 'end of place of a', 'end of place of b']);
    expect(entry.samples).toEqual({ a: [1, 1], b: [2, 2] });
  });

  it('goes on without a contender that fails, and says why', async () => {
    const entry = row('work');
    const ended: unknown[] = [];
    await compare(fakeStage(), [entry], {
      turns: 3,
      contenders: [a, b],
      begin: async ({ id }) => id,
      sample: async (_place, record, { id }) => {
        if (id === 'a') throw new Error('no such luck');
        record(entry, 2);
      },
      end: async (place) => void ended.push(place),
    });
    expect(entry.samples).toEqual({ b: [2, 2, 2] });
    expect(entry.failures).toEqual({ a: 'no such luck' });
    expect(ended).toEqual(['a', 'b']);
  });

  it('ends what hangs at its deadline', async () => {
    const entry = row('work');
    const stage = fakeStage(50);
    let release: () => void = () => undefined;
    const hang = new Promise<void>((resolve) => (release = resolve));
    stage.endHanging = (place) => {
      release();
      return stage.ended.push(place);
    };
    await compare(stage, [entry], {
      turns: 1,
      contenders: [a, b],
      begin: async ({ id }) => id,
      sample: async (_place, record, { id }) => {
        if (id === 'a') await hang;
        else record(entry, 1);
      },
      end: async () => undefined,
    });
    expect(stage.ended).toEqual(['a']);
    expect(entry.failures['a']).toMatch(/took longer/);
    expect(entry.samples).toEqual({ b: [1] });
  });
});

describe('targets', () => {
  const rowOf = (target: object, samples: Record<string, number[]>): Row => ({
    ...row('work', { target }),
    samples,
  });

  it.each([
    ['a ratio that is low enough', atMostTimes(1.3), { local: [10], scorpio: [13] }, true],
    ['a ratio that is too high', atMostTimes(1.3), { local: [10], scorpio: [14] }, false],
    ['a ratio without the local disk', atMostTimes(1.3), { scorpio: [14] }, undefined],
    ['a speed that is high enough', atLeastSpeed(0.9), { local: [9], scorpio: [10] }, true],
    ['a speed that is too low', atLeastSpeed(0.9), { local: [8], scorpio: [10] }, false],
    ['a time', below(300), { scorpio: [100, 299, 1000] }, true],
    ['a time that is too long', below(300), { scorpio: [300] }, false],
    ['another contender that is slower', fasterThan('peer'), { peer: [2], scorpio: [1] }, true],
    ['another contender that is not there', fasterThan('peer'), { scorpio: [1] }, undefined],
  ])('know %s', (_name, target, samples, expected) => {
    expect(isMet(rowOf(target, samples as Record<string, number[]>), 'scorpio')).toBe(expected);
  });
});

describe('the result', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'scorpio-test-bench-'));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  const result = {
    environment: {
      date: '2026-01-02T03:04:05Z',
      commit: 'abc',
      kernel: '6.1',
      cores: 2,
      processor: 'P',
      node: 'v20',
      disk: 'ext4',
    },
    columns: [
      { id: 'local', title: 'local disk', kind: 'local' },
      { id: 'scorpio', title: 'Scorpio', kind: 'scorpio' },
      { id: 'peer', title: 'Peer', kind: 'peer' },
    ],
    rows: [
      {
        ...row('shown', { target: atMostTimes(1.3), readme: true }),
        case: 'one',
        samples: { local: [100], scorpio: [120], peer: [300] },
      },
      { ...row('hidden'), case: 'two', samples: { local: [1] }, failures: { peer: 'broken' } },
    ],
  };

  it('is a table with ratios, marks and failures', () => {
    const lines = renderTable(result).split('\n');
    expect(lines).toHaveLength(5);
    expect(lines[2]).toMatch(/shown +100 ms +120 ms 1\.20x ✓ +300 ms 3\.00x +<= 1\.3x/);
    expect(lines[4]).toMatch(/hidden +1\.0 ms +failed/);
  });

  it('stands in the README between the marks, and nothing else changes there', () => {
    const file = join(folder, 'README.md');
    writeFileSync(file, 'before\n<!-- bench:begin -->\nold\n<!-- bench:end -->\nafter\n');
    writeMarkdown(file, result);
    writeMarkdown(file, result);
    const text = readFileSync(file, 'utf8');
    expect(text).toMatch(/^before\n<!-- bench:begin -->\n\| what \|/);
    expect(text).toContain('| shown | 100 ms | **1.20x** ✓ | 3.00x | &lt;= 1.3x |');
    expect(text).not.toMatch(/old|hidden/);
    expect(text).toMatch(/<!-- bench:end -->\nafter\n$/);
  });

  it('says when its samples disagree', () => {
    const rows = (samples: number[]) => [
      { ...row('work'), samples: { local: [10, 11, 12], scorpio: samples } },
    ];
    expect(describeNoise({ rows: rows([10, 15, 19]) })).toBeUndefined();
    expect(describeNoise({ rows: rows([10, 15, 21]) })).toMatch(/in 1 of 2 cells/);
  });

  it('is not written to a file without marks', () => {
    const file = join(folder, 'README.md');
    writeFileSync(file, 'nothing here\n');
    expect(() => writeMarkdown(file, result)).toThrow(/has no <!-- bench:begin -->/);
    expect(readFileSync(file, 'utf8')).toBe('nothing here\n');
  });
});

describe('the command line', () => {
  it('refuses to show a part in the README', () => {
    for (const part of [['--quick'], ['files'], ['--columns', 'scorpio']]) {
      expect(() => readOptions(['--readme', ...part])).toThrow(/full runs/);
    }
  });

  it('knows its cases and columns', () => {
    expect(readOptions(['git', 'files']).names).toEqual(['git', 'files']);
    expect(() => readOptions(['fils'])).toThrow('there is no case fils');
    expect(() => readOptions(['--columns', 'local,ext4'])).toThrow('there is no column ext4');
  });
});
