// Tasks over real HTTP: how they are looked at, listened to and cancelled.
import { once } from 'node:events';
import { get, request, type IncomingMessage, type ServerResponse } from 'node:http';
import { connect, type AddressInfo } from 'node:net';
import { setImmediate } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { LfsTask } from '../../../../src/mount/lfs/lfs-tasks.ts';
import { MountError } from '../../../../src/mount/mount-error.ts';
import { holdRun, lfsReport } from '../../../support/fake-mount-lfs.ts';
import { createHttpFixture, type HttpFixture } from '../http-fixture.ts';

let http: HttpFixture;
let port: number;
let mount: string;

beforeEach(async () => {
  http = await createHttpFixture();
  const { json } = await http.ask('POST', '/antares/mounts', { path: '/a' });
  mount = `/antares/mounts/${(json as { mount_id: string }).mount_id}/lfs`;
  await http.app.listen({ host: '127.0.0.1', port: 0 });
  port = (http.app.server.address() as AddressInfo).port;
});
afterEach(() => http.close());

interface Event {
  readonly event: string;
  readonly id: string;
  readonly data: { readonly state: string; readonly progress: Record<string, unknown> };
}

async function begin(): Promise<string> {
  const { json } = await http.ask('POST', `${mount}/fetch`);
  return `/antares/lfs/tasks/${(json as { task_id: string }).task_id}`;
}

async function listen(task: string, headers: Record<string, string> = {}): Promise<IncomingMessage> {
  const client = get({ host: '127.0.0.1', port, path: `${task}/events`, agent: false, headers });
  const [answer] = (await once(client, 'response')) as [IncomingMessage];
  return answer.setEncoding('utf8');
}

function parse(text: string): Event[] {
  return text
    .split('\n\n')
    .filter((block) => block.startsWith('event:'))
    .map((block) => {
      const field = (name: string): string => new RegExp(`^${name}: (.*)$`, 'mu').exec(block)?.[1] ?? '';
      return { event: field('event'), id: field('id'), data: JSON.parse(field('data')) as Event['data'] };
    });
}

/** Events until there are so many, or the answer ends. */
async function read(answer: IncomingMessage, count = Infinity): Promise<Event[]> {
  let text = '';
  for await (const chunk of answer.iterator({ destroyOnReturn: false }) as AsyncIterable<string>) {
    text += chunk;
    if (parse(text).length >= count) break;
  }
  return parse(text);
}

test('the present state comes first, then what changes, then the end', async () => {
  const held = holdRun();
  http.lfs.run = held.run;
  const task = await begin();
  held.progress({ files: 3, isCounting: true });
  const answer = await listen(task);
  expect(answer.headers).toMatchObject({ 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
  const [first] = await read(answer, 1);
  expect(first).toMatchObject({
    event: 'progress',
    id: '1',
    data: { progress: { counting: true, files: 3 } },
  });
  held.progress({ files: 4, filesDone: 2 });
  expect(await read(answer, 1)).toMatchObject([{ event: 'progress', data: { progress: { files_done: 2 } } }]);
  held.finish(lfsReport({ files: 4, filesDone: 4, failures: [], freedBytes: 12, warnings: ['a lock'] }));
  expect(await read(answer)).toMatchObject([
    {
      event: 'end',
      id: 'end',
      data: { state: 'done', report: { files_done: 4, freed_bytes: 12, warnings: ['a lock'] } },
    },
  ]);
});

test('a task that has ended tells its end at once, and not to one who heard it', async () => {
  const task = await begin();
  const [last] = await read(await listen(task));
  expect(last).toMatchObject({ event: 'end', data: { progress: { files: 2, files_present: 1 } } });
  expect(await read(await listen(task))).toEqual([last]);
  const again = await listen(task, { 'last-event-id': 'end' });
  expect(again.statusCode).toBe(204);
  again.resume();
  expect((await http.ask('GET', task)).json).toEqual({ ...last?.data, paths: [] });
  expect((await http.ask('GET', '/antares/lfs/tasks')).json).toEqual({ tasks: [last?.data] });
});

test('a failure is an error event with its code', async () => {
  http.lfs.run = async () => {
    throw new MountError('upstream', 'the server is gone');
  };
  expect(await read(await listen(await begin()))).toMatchObject([
    {
      event: 'error',
      data: { state: 'failed', error: { error: 'the server is gone', code: 'LFS_SERVER_ERROR' } },
    },
  ]);
});

test('who listens may go, and the task goes on', async () => {
  const held = holdRun();
  http.lfs.run = held.run;
  const task = await begin();
  const answer = await listen(task);
  await read(answer, 1);
  answer.destroy();
  held.progress({ files: 1 });
  expect(held.signal()?.aborted).toBe(false);
  held.finish(lfsReport({ files: 1, filesDone: 1 }));
  expect(await read(await listen(task))).toMatchObject([{ event: 'end' }]);
});

test('cancelling ends the run, and all who listen hear it', async () => {
  const held = holdRun();
  http.lfs.run = held.run;
  const task = await begin();
  const answers = await Promise.all([listen(task), listen(task)]);
  const { json } = await http.ask('DELETE', task);
  expect(json).toMatchObject({ state: 'cancelled', error: { error: 'it was cancelled', code: 'CANCELLED' } });
  expect(held.signal()?.aborted).toBe(true);
  for (const answer of answers) {
    expect((await read(answer)).at(-1)).toMatchObject({ event: 'error', data: { state: 'cancelled' } });
  }
  expect((await http.ask('DELETE', task)).json).toEqual(json);
});

test('one who does not read costs no memory, and still gets the end', async () => {
  const held = holdRun();
  http.lfs.run = held.run;
  const task = await begin();
  let listener: (task: LfsTask) => void = () => undefined;
  // The tasks themselves tell ten times a second; here it is as often as it can be.
  http.tasks.watch = (_id, tell) => {
    listener = tell;
    return () => undefined;
  };
  const arrived = once(http.app.server, 'request') as Promise<[IncomingMessage, ServerResponse]>;
  const slow = connect(port, '127.0.0.1');
  slow.pause();
  slow.write(`GET ${task}/events HTTP/1.1\r\nhost: localhost\r\n\r\n`);
  const [, response] = await arrived;
  const running = http.tasks.list()[0] as LfsTask;
  const told = 100_000;
  for (let n = 0; n < told; n++) {
    listener({ ...running, progress: lfsReport({ files: n }) });
    if (n % 1000 === 0) await setImmediate();
  }
  expect(response.writableLength).toBeLessThan(1_000_000);
  listener({ ...running, state: 'done', report: lfsReport() });
  let text = '';
  for await (const chunk of slow.setEncoding('utf8') as AsyncIterable<string>) {
    text += chunk;
    if (text.includes('event: end')) break;
  }
  expect(text.match(/^event: progress$/gmu)?.length).toBeLessThan(told);
  held.finish();
});

test('an unknown task is not found, and what is no id is refused', async () => {
  const unknown = '/antares/lfs/tasks/00000000-0000-0000-0000-000000000000';
  for (const route of [unknown, `${unknown}/events`]) {
    expect(await http.ask('GET', route)).toMatchObject({ status: 404, json: { code: 'NOT_FOUND' } });
  }
  expect((await http.ask('DELETE', unknown)).status).toBe(404);
  expect((await http.ask('GET', '/antares/lfs/tasks/x')).status).toBe(400);
});

test('a daemon that stops ends the streams', async () => {
  const held = holdRun();
  http.lfs.run = held.run;
  const answer = await listen(await begin());
  await http.tasks.close();
  expect((await read(answer)).at(-1)).toMatchObject({ event: 'error', data: { state: 'cancelled' } });
  const refused = request({ host: '127.0.0.1', port, path: `${mount}/fetch`, method: 'POST', agent: false });
  refused.end();
  const [late] = (await once(refused, 'response')) as [IncomingMessage];
  expect(late.statusCode).toBe(500);
  late.resume();
});
