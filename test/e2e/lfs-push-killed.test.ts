// A daemon that is killed in the middle of a push: nothing is lost, and the next push sends only what lacks.
import { existsSync, rmSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { lfsObjectPath, lfsOid, lfsPointerTo, noise } from '../support/lfs-repository.ts';
import { shell } from '../support/run-program.ts';
import { useServedStage } from '../support/served-stage.ts';

const WAIT = { timeout: 30_000, interval: 50 };
const served = useServedStage({
  '.gitattributes': '*.bin filter=lfs\n',
  'project/old.bin': lfsPointerTo('old'),
});
const FILES = Array.from({ length: 6 }, (_none, nth) => noise(400_000, `file ${nth}`));
const STUCK = FILES[3] as Buffer;

interface Status {
  readonly files: readonly {
    readonly path: string;
    readonly change: string;
    readonly uploaded: boolean | null;
  }[];
}

test('what was written is there after the restart, and a second push completes the first', async () => {
  const { stage, proxy, repository } = served;
  const isOnServer = (content: Buffer): boolean =>
    existsSync(lfsObjectPath(join(repository.path, 'lfs'), lfsOid(content)));
  const sent = (content: Buffer): number =>
    proxy.requests.filter(({ method, url }) => method !== 'GET' && url.includes(lfsOid(content))).length;
  rmSync(join(repository.path, 'lfs'), { recursive: true, force: true });
  const point = stage.path('mnt');
  await stage.succeed('mount', '/project', point);
  for (const [nth, content] of FILES.entries()) {
    await writeFile(join(point, `file${nth}.bin`), content);
  }
  proxy.inject({ kind: 'hang' }, { path: lfsOid(STUCK) });
  const pushing = stage.scorpio('lfs', 'push', '--mount', 'project').catch((error: Error) => error);
  await vi.waitFor(() => {
    for (const content of FILES) expect(sent(content)).toBeGreaterThan(0);
    for (const content of FILES) expect(isOnServer(content)).toBe(content !== STUCK);
  }, WAIT);
  await stage.end(stage.daemon()?.pid ?? 0, 'SIGKILL');
  await pushing;
  proxy.heal();
  proxy.reset();
  await stage.serve();
  await vi.waitFor(async () => expect(await shell('ls | wc -l', { cwd: point })).toBe('7'), WAIT);
  const pushed = await stage.succeed('lfs', 'push', '--mount', 'project');
  expect(pushed).toMatch(/^uploaded 1 large file, .*; 5 were on the server already\n$/u);
  expect(FILES.map(isOnServer)).toEqual(FILES.map(() => true));
  expect(FILES.filter((content) => sent(content) > 0)).toEqual([STUCK]);
  const { files } = JSON.parse(
    await stage.succeed('lfs', 'status', '--mount', 'project', '--json'),
  ) as Status;
  expect(files.map(({ change, uploaded }) => [change, uploaded])).toEqual(FILES.map(() => ['new', true]));
});
