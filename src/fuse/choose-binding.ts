// Which binding serves the mounts, and why.
import { existsSync } from 'node:fs';
import { release } from 'node:os';
import { delimiter, join } from 'node:path';
import { FUSE_NATIVE_LIMITS, type BindingLimit } from './binding-limits.ts';
import type { MountFilesystem } from './fuse-mount.ts';

/** A binding. */
export type BindingName = 'kernel' | 'fuse-native';

/** What the configuration says. */
export type BindingSetting = 'auto' | BindingName;

/** The binding that serves the mounts. */
export interface FuseBinding {
  readonly name: BindingName;
  /** Why this one, for people. */
  readonly reason: string;
  /** What it cannot do. */
  readonly limits: readonly BindingLimit[];
  readonly mountFilesystem: MountFilesystem;
}

/** What the choice depends on. */
export interface BindingEnvironment {
  readonly platform: string;
  /** Version of the kernel. */
  readonly release: string;
  readonly isRoot: boolean;
  readonly hasProgram: (name: string) => boolean;
}

/** The first Linux that speaks the protocol of the kernel binding. */
const OLDEST_LINUX = [3, 15] as const;

/** The environment of this process. */
export function currentEnvironment(): BindingEnvironment {
  const folders = (process.env['PATH'] ?? '').split(delimiter);
  return {
    platform: process.platform,
    release: release(),
    isRoot: process.geteuid?.() === 0,
    hasProgram: (name) => folders.some((folder) => folder !== '' && existsSync(join(folder, name))),
  };
}

/** Why the kernel binding cannot run here; undefined where nothing speaks against it. */
export function kernelProblem(environment: BindingEnvironment): string | undefined {
  if (environment.platform !== 'linux') return `it speaks to Linux only, and this is ${environment.platform}`;
  const [major = 0, minor = 0] = environment.release.split('.').map(Number);
  const [oldestMajor, oldestMinor] = OLDEST_LINUX;
  if (major < oldestMajor || (major === oldestMajor && minor < oldestMinor)) {
    return `it needs Linux ${OLDEST_LINUX.join('.')}, and this is ${environment.release}`;
  }
  if (!environment.isRoot && !environment.hasProgram('fusermount3')) {
    return 'an ordinary user needs the program fusermount3 for it (`apt-get install fuse3`)';
  }
  return undefined;
}

/** Why the binding over fuse-native cannot run here; undefined where nothing speaks against it. */
export async function fuseNativeProblem(environment: BindingEnvironment): Promise<string | undefined> {
  const { loadFuseNative } = await import('./native/package.ts');
  try {
    loadFuseNative();
  } catch (error) {
    return (error as Error).message;
  }
  if (environment.platform === 'linux' && !environment.isRoot && !environment.hasProgram('fusermount')) {
    return 'an ordinary user needs the program fusermount for it (`apt-get install fuse3`)';
  }
  return undefined;
}

/** Which binding a setting means here, and why; where `auto` finds that neither can run, it is the kernel's. */
export async function decideBinding(
  setting: BindingSetting,
  environment: BindingEnvironment = currentEnvironment(),
): Promise<{ name: BindingName; reason: string }> {
  if (setting !== 'auto')
    return { name: setting, reason: `the configuration says fuse_binding = "${setting}"` };
  const kernel = kernelProblem(environment);
  if (kernel === undefined) return { name: 'kernel', reason: 'it can run here' };
  const native = await fuseNativeProblem(environment);
  if (native === undefined)
    return { name: 'fuse-native', reason: `the kernel binding cannot run: ${kernel}` };
  return { name: 'kernel', reason: `neither can run: kernel: ${kernel}; fuse-native: ${native}` };
}

/** What a binding cannot do. */
export function limitsOf(name: BindingName): readonly BindingLimit[] {
  return name === 'kernel' ? [] : FUSE_NATIVE_LIMITS;
}

/**
 * The binding for a setting; what it needs is loaded now. Rejects with FuseNativeMissing, whose message tells what to do,
 * where fuse-native is asked for and does not load.
 */
export async function chooseBinding(setting: BindingSetting): Promise<FuseBinding> {
  const choice = await decideBinding(setting);
  if (choice.name === 'kernel') {
    const { mountKernel } = await import('./kernel/mount-kernel.ts');
    return { ...choice, limits: limitsOf('kernel'), mountFilesystem: mountKernel };
  }
  const [{ loadFuseNative }, { mountFuseNative }] = await Promise.all([
    import('./native/package.ts'),
    import('./native/mount-fuse-native.ts'),
  ]);
  loadFuseNative();
  return { ...choice, limits: limitsOf('fuse-native'), mountFilesystem: mountFuseNative };
}
