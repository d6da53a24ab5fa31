// What there is to say of the bindings on this machine, before anything is mounted.
import {
  currentEnvironment,
  decideBinding,
  fuseNativeProblem,
  kernelProblem,
  limitsOf,
  type BindingName,
  type BindingSetting,
} from '../fuse/choose-binding.ts';
import type { MountBinding } from './mount-host.ts';

/** The binding that would serve mounts. */
export interface BindingDescription extends MountBinding {
  readonly name: BindingName;
  /** Why that one. */
  readonly reason: string;
  /** Why it cannot run here; undefined where nothing speaks against it. */
  readonly problem: string | undefined;
  /** Why fuse-native, chosen or not, cannot run here; undefined where nothing speaks against it. */
  readonly fuseNative: string | undefined;
}

/** Describes what a setting comes to here. Never rejects. */
export async function describeBindings(setting: BindingSetting): Promise<BindingDescription> {
  const environment = currentEnvironment();
  const choice = await decideBinding(setting, environment);
  const fuseNative = await fuseNativeProblem(environment);
  const problem = choice.name === 'kernel' ? kernelProblem(environment) : fuseNative;
  return { ...choice, limits: limitsOf(choice.name), problem, fuseNative };
}
