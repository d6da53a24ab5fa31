// Which binding serves the mounts.
import { describe, expect, it } from 'vitest';
import {
  chooseBinding,
  decideBinding,
  kernelProblem,
  limitsOf,
  type BindingEnvironment,
} from '../../../src/fuse/choose-binding.ts';

const linux: BindingEnvironment = {
  platform: 'linux',
  release: '6.1.0-40-amd64',
  isRoot: true,
  hasProgram: () => true,
};

describe('the kernel binding', () => {
  it('runs for root, and for a user who has fusermount3', () => {
    expect(kernelProblem({ ...linux, hasProgram: () => false })).toBeUndefined();
    expect(kernelProblem({ ...linux, isRoot: false })).toBeUndefined();
  });

  it.each([
    [{ platform: 'darwin' }, 'darwin'],
    [{ release: '3.14.9' }, 'Linux 3.15'],
    [{ isRoot: false, hasProgram: (name: string) => name === 'fusermount' }, 'apt-get install fuse3'],
  ])('says why it cannot run in %o', (fields, reason) => {
    expect(kernelProblem({ ...linux, ...fields })).toContain(reason);
  });
});

describe('the choice', () => {
  it('is the kernel binding where it can run', async () => {
    expect(await decideBinding('auto', linux)).toEqual({ name: 'kernel', reason: 'it can run here' });
  });

  it('is fuse-native where only that can run, and says why', async () => {
    const onlyOld = { ...linux, isRoot: false, hasProgram: (name: string) => name === 'fusermount' };
    const { name, reason } = await decideBinding('auto', onlyOld);
    expect(name).toBe('fuse-native');
    expect(reason).toContain('fusermount3');
  });

  it('is the kernel binding, with both reasons, where neither can run', async () => {
    const none = { ...linux, isRoot: false, hasProgram: () => false };
    const { name, reason } = await decideBinding('auto', none);
    expect(name).toBe('kernel');
    expect(reason).toMatch(/fusermount3.*fusermount /);
  });

  it('is what the configuration says, wherever', async () => {
    for (const setting of ['kernel', 'fuse-native'] as const) {
      const choice = await decideBinding(setting, { ...linux, platform: 'darwin' });
      expect(choice.name).toBe(setting);
      expect(choice.reason).toContain(`fuse_binding = "${setting}"`);
    }
  });

  it('comes with the way to mount and with the limits', async () => {
    const kernel = await chooseBinding('auto');
    expect([kernel.name, kernel.limits, kernel.mountFilesystem.name]).toEqual(['kernel', [], 'mountKernel']);
    const native = await chooseBinding('fuse-native');
    expect([native.limits, native.mountFilesystem.name]).toEqual([
      limitsOf('fuse-native'),
      'mountFuseNative',
    ]);
  });
});
