// The daemon's beginning and end, without mounts: locks, the announcement, the address, signals.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { existsSync } from 'node:fs';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Config } from '../../../src/config/config.ts';
import { AlreadyRunningError, BindError } from '../../../src/daemon/bind-error.ts';
import { takePlace, type DaemonInfo } from '../../../src/daemon/daemon-file.ts';
import { serve } from '../../../src/daemon/serve.ts';
import { watchStopSignals } from '../../../src/daemon/stop-signals.ts';
import { scorpioVersion } from '../../../src/util/version.ts';
import { createRecordingLogger } from '../mount/registry-fixture.ts';
import { makeTestFolder } from '../../support/test-folder.ts';

let folder: string;
let log: ReturnType<typeof createRecordingLogger>;
beforeEach(() => {
  folder = makeTestFolder();
  log = createRecordingLogger();
});
afterEach(() => rm(folder, { recursive: true, force: true }));

function config(fields: Partial<Config> = {}): Config {
  const at = (name: string): string => join(folder, name);
  return {
    baseUrl: 'http://127.0.0.1:1',
    lfsUrl: 'http://127.0.0.1:1/lfs',
    lfsToken: undefined,
    workspace: at('workspace'),
    storePath: at('store'),
    storeLimit: { bytes: 0 },
    storeKeepFree: { bytes: 0 },
    gitAuthor: 'A',
    gitEmail: 'a@b',
    configFile: at('config.toml'),
    logLevel: 'info',
    httpAddr: '127.0.0.1:0',
    upperRoot: at('upper'),
    clRoot: at('cl'),
    mountRoot: at('mnt'),
    stateFile: at('state.toml'),
    fetchTimeoutSecs: 2,
    connectTimeoutSecs: 1,
    fetchMaxRetries: 1,
    fetchConcurrency: 2,
    memoryBudget: 512 * 1024 * 1024,
    fuseBinding: 'kernel',
    prefetchPaths: [],
    prefetchIntervalSecs: 0,
    allowOther: undefined,
    openRequests: 'auto',
    lfs: {
      smudge: 'attributes',
      include: [],
      exclude: [],
      rangesAbove: 2 ** 30,
      concurrency: 8,
      lockable: 'refuse',
      locked: 'warn',
      locksRefreshSecs: 0,
    },
    ...fields,
  };
}

/** Sends a signal to the daemon's own handlers alone: the test runner has some, too. */
function signal(before: readonly unknown[], name: 'SIGHUP' | 'SIGTERM'): void {
  for (const listener of process.listeners(name)) {
    if (!before.includes(listener)) (listener as (name: string) => void)(name);
  }
}

/** Serves in this process until `stop` is called. */
async function start(settings: Config): Promise<{ address: string; stop: () => Promise<number> }> {
  const before = process.listeners('SIGHUP');
  let ready!: (address: string) => void;
  const readiness = new Promise<string>((resolve) => {
    ready = resolve;
  });
  const ended = serve(settings, { log, onReady: ready });
  const address = await Promise.race([
    readiness,
    ended.then((code) => Promise.reject(new Error(`ended: ${code}`))),
  ]);
  return {
    address,
    async stop() {
      signal(before, 'SIGHUP');
      return ended;
    },
  };
}

describe('serving', () => {
  it('announces itself, answers, and leaves nothing but the store when a signal ends it', async () => {
    const daemon = await start(config());
    const info = JSON.parse(await readFile(join(folder, 'store/daemon.json'), 'utf8')) as DaemonInfo;
    expect(info).toEqual({
      pid: process.pid,
      address: daemon.address,
      startedAt: expect.stringMatching(/^\d{4}-.*Z$/),
      version: scorpioVersion(),
    });
    const health = await fetch(`http://${daemon.address}/health`);
    expect(await health.json()).toMatchObject({
      status: 'ok',
      store_path: join(folder, 'store'),
      mount_count: 0,
    });
    expect(await daemon.stop()).toBe(0);
    expect(existsSync(join(folder, 'store/daemon.json'))).toBe(false);
    await expect(fetch(`http://${daemon.address}/health`)).rejects.toThrow();
    expect(log.lines.filter((line) => line.startsWith('error'))).toEqual([]);
  });

  it('tells a client that waits for a slow server that it stops, and keeps no trace of the request', async () => {
    const silent = createServer(() => undefined);
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    const { port } = silent.address() as AddressInfo;
    try {
      const daemon = await start(config({ baseUrl: `http://127.0.0.1:${port}`, fetchTimeoutSecs: 60 }));
      const request = fetch(`http://${daemon.address}/antares/mounts`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: '{"path":"/a","job_id":"j"}',
      });
      await expect
        .poll(async () => await (await fetch(`http://${daemon.address}/antares/mounts`)).json())
        .toMatchObject({ mounts: [{ state: 'Provisioning' }] });
      const started = Date.now();
      expect(await daemon.stop()).toBe(0);
      expect(Date.now() - started).toBeLessThan(5000);
      const answer = await request;
      expect([answer.status, await answer.json()]).toEqual([
        503,
        { error: 'server is shutting down', code: 'SHUTDOWN' },
      ]);
      expect(await readFile(join(folder, 'state.toml'), 'utf8')).toContain('mounts = []');
    } finally {
      silent.closeAllConnections();
      silent.close();
    }
  });

  it('starts, keeps trying, and stops although a mount of the last run cannot come back', async () => {
    await writeFile(
      join(folder, 'state.toml'),
      `[[mounts]]\njob_id = "j"\npath = "/"\nmountpoint = "${folder}/m"\nupper_dir = "${folder}/upper/u"\n`,
    );
    const daemon = await start(config());
    const answer = await fetch(`http://${daemon.address}/antares/mounts/by-job/j`);
    expect(await answer.json()).toMatchObject({
      state: { Failed: { reason: expect.stringContaining('127.0.0.1:1') } },
    });
    expect(await daemon.stop()).toBe(0);
    expect(await readFile(join(folder, 'state.toml'), 'utf8')).toContain('job_id = "j"');
  });

  it('refuses a store, and a state file, that another daemon has, and says which', async () => {
    const daemon = await start(config());
    try {
      await expect(serve(config(), { log })).rejects.toThrow(
        `another daemon (pid ${process.pid}, http://${daemon.address}) uses the store ${folder}/store already`,
      );
      const other = serve(config({ storePath: join(folder, 'store2') }), { log });
      await expect(other).rejects.toThrow(`uses the state file ${folder}/state.toml already`);
      await expect(other).rejects.toBeInstanceOf(AlreadyRunningError);
      expect(existsSync(join(folder, 'store/daemon.json'))).toBe(true);
    } finally {
      await daemon.stop();
    }
    // Failing has let go of everything.
    expect(await (await start(config({ storePath: join(folder, 'store2') }))).stop()).toBe(0);
  });

  it('rejects when the address is taken, and leaves the store free', async () => {
    const taken = createServer();
    await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
    const { port } = taken.address() as AddressInfo;
    const listeners = process.listenerCount('SIGTERM');
    await expect(serve(config({ httpAddr: `127.0.0.1:${port}` }), { log })).rejects.toThrow(
      `cannot listen on 127.0.0.1:${port}: another program listens there`,
    );
    await expect(serve(config({ httpAddr: 'nonsense' }), { log })).rejects.toBeInstanceOf(BindError);
    await new Promise((resolve) => taken.close(resolve));
    expect(process.listenerCount('SIGTERM')).toBe(listeners);
    expect(existsSync(join(folder, 'store/daemon.json'))).toBe(false);
    expect(await (await start(config())).stop()).toBe(0);
  });

  it('warns when other machines may reach it', async () => {
    await (await start(config({ httpAddr: '0.0.0.0:0' }))).stop();
    expect(log.lines.some((line) => line.startsWith('warn: the HTTP API has no password'))).toBe(true);
  });

  it('does not start over a state file that it must not overwrite', async () => {
    await mkdir(join(folder, 'store'));
    await writeFile(join(folder, 'state.toml'), 'schema = 99\n');
    await expect(serve(config(), { log })).rejects.toThrow('newer version');
    expect(await readFile(join(folder, 'state.toml'), 'utf8')).toBe('schema = 99\n');
  });
});

it('takes a place once, whatever a dead daemon left there', async () => {
  await mkdir(join(folder, 's'));
  await writeFile(join(folder, 's/daemon.json'), 'no json');
  await writeFile(join(folder, 's/daemon.lock'), '');
  const place = takePlace(join(folder, 's'), join(folder, 'state'));
  expect(() => takePlace(join(folder, 's'), join(folder, 'state'))).toThrow(/^another daemon uses the store/);
  await place.release();
  expect(existsSync(join(folder, 's/daemon.json'))).toBe(false);
  await takePlace(join(folder, 's'), join(folder, 'state')).release();
});

describe('reasons to stop', () => {
  it('are signals, the second of which insists', async () => {
    const before = process.listeners('SIGTERM');
    const watch = watchStopSignals(log);
    let forced = false;
    void watch.forced.then(() => {
      forced = true;
    });
    signal(before, 'SIGTERM');
    expect(await watch.stopped).toBe(0);
    expect(forced).toBe(false);
    signal(before, 'SIGTERM');
    await watch.forced;
    watch.dispose();
    expect(process.listeners('SIGTERM')).toEqual(before);
  });

  it.each(['uncaughtException', 'unhandledRejection'] as const)('are faults: %s', async (event) => {
    const watch = watchStopSignals(log);
    const listener = process.listeners(event as 'uncaughtException').at(-1) as (error: Error) => void;
    listener(new Error('oops'));
    expect(await watch.stopped).toBe(1);
    watch.dispose();
    expect(log.lines[0]).toBe('error: an unforeseen fault; stopping');
  });
});
