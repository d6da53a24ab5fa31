// Folders that are kept fetched: tried again until all is there, from anew when they change, ended with the mount.
import { expect, test } from 'vitest';
import { type ActiveFetch, createActiveFetch } from '../../../../src/mount/lfs/active-fetch.ts';
import { inMount, toRepositoryPath, toWantedPath } from '../../../../src/mount/lfs/active-paths.ts';
import type { LfsReport, LfsRun } from '../../../../src/mount/lfs/mount-lfs.ts';
import { createLogger } from '../../../../src/util/logger.ts';

const WAIT = { timeout: 15_000 };
const report = (filesFailed: number): LfsReport => ({
  isCounting: false,
  files: 3,
  filesDone: 3 - filesFailed,
  filesFailed,
  filesPresent: 0,
  bytes: 0,
  totalBytes: 0,
  failures: filesFailed === 0 ? [] : [{ path: 'a', oid: 'o', reason: 'the server is away' }],
  durationMs: 0,
});

function create(
  outcomes: (LfsReport | Error)[],
  folders: () => readonly string[] = () => ['dir'],
): { fetch: ActiveFetch; asked: (readonly string[])[]; logged: string[]; pauses: number[] } {
  const asked: (readonly string[])[] = [];
  const logged: string[] = [];
  const pauses: number[] = [];
  const run =
    (wanted: readonly string[]): LfsRun =>
    async () => {
      asked.push(wanted);
      const outcome = outcomes.shift() ?? report(0);
      if (outcome instanceof Error) throw outcome;
      return outcome;
    };
  const fetch = createActiveFetch({
    folders: async () => folders(),
    fetch: run,
    log: createLogger('warn', (line) => void logged.push(line)),
    pauseMs: (failures) => {
      pauses.push(failures);
      return 1;
    },
  });
  return { fetch, asked, logged, pauses };
}

test('what fails is tried again until it is there, and told once for each reason', async () => {
  const made = create([new Error('no'), new Error('no'), report(2), report(1), report(0)]);
  made.fetch.restart();
  await expect.poll(() => made.asked.length, WAIT).toBe(5);
  await made.fetch.stop();
  expect(made.pauses).toEqual([1, 2, 3, 4]);
  expect(made.logged.map((line) => /problem=(.*)$/mu.exec(line)?.[1])).toEqual([
    'no',
    '"the server is away"',
  ]);
});

test('with no folder nothing is fetched, and new ones are when it begins anew', async () => {
  let folders: readonly string[] = [];
  const made = create([], () => folders);
  made.fetch.restart();
  folders = ['dir'];
  made.fetch.restart();
  await expect.poll(() => made.asked, WAIT).toEqual([['dir']]);
  await made.fetch.stop();
  made.fetch.restart();
  await made.fetch.stop();
  expect(made.asked).toHaveLength(1);
});

test('it ends while it waits, and while it fetches', async () => {
  const waiting = createActiveFetch({
    folders: async () => ['dir'],
    fetch: () => async () => report(1),
    log: createLogger('off'),
  });
  waiting.restart();
  await waiting.stop();
  let isFetching = false;
  const fetching = createActiveFetch({
    folders: async () => ['dir'],
    fetch: () => (_onProgress, signal) => {
      isFetching = true;
      return new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason as Error));
      });
    },
    log: createLogger('off'),
  });
  fetching.restart();
  await expect.poll(() => isFetching, WAIT).toBe(true);
  await fetching.stop();
});

test('paths of the monorepo and of a mount', () => {
  expect(toRepositoryPath('/', '')).toBe('/');
  expect(toRepositoryPath('/', 'a/b')).toBe('/a/b');
  expect(toRepositoryPath('/p', 'caf\xc3\xa9')).toBe('/p/café');
  expect(toWantedPath('/p', 'a')).toBe('p/a');
  const recorded = ['/', '/p/a', '/p/a/b', '/pq'];
  expect(inMount('/p', recorded)).toEqual(['']);
  expect(inMount('/p', recorded.slice(1))).toEqual(['a', 'a/b']);
  expect(inMount('/p/a', recorded.slice(1))).toEqual(['']);
  expect(inMount('/', recorded.slice(1))).toEqual(['p/a', 'p/a/b', 'pq']);
  expect(inMount('/other', recorded.slice(1))).toEqual([]);
});
