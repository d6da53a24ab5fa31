// What `scorpio doctor` says of the servers.
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createSandbox, type Sandbox } from './run-scorpio.ts';

let sandbox: Sandbox;
let server: Server;

beforeEach(async () => {
  sandbox = await createSandbox();
});
afterEach(async () => {
  server.closeAllConnections();
  await new Promise((done) => server.close(done));
  await sandbox.remove();
});

async function serve(answer: RequestListener): Promise<string> {
  server = createServer((request, response) => {
    request.resume();
    request.on('end', () => answer(request, response));
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

test('an LFS server is found below the base URL, and credentials are not printed', async () => {
  const host = await serve((request, response) => {
    const isLfs = request.url === '/info/lfs/objects/batch';
    response.writeHead(isLfs ? 200 : 404, { 'content-type': 'application/vnd.git-lfs+json' });
    response.end(isLfs ? '{"objects":[]}' : '{}');
  });
  sandbox.env['SCORPIO_BASE_URL'] = `http://alice:hush@${host}`;
  const { stdout } = await sandbox.run('doctor');
  expect(stdout).toContain(`[ OK ] lfs server: http://${host}/info/lfs answers\n`);
  expect(stdout).toContain(`[ OK ] mega server: http://${host}/ reachable (HTTP 404)\n`);
  expect(stdout).not.toContain('hush');
});

test('one that is not there, or refuses, is a warning', async () => {
  const host = await serve((_request, response) => response.writeHead(403).end());
  sandbox.env['SCORPIO_BASE_URL'] = `http://${host}`;
  sandbox.env['SCORPIO_LFS_URL'] = `http://alice:hush@${host}/lfs`;
  const { stdout } = await sandbox.run('doctor');
  expect(stdout).toMatch(
    /^\[WARN\] lfs server: http:\/\/127\.0\.0\.1:\d+\/lfs: .+\(only needed for large files\)$/mu,
  );
  expect(stdout).not.toContain('hush');
});
