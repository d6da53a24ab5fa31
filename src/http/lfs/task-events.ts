// A task as server-sent events: `progress` while it runs, then `end` or `error`.
import type { ServerResponse } from 'node:http';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { LfsTask, LfsTasks } from '../../mount/lfs/lfs-tasks.ts';
import { toTaskJson } from './lfs-json.ts';

/** A comment so often tells the client, and whatever is between, that the connection lives. */
const HEARTBEAT_MS = 5000;
/** Id of the last event: a client that saw it, and connects again as browsers do, is told to stop (204). */
const LAST_ID = 'end';

const nameOf = { running: 'progress', done: 'end', failed: 'error', cancelled: 'error' } as const;

/** Answers with the present state first, then each change. Who reads slowly gets fewer, newer numbers. */
export function answerTaskEvents(
  request: FastifyRequest,
  reply: FastifyReply,
  tasks: LfsTasks,
  id: string,
): FastifyReply {
  const task = tasks.get(id);
  if (task === undefined || (task.state !== 'running' && request.headers['last-event-id'] === LAST_ID)) {
    return reply.code(204).send();
  }
  reply.hijack();
  const { raw } = reply;
  raw.writeHead(200, {
    'content-type': 'text/event-stream',
    'cache-control': 'no-store',
    'x-accel-buffering': 'no',
  });
  send(raw, task, tasks, id);
  return reply;
}

function send(raw: ServerResponse, first: LfsTask, tasks: LfsTasks, id: string): void {
  let count = 0;
  const stop = (): void => {
    clearInterval(heartbeat);
    unwatch();
  };
  const show = (task: LfsTask): void => {
    const isLast = task.state !== 'running';
    if (raw.destroyed || (!isLast && raw.writableNeedDrain)) return;
    count++;
    const data = JSON.stringify(toTaskJson(task));
    raw.write(`event: ${nameOf[task.state]}\nid: ${isLast ? LAST_ID : count}\ndata: ${data}\n\n`);
    if (!isLast) return;
    stop();
    raw.end();
  };
  const heartbeat = setInterval(() => {
    if (!raw.writableNeedDrain) raw.write(': alive\n\n');
  }, HEARTBEAT_MS);
  const unwatch = tasks.watch(id, show);
  raw.once('close', stop);
  // Without an error listener a connection that breaks while it is written to would end the daemon.
  raw.on('error', stop);
  show(first);
}
