// `scorpio mega-server` over a real repository.
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { request } from 'undici';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { createSandbox, type Sandbox } from './run-scorpio.ts';

let sandbox: Sandbox;

beforeEach(async () => {
  sandbox = await createSandbox();
  const identity = ['-c', 'user.name=t', '-c', 'user.email=t@t'];
  execFileSync('git', ['init', '-q', '-b', 'main', 'repo'], { cwd: sandbox.folder });
  execFileSync('git', [...identity, 'commit', '-q', '--allow-empty', '-m', 'first'], {
    cwd: join(sandbox.folder, 'repo'),
  });
});

afterEach(async () => {
  await sandbox.remove();
});

it.each(['SIGTERM', 'SIGINT'] as const)('serves until %s', async (signal) => {
  const child = sandbox.start('mega-server', '--repo', 'repo', '--http-addr', '127.0.0.1:0');
  const ended = once(child, 'exit');
  try {
    const [line] = (await once(child.stdout ?? child, 'data')) as [Buffer];
    const match = /^serving (.*) at (http:\/\/127\.0\.0\.1:\d+)\n$/u.exec(line.toString());
    expect(match?.[1]).toBe(join(sandbox.folder, 'repo'));
    const { statusCode, body } = await request(`${match?.[2]}/api/v1/status`, { reset: true });
    await body.dump();
    expect(statusCode).toBe(200);
  } finally {
    child.kill(signal);
  }
  expect(await ended).toEqual([0, null]);
});

it('says what is wrong with a repository, with 2', async () => {
  const { code, stderr } = await sandbox.run('mega-server', '--repo', 'none', '--http-addr', '127.0.0.1:0');
  expect(code).toBe(2);
  expect(stderr).toContain(join(sandbox.folder, 'none'));
  expect(stderr).not.toMatch(/^\s+at /mu);
  const branch = await sandbox.run(
    'mega-server',
    '--repo',
    'repo',
    '--branch',
    'gone',
    '--http-addr',
    '127.0.0.1:0',
  );
  expect(branch.code).toBe(2);
  expect(branch.stderr).toContain('gone');
});

it('ends with 4 when its address is taken', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  try {
    const { code, stderr } = await sandbox.run(
      'mega-server',
      '--repo',
      'repo',
      '--http-addr',
      `127.0.0.1:${port}`,
    );
    expect(code).toBe(4);
    expect(stderr).toContain(`127.0.0.1:${port}`);
  } finally {
    server.close();
  }
});
