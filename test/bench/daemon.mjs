// A daemon with a store of its own, driven through the command line as a user would.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { setTimeout as delay } from 'node:timers/promises';
import { runCommand, Service } from './processes.mjs';

const launcher = join(import.meta.dirname, '..', '..', 'bin', 'scorpio.js');
const POLL_MS = 20;
const BYTES_PER_KB = 1024;

/** Starts the embedded server over a repository; resolves with it and its URL. */
export async function startServer(repository) {
  const service = new Service('the server', [
    launcher,
    'mega-server',
    '--repo',
    repository,
    '--http-addr',
    '127.0.0.1:0',
  ]);
  const url = /http:\S+/.exec(await service.firstLine())?.[0];
  return { url, stop: () => service.stop() };
}

/** A daemon. What it fetched stays in `folder`, for the next one that is given the same. */
export class Daemon {
  #service;
  #config;

  /** Starts one and waits until it answers. With `profile`, a folder, a CPU profile is left there at its end. */
  static async start({ url, folder, profile }) {
    const daemon = new Daemon();
    const config = join(folder, 'scorpio.toml');
    const announced = join(folder, 'store', 'daemon.json');
    mkdirSync(folder, { recursive: true });
    writeFileSync(
      config,
      [
        `base_url = "${url}"`,
        `store_path = "${folder}/store"`,
        `workspace = "${folder}/workspace"`,
        `config_file = "${folder}/config.toml"`,
        `antares_upper_root = "${folder}/upper"`,
        `antares_cl_root = "${folder}/cl"`,
        `antares_mount_root = "${folder}/mounts"`,
        `antares_state_file = "${folder}/state.toml"`,
        'http_addr = "127.0.0.1:0"',
        'log_level = "warn"',
        '',
      ].join('\n'),
    );
    const profiling = profile === undefined ? [] : ['--cpu-prof', '--cpu-prof-dir', profile];
    daemon.#config = config;
    daemon.#service = new Service('the daemon', [...profiling, launcher, '--config-path', config, 'serve']);
    await daemon.#service.until(async () => {
      while (!existsSync(announced)) await delay(POLL_MS);
    });
    return daemon;
  }

  /** Mounts a path of the repository with `scorpio mount`. */
  async mount(mountpoint, path = '/') {
    const target = ['mount', 'bench', mountpoint, '--path', path];
    await runCommand(process.execPath, [launcher, '--config-path', this.#config, ...target]);
  }

  /** Resident memory in bytes. */
  get memory() {
    const status = readFileSync(`/proc/${this.#service.pid}/status`, 'utf8');
    return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1]) * BYTES_PER_KB;
  }

  /** Unmounts what `mount` mounted: a later daemon of the same folder would bring it back. */
  async unmount() {
    await runCommand(process.execPath, [launcher, '--config-path', this.#config, 'umount', 'bench']);
  }

  /** Ends it, and with it its mounts. */
  async stop() {
    await this.#service.stop();
  }
}

/** Milliseconds from asking for a mount to the listing of its root. */
export async function timeToFirstListing(daemon, mountpoint) {
  const began = performance.now();
  await daemon.mount(mountpoint);
  const mounted = performance.now();
  await runCommand('ls', [mountpoint], { output: false });
  return { total: performance.now() - began, listing: performance.now() - mounted };
}
