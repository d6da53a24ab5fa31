// A daemon with a store of its own, driven through the command line as a user would.
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { runCommand, Service } from './processes.mjs';

const launcher = join(import.meta.dirname, '..', '..', 'bin', 'scorpio.js');
const POLL_MS = 20;

/** Starts the embedded server over a repository; resolves with it and its URL. */
export async function startServer(repository) {
  const service = new Service('the server', process.execPath, [
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

  /**
   * Starts one and waits until it answers. `settings` are further keys of its configuration, as text. With `profile`, a
   * folder, a CPU profile is left there at its end.
   */
  static async start({ url, folder, profile, settings = {} }) {
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
        ...Object.entries(settings).map(([key, value]) => `${key} = "${value}"`),
        '',
      ].join('\n'),
    );
    const profiling = profile === undefined ? [] : ['--cpu-prof', '--cpu-prof-dir', profile];
    daemon.#config = config;
    const args = [...profiling, launcher, '--config-path', config, 'serve'];
    daemon.#service = new Service('the daemon', process.execPath, args);
    const ready = daemon.#service.until(async () => {
      while (!existsSync(announced)) await delay(POLL_MS);
    });
    await ready.catch(async (error) => {
      await daemon.stop();
      throw error;
    });
    return daemon;
  }

  /** Runs a command of the program; resolves with its milliseconds. */
  async run(...args) {
    const { ms } = await runCommand(process.execPath, [launcher, '--config-path', this.#config, ...args]);
    return ms;
  }

  /** Mounts a path of the repository with `scorpio mount`. */
  async mount(mountpoint, path = '/') {
    await this.run('mount', 'bench', mountpoint, '--path', path);
  }

  /** Resident memory in bytes. */
  get memory() {
    return this.#service.memory;
  }

  /** Unmounts what `mount` mounted: a later daemon of the same folder would bring it back. */
  async unmount() {
    await this.run('umount', 'bench');
  }

  /** Ends it, and with it its mounts. */
  async stop() {
    await this.#service.stop();
  }
}
