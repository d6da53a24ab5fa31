// What programs in a mount see when the server is away, slow, silent, or sends what it should not.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { beforeEach, describe, expect, test } from 'vitest';
import type { FaultAction } from '../support/fault-proxy.ts';
import { createPlainMega, file } from '../support/plain-mega.ts';
import { randomBytes } from '../support/random.ts';
import { type ProgramResult, runProgram, shell } from '../support/run-program.ts';
import { useServedStage } from '../support/served-stage.ts';
import type { Stage } from '../support/stage.ts';

const BIG_FILE = randomBytes(2_000_000, 7);
const FILES: Record<string, string | Buffer> = {
  'README.md': 'hello\n',
  'docs/a.md': 'a\n',
  'docs/b.md': 'b\n',
  'src/main.ts': 'export {};\n',
  'src/deep/er/leaf.ts': 'leaf\n',
  'big/big.bin': BIG_FILE,
  ...Object.fromEntries(Array.from({ length: 60 }, (_, n) => [`many/${n % 6}/${n}.txt`, `${n}\n`])),
};
/** A fault that is not noticed by then would be waited for until this deadline of requests. */
const NEVER_SECS = 600;
const BLOBS = '/file/blob/';
/** What is fetched ahead of a reader, too. */
const ALL_BLOBS = /\/file\/blob\/|\/object\/blobs/;
const TREES = /\/object\/trees?|\/file\/tree/;

const served = useServedStage(FILES);

let stage: Stage;
let point: string;

beforeEach(() => {
  stage = served.stage;
  point = stage.path('mnt');
});

/** Mounts everything; the deadline is for requests. */
async function mount(deadlineSecs = NEVER_SECS, attempts = 2): Promise<void> {
  stage.configure({
    base_url: served.proxy.url,
    dicfuse_fetch_dir_timeout_secs: deadlineSecs,
    dicfuse_fetch_dir_max_retries: attempts,
  });
  await stage.succeed('mount', '/', point);
}

const run = (command: string, ...args: string[]): Promise<ProgramResult> =>
  runProgram(command, args, { cwd: point });
const cat = (path: string): Promise<ProgramResult> => run('cat', path);
const ls = (path: string): Promise<ProgramResult> => run('ls', path);
const output = (stdout: string): ProgramResult => ({ code: 0, stdout, stderr: '' });
/** A program that failed with this message, and printed no content before. */
const failed = (message: string): object => ({
  code: expect.any(Number),
  stdout: '',
  stderr: expect.stringContaining(message),
});
const IO_ERROR = failed('Input/output error');
const TIMED_OUT = failed('Connection timed out');

/** The same files on the local disk. */
function writePlain(): string {
  const plain = stage.path('plain');
  for (const [path, content] of Object.entries(FILES)) {
    mkdirSync(`${plain}/${path.slice(0, path.lastIndexOf('/') + 1)}`, { recursive: true });
    writeFileSync(`${plain}/${path}`, content);
  }
  return plain;
}

const expectAllThere = (): Promise<string> => shell('diff -r "$1" "$2"', { args: [writePlain(), point] });

describe('a server that is away', () => {
  test('takes nothing that was fetched, fails what was not, and needs no new mount when it is back', async () => {
    await mount();
    expect(await cat('docs/a.md')).toEqual(output('a\n'));
    expect(await ls('src')).toEqual(output('deep\nmain.ts\n'));
    await served.proxy.stop();

    expect(await cat('docs/a.md')).toEqual(output('a\n'));
    expect(await run('stat', '-c', '%s', 'src/main.ts')).toEqual(output('11\n'));
    expect(await cat('src/main.ts')).toEqual(IO_ERROR);
    expect(await ls('src/deep')).toEqual(IO_ERROR);
    expect(await cat('src/deep/er/leaf.ts')).toEqual(IO_ERROR);
    expect(await cat('src/missing.ts')).toEqual(failed('No such file or directory'));
    const appending = await run('sh', '-c', 'echo more >> src/main.ts');
    expect(appending.code).not.toBe(0);
    await shell(
      'echo new > src/new.ts; chmod +x src/main.ts; mv src/main.ts src/moved.ts; mv src/deep renamed',
      { cwd: point },
    );
    expect(await run('find', '.', '-name', 'leaf.ts')).toMatchObject({ code: 1 });
    const { mounts } = JSON.parse(await stage.succeed('list', '--json')) as {
      mounts: { faults: string[] }[];
    };
    expect(mounts[0]?.faults.join('\n')).toContain(new URL(served.proxy.url).host);

    await served.proxy.start();
    expect(await cat('src/moved.ts')).toEqual(output('export {};\n'));
    expect(await cat('renamed/er/leaf.ts')).toEqual(output('leaf\n'));
    expect(await cat('docs/b.md')).toEqual(output('b\n'));
    await shell('rm src/new.ts; chmod -x src/moved.ts; mv src/moved.ts src/main.ts; mv renamed src/deep', {
      cwd: point,
    });
    await expectAllThere();
  });

  test.each([3, 8, 14])(
    'that dies after %i requests of a walk fails it, and a second walk is complete',
    async (requests) => {
      await mount();
      served.proxy.inject({ kind: 'close', reset: true }, { skip: requests });
      const walk = await run('tar', '-cf', stage.path('walk.tar'), '.');
      expect(walk.code).not.toBe(0);
      expect(walk.stderr).toContain('Input/output error');
      served.proxy.heal();
      await expectAllThere();
    },
  );

  test('at the start lets the daemon start and refuse mounts, until it is there', async () => {
    await served.proxy.stop();
    await stage.serve();
    expect(await stage.scorpio('mount', '/', point)).toMatchObject({ code: 3, stdout: '' });
    expect(existsSync(point)).toBe(false);
    await served.proxy.start();
    await stage.succeed('mount', '/', point);
    await expectAllThere();
  });
});

describe('a slow server', () => {
  test('is waited for', async () => {
    served.proxy.latencyMs = 40;
    await mount();
    await expectAllThere();
  });

  test('that sends a file slowly is waited for longer than the deadline, which is one for silence', async () => {
    await mount(3);
    expect(await ls('big')).toEqual(output('big.bin\n'));
    served.proxy.inject({ kind: 'drip', bytes: 65_536, everyMs: 150 }, { path: BLOBS });
    await shell('cmp big.bin "$1/big/big.bin"', { cwd: `${point}/big`, args: [writePlain()] });
  });
});

describe('a server that never answers', () => {
  test.each(['SIGINT', 'SIGKILL'] as const)('holds no process back that gets %s', async (signal) => {
    await mount();
    expect(await ls('docs')).toEqual(output('a.md\nb.md\n'));
    served.proxy.inject({ kind: 'hang' });
    served.proxy.reset();
    const commands = [
      ['cat', 'docs/a.md'],
      ['ls', 'src'],
      ['cat', 'many/1/7.txt'],
      ['cp', 'docs/b.md', '/dev/null'],
    ];
    for (const [command = '', ...args] of commands) {
      const before = served.proxy.requests.length;
      const child = spawn(command, args, { cwd: point, stdio: 'ignore' });
      await expect.poll(() => served.proxy.requests.length).toBeGreaterThan(before);
      child.kill(signal);
      expect(await once(child, 'exit')).toEqual([null, signal]);
    }
    served.proxy.heal();
    expect(await cat('docs/a.md')).toEqual(output('a\n'));
    await expectAllThere();
  });

  test('does not keep a process that was interrupted from being the only one', async () => {
    await mount();
    const forgive = served.proxy.inject({ kind: 'latency', ms: 2000 }, { path: BLOBS });
    const [one, two] = [0, 1].map(() => spawn('cat', ['docs/a.md'], { cwd: point }));
    let said = '';
    two?.stdout.on('data', (text: Buffer) => (said += text.toString()));
    await expect.poll(() => served.proxy.count(BLOBS)).toBe(1);
    one?.kill('SIGINT');
    await once(two as NonNullable<typeof two>, 'close');
    forgive();
    expect(said).toBe('a\n');
    expect(served.proxy.count(BLOBS)).toBe(1);
  });

  test('is given up on after the deadline', async () => {
    await mount(1, 1);
    expect(await ls('docs')).toEqual(output('a.md\nb.md\n'));
    served.proxy.inject({ kind: 'hang' });
    expect(await cat('docs/a.md')).toEqual(TIMED_OUT);
    expect(await ls('src')).toEqual(TIMED_OUT);
    served.proxy.heal();
    served.proxy.inject({ kind: 'stall', afterBytes: 1000 }, { path: BLOBS });
    expect(await cat('big/big.bin')).toEqual(TIMED_OUT);
    served.proxy.heal();
    await expectAllThere();
  });
});

// The first is less than a half of every file: what arrived is not asked for again, where the server can.
const BROKEN: [string, FaultAction][] = [
  ['breaks off', { kind: 'die', afterBytes: 2 }],
  ['cuts short, with a length that fits', { kind: 'truncate', keepBytes: 5 }],
  ['spoils', { kind: 'corrupt', at: 3 }],
];

describe.each(BROKEN)('a server that %s', (_what, action) => {
  test('a file once is asked again, and nobody notices', async () => {
    await mount();
    served.proxy.inject(action, { path: BLOBS, times: 1 });
    expect(await cat('README.md')).toEqual(output('hello\n'));
    expect(served.proxy.count(BLOBS, 'GET')).toBe(2);
  });

  test('a file always makes reading it fail; no part of it is ever seen, or kept', async () => {
    await mount();
    served.proxy.inject(action, { path: ALL_BLOBS });
    expect(await cat('README.md')).toEqual(IO_ERROR);
    expect(await run('cmp', 'big/big.bin', '/dev/zero')).toMatchObject({ code: 2, stdout: '' });
    // Copying up is reading, too.
    expect((await run('sh', '-c', 'echo more >> README.md')).stderr).not.toBe('');
    expect(await shell('find "$1" -type f', { args: [stage.path('store/objects')] })).toBe('');
    served.proxy.heal();
    expect(await cat('README.md')).toEqual(output('hello\n'));
    await expectAllThere();
  });

  test('a folder always makes listing it fail; no part of it is ever seen', async () => {
    await mount();
    served.proxy.inject(action, { path: TREES });
    expect(await ls('src')).toEqual(IO_ERROR);
    expect(await cat('src/main.ts')).toEqual(IO_ERROR);
    expect(await cat('src/missing')).toEqual(IO_ERROR);
    served.proxy.heal();
    expect(await ls('src')).toEqual(output('deep\nmain.ts\n'));
    await expectAllThere();
  });
});

describe('a head that moves while a mount is walked', () => {
  test('changes nothing in it; the next mount shows the new commit', async () => {
    await mount();
    expect(await ls('.')).toEqual(output('README.md\nbig\ndocs\nmany\nsrc\n'));
    const before = served.repository.head;
    await served.repository.commit({
      'README.md': 'changed\n',
      'docs/a.md': null,
      'docs/new.md': 'new\n',
      'src/deep/er/leaf.ts': 'other\n',
      'src/deep/top.ts': 'top\n',
      big: 'a file now\n',
    });
    try {
      await expectAllThere();
      const now = stage.path('now');
      await stage.succeed('mount', 'now', now);
      const script = 'ls; cat README.md src/deep/er/leaf.ts docs/new.md big; ls docs';
      expect(await shell(script, { cwd: now })).toBe(
        'README.md\nbig\ndocs\nmany\nsrc\nchanged\nother\nnew\na file now\nb.md\nnew.md',
      );
      await expectAllThere();
    } finally {
      await served.repository.setHead(before);
    }
  });

  test('changes nothing with a server that has nothing beyond Mega either', async () => {
    const mega = await createPlainMega();
    try {
      mega.commit(
        {
          docs: { 'a.md': file('a\n'), run: file('#!/bin/sh\n', '100755'), link: file('a.md', '120000') },
          same: { deep: { 'x.md': file('x\n') } },
          top: file('top\n'),
        },
        1_700_000_000,
      );
      stage.configure({ base_url: mega.url });
      await stage.succeed('mount', '/', point);
      expect(await ls('.')).toEqual(output('docs\nsame\ntop\n'));
      mega.commit(
        {
          docs: { 'a.md': file('changed\n'), run: file('changed\n', '100755'), new: file('new\n') },
          same: { deep: { 'x.md': file('x\n') } },
          top: file('changed\n'),
        },
        1_700_000_100,
      );
      const show =
        "find . -printf '%P %y %m %s %l\\n' | LC_ALL=C sort; cat docs/a.md docs/run top same/deep/x.md";
      expect(await shell(show, { cwd: point })).toMatch(
        /^ d 755 \d+ \ndocs d 755 \d+ \ndocs\/a\.md f 644 2 \ndocs\/link l 777 4 a\.md\ndocs\/run f 755 10 \nsame d 755 \d+ \nsame\/deep d 755 \d+ \nsame\/deep\/x\.md f 644 2 \ntop f 644 4 \na\n#!\/bin\/sh\ntop\nx$/,
      );
      await stage.succeed('mount', 'now', stage.path('now'));
      expect(await shell('cat docs/* top', { cwd: stage.path('now') })).toBe(
        'changed\nnew\nchanged\nchanged',
      );
    } finally {
      await mega.close();
    }
  });
});
