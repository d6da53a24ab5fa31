// Who is at the other end of a loopback connection, and that others are turned away.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo } from 'node:net';
import { fastify } from 'fastify';
import { afterEach, expect, test } from 'vitest';
import { connectionOwners, parseOwners, refuseOtherUsers } from '../../../src/http/peer-guard.ts';

const HEADER =
  '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode';
const line = (local: string, remote: string, uid: number): string =>
  `   0: ${local} ${remote} 01 00000000:00000000 00:00000000 00000000 ${String(uid).padStart(5)}        0 12345 1`;

const closers: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});

test('the client is found by both ports, and never taken for the server', () => {
  const table = [
    HEADER,
    line('0100007F:0AA5', '0100007F:D431', 0),
    line('0100007F:D431', '0100007F:0AA5', 1000),
    line('0100007F:D431', '0100007F:0BB6', 7),
  ].join('\n');
  expect(parseOwners(table, 0xd431, 0x0aa5)).toEqual([1000]);
});

test('all connections with the same ports are given, whatever their addresses', () => {
  const table = [
    HEADER,
    line('0100007F:D431', '0100007F:0AA5', 0),
    line('0200007F:D431', '0100007F:0AA5', 9),
  ];
  expect(parseOwners(table.join('\n'), 0xd431, 0x0aa5)).toEqual([0, 9]);
});

test('a real connection belongs to this user', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const socket = connect(port, '127.0.0.1');
  await once(socket, 'connect');
  expect(await connectionOwners(socket.localPort as number, port)).toEqual([process.getuid?.()]);
  socket.destroy();
  server.close();
});

test.runIf(process.getuid?.() === 0)('another user may read, and change nothing', async () => {
  const app = fastify();
  refuseOtherUsers(app);
  app.all('/', () => 'done');
  closers.push(() => app.close());
  const url = await app.listen({ host: '127.0.0.1', port: 0 });
  const statusOf = async (method: string, uid: number): Promise<number> => {
    const code = `fetch(${JSON.stringify(url)}, { method: ${JSON.stringify(method)} }).then((r) => console.log(r.status))`;
    const child = spawn(process.execPath, ['-e', code], {
      uid,
      cwd: '/',
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let text = '';
    child.stdout.on('data', (chunk) => (text += String(chunk)));
    await once(child, 'close');
    return Number(text);
  };
  expect(await statusOf('GET', 65534)).toBe(200);
  expect(await statusOf('POST', 65534)).toBe(403);
  expect(await statusOf('DELETE', 65534)).toBe(403);
  expect(await statusOf('POST', 0)).toBe(200);
});
