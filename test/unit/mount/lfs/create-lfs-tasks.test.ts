// Tasks: they outlive who started them, tell of their progress, end, are cancelled, and are forgotten in the end.
import { expect, test } from 'vitest';
import { createLfsTasks } from '../../../../src/mount/lfs/create-lfs-tasks.ts';
import type { LfsTask } from '../../../../src/mount/lfs/lfs-tasks.ts';
import type { LfsProgress, LfsReport, LfsRun } from '../../../../src/mount/lfs/mount-lfs.ts';

const progress = (filesDone: number): LfsProgress => ({
  isCounting: false,
  files: 5,
  filesDone,
  filesFailed: 0,
  filesPresent: 0,
  bytes: filesDone,
  totalBytes: 5,
});
const report = (filesDone: number): LfsReport => ({ ...progress(filesDone), failures: [], durationMs: 1 });
const subject = { kind: 'push', mountId: 'm', paths: ['a'] } as const;
const untilAborted: LfsRun = (_onProgress, signal) =>
  new Promise((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error));
  });

test('a task runs to its end, tells of its progress, and is known afterwards', async () => {
  const tasks = createLfsTasks();
  let go: () => void = () => undefined;
  const gate = new Promise<void>((resolve) => {
    go = resolve;
  });
  const seen: LfsTask[] = [];
  const { id, state } = tasks.start(subject, async (onProgress) => {
    await gate;
    for (let done = 0; done < 5; done++) onProgress(progress(done));
    return report(5);
  });
  expect(state).toBe('running');
  const ended = new Promise<void>((resolve) => {
    tasks.watch(id, (task) => {
      seen.push(task);
      if (task.state !== 'running') resolve();
    });
  });
  go();
  await ended;
  expect(seen.at(-1)).toMatchObject({ state: 'done', report: { filesDone: 5 }, progress: { filesDone: 5 } });
  // The first progress, and the end; what came between within a moment is not told.
  expect(seen).toHaveLength(2);
  expect(tasks.get(id)).toEqual(seen.at(-1));
  expect(tasks.list()).toEqual([seen.at(-1)]);
});

test('a task that fails says why; one that is cancelled ends, and says so', async () => {
  const tasks = createLfsTasks();
  const failed = tasks.start(subject, async () => {
    throw new Error('the disk is gone');
  });
  const hanging = tasks.start(subject, untilAborted);
  expect(await tasks.cancel(hanging.id)).toMatchObject({
    state: 'cancelled',
    error: { message: 'it was cancelled' },
  });
  expect(tasks.get(failed.id)).toMatchObject({ state: 'failed', error: { message: 'the disk is gone' } });
  expect(await tasks.cancel('unknown')).toBeUndefined();
  expect(await tasks.cancel(failed.id)).toMatchObject({ state: 'failed' });
});

test('closing ends all, and refuses new ones', async () => {
  const tasks = createLfsTasks();
  const { id } = tasks.start(subject, untilAborted);
  await tasks.close();
  expect(tasks.get(id)).toMatchObject({ state: 'cancelled' });
  expect(() => tasks.start(subject, untilAborted)).toThrow(/stopping/u);
});

test('too many at once are refused, and of those that ended the oldest are forgotten', async () => {
  const tasks = createLfsTasks();
  const first = tasks.start(subject, async () => report(0));
  for (let index = 0; index < 100; index++) {
    const { id } = tasks.start(subject, async () => report(index));
    await tasks.cancel(id);
  }
  expect(tasks.get(first.id)).toBeUndefined();
  expect(tasks.list()).toHaveLength(100);
  for (let index = 0; index < 64; index++) tasks.start(subject, untilAborted);
  expect(() => tasks.start(subject, untilAborted)).toThrow(/64 tasks/u);
  await tasks.close();
});
