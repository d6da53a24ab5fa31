// `mount` starts a daemon when there is none.
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { createSandbox, type Sandbox } from './run-scorpio.ts';

const STOP_TIMEOUT_MS = 15_000;

let sandbox: Sandbox;

async function readDaemonFile(): Promise<{ pid: number; address: string } | undefined> {
  const text = await readFile(join(sandbox.storePath, 'daemon.json'), 'utf8').catch(() => undefined);
  return text === undefined ? undefined : (JSON.parse(text) as { pid: number; address: string });
}

beforeEach(async () => {
  sandbox = await createSandbox();
  // No server: the mount fails, after the daemon has started.
  Object.assign(sandbox.env, { SCORPIO_BASE_URL: 'http://127.0.0.1:1', SCORPIO_HTTP_ADDR: '127.0.0.1:0' });
});

afterEach(async () => {
  const daemon = await readDaemonFile();
  if (daemon) {
    process.kill(daemon.pid, 'SIGTERM');
    const deadline = Date.now() + STOP_TIMEOUT_MS;
    while ((await readDaemonFile()) && Date.now() < deadline) await sleep(50);
  }
  await sandbox.remove();
});

it('which outlives the command, and is found by the next', async () => {
  const { code, stdout, stderr } = await sandbox.run('mount', '/a');
  const daemon = await readDaemonFile();
  expect({ code, stdout }).toEqual({ code: 3, stdout: '' });
  expect(stderr).toContain(
    `note: started a daemon (pid ${daemon?.pid}), which logs to ${sandbox.storePath}/daemon.log\nfailed to mount job a: `,
  );
  expect(await sandbox.run('list')).toEqual({ code: 0, stdout: 'no active jobs\n', stderr: '' });
  const again = await sandbox.run('mount', '/a');
  expect(again.stderr).toMatch(/^failed to mount job a: /u);
  expect((await readDaemonFile())?.pid).toBe(daemon?.pid);
});

it('once, however many ask at the same time', async () => {
  const runs = await Promise.all(['/a', '/b', '/c'].map((path) => sandbox.run('mount', path)));
  for (const { code, stderr } of runs) {
    expect(code).toBe(3);
    expect(stderr).toContain('failed to mount job ');
  }
  expect((await sandbox.run('list')).stdout).toBe('no active jobs\n');
  expect(runs.filter(({ stderr }) => stderr.includes('note: started a daemon'))).toHaveLength(1);
});

it('and tells why it cannot, with the code of the daemon', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  try {
    const { code, stderr } = await sandbox.run('mount', '/a', '--http-addr', address);
    expect(code).toBe(4);
    expect(stderr).toContain('cannot start the daemon: it ended at once');
    expect(stderr).toContain(`cannot listen on ${address}`);
    expect(stderr).toMatch(/scorpio serve\n$/u);
  } finally {
    server.close();
  }
});
