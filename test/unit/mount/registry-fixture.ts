// A registry over the fake host, in a temporary folder.
import { makeTestFolder } from '../../support/test-folder.ts';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { MountRegistry, type RegistryOptions } from '../../../src/mount/registry.ts';
import type { Logger } from '../../../src/util/logger.ts';
import { FakeMountHost } from './fake-mount-host.ts';

/** Collects what is logged, by level. */
export function createRecordingLogger(): Logger & { readonly lines: string[] } {
  const lines: string[] = [];
  const at =
    (level: string) =>
    (message: string): void => {
      lines.push(`${level}: ${message}`);
    };
  return {
    lines,
    error: at('error'),
    warn: at('warn'),
    info: at('info'),
    debug: at('debug'),
    trace: at('trace'),
  };
}

/** A temporary folder with registries in it; each call of `load` is a restart of the daemon. */
export interface RegistryFixture {
  readonly folder: string;
  readonly stateFile: string;
  readonly log: ReturnType<typeof createRecordingLogger>;
  load(
    host?: FakeMountHost,
    options?: Partial<RegistryOptions>,
  ): Promise<{ registry: MountRegistry; host: FakeMountHost }>;
  remove(): Promise<void>;
}

/** Makes the folder. */
export function createRegistryFixture(): RegistryFixture {
  const folder = makeTestFolder();
  const stateFile = join(folder, 'state.toml');
  const log = createRecordingLogger();
  const loaded: MountRegistry[] = [];
  return {
    folder,
    stateFile,
    log,
    async load(host = new FakeMountHost(), options = {}) {
      const registry = await MountRegistry.load({
        host,
        stateFile,
        upperRoot: join(folder, 'upper'),
        mountRoot: join(folder, 'mnt'),
        allowOther: false,
        uid: 1000,
        gid: 1001,
        mayChooseOwner: true,
        log,
        ...options,
      });
      loaded.push(registry);
      return { registry, host };
    },
    async remove() {
      await Promise.all(loaded.map((registry) => registry.stop()));
      await rm(folder, { recursive: true, force: true });
    },
  };
}
