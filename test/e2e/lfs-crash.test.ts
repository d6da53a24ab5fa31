// Daemons that are killed in the middle of a download or an upload of a large file, and what the next one makes of it.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, beforeEach, expect, test } from 'vitest';
import { readRangeRecord } from '../../src/lfs/download/range-record.ts';
import {
  createLfsWorkTree,
  lfsObjectPath,
  lfsOid,
  lfsPointerTo,
  noise,
  storeLfsObject,
} from '../support/lfs-repository.ts';
import { runProgram, shell } from '../support/run-program.ts';
import { useServedStage } from '../support/served-stage.ts';
import type { Stage } from '../support/stage.ts';

const BIG = noise(8_000_000, 'big');
const OBJECT = /\/objects\/[0-9a-f]{64}/;
const MOUNTED_AGAIN = { timeout: 20_000 };

const served = useServedStage({
  '.gitattributes': '*.bin filter=lfs diff=lfs merge=lfs -text\n',
  'big.bin': lfsPointerTo(BIG),
});

let stage: Stage;
let point: string;
let serverFolder: string;

beforeAll(() => {
  serverFolder = join(served.repository.path, 'lfs');
  storeLfsObject(serverFolder, BIG);
});
beforeEach(() => {
  stage = served.stage;
  point = stage.path('mnt');
});

const filesBelow = (folder: string): string[] =>
  existsSync(folder)
    ? readdirSync(folder, { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map((entry) => join(entry.parentPath, entry.name))
    : [];

const untilMountedAgain = (): Promise<void> =>
  expect.poll(() => stage.succeed('list'), MOUNTED_AGAIN).toMatch(/^job_id=\S+ (?!.*state=)/);

test('a download goes on where the killed daemon was', async () => {
  const daemon = await stage.serve();
  await stage.succeed('mount', '/', point);
  const half = 4_000_000;
  served.proxy.inject({ kind: 'stall', afterBytes: half }, { path: OBJECT, method: 'GET', times: 1 });
  served.proxy.reset();
  const reader = spawn('cat', [join(point, 'big.bin')], { stdio: ['ignore', 'pipe', 'ignore'] });
  const ended = once(reader, 'close');
  let seen = 0;
  reader.stdout.on('data', (chunk: Buffer) => (seen += chunk.length));
  // What is there is noted now and then; what was not noted yet when the daemon died comes again.
  const noted = stage.path('store/lfs/incomplete', lfsOid(BIG), 'ranges');
  await expect
    .poll(() => readRangeRecord(noted, BIG.length).ranges.bytes, { timeout: 20_000 })
    .toBeGreaterThan(half * 0.9);
  expect(seen).toBeGreaterThan(0);
  await stage.end(daemon, 'SIGKILL');
  await ended;
  expect(filesBelow(stage.path('store/lfs/objects'))).toEqual([]);
  const before = served.proxy.requests.length;

  await stage.serve();
  await untilMountedAgain();
  const target = stage.path('read');
  await shell('cat "$1" > "$2"', { args: [join(point, 'big.bin'), target] });
  expect(lfsOid(readFileSync(target))).toBe(lfsOid(BIG));
  const starts = served.proxy.requests
    .slice(before)
    .filter(({ url, method }) => OBJECT.test(url) && method === 'GET')
    .map(({ headers }) => Number(/^bytes=(\d+)-/.exec(headers.range ?? '')?.[1] ?? 0));
  expect(starts.length).toBeGreaterThan(0);
  expect(Math.min(...starts)).toBeGreaterThan(half * 0.9);
  expect(filesBelow(stage.path('store/lfs/objects')).map((path) => path.slice(-64))).toEqual([lfsOid(BIG)]);
});

test('an upload that the daemon died in leaves nothing half, and can be repeated; git-lfs then pulls it', async () => {
  const daemon = await stage.serve();
  await stage.succeed('mount', '/', point);
  const content = noise(5_000_000, 'pushed');
  await shell('cp "$1" "$2"', {
    args: [((path) => (writeFileSync(path, content), path))(stage.path('new')), join(point, 'new.bin')],
  });
  const hanging = served.proxy.inject({ kind: 'hang' }, { path: OBJECT, method: 'PUT' });
  const alsoHanging = served.proxy.inject({ kind: 'hang' }, { path: OBJECT, method: 'PATCH' });
  const pushing = stage.scorpio('lfs', 'push', '--mount', point);
  await expect
    .poll(() => served.proxy.count(OBJECT, 'PUT') + served.proxy.count(OBJECT, 'PATCH'), { timeout: 20_000 })
    .toBeGreaterThan(0);
  await stage.end(daemon, 'SIGKILL');
  expect((await pushing).code).not.toBe(0);
  expect(existsSync(lfsObjectPath(serverFolder, lfsOid(content)))).toBe(false);
  hanging();
  alsoHanging();

  await stage.serve();
  await untilMountedAgain();
  await stage.succeed('lfs', 'push', '--mount', point);
  expect(lfsOid(readFileSync(lfsObjectPath(serverFolder, lfsOid(content))))).toBe(lfsOid(content));
  await served.repository.commit({ 'new.bin': lfsPointerTo(content) });
  await using clone = await createLfsWorkTree({
    clone: served.repository.path,
    lfsUrl: `${served.proxy.url}/info/lfs`,
  });
  expect(lfsOid(readFileSync(join(clone.path, 'new.bin')))).toBe(lfsOid(content));
  expect((await runProgram('stat', ['-c', '%s', join(point, 'new.bin')])).stdout).toBe(`${content.length}\n`);
});
