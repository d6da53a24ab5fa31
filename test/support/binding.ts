// Which binding the mounted tests run on, and what they leave out there.
import { FUSE_NATIVE_LIMITS, type FuseNativeLimit } from '../../src/fuse/binding-limits.ts';

/** The binding under test: SCORPIO_TEST_BINDING, or the kernel's. */
export const testBinding: string = process.env['SCORPIO_TEST_BINDING'] ?? 'kernel';

if (testBinding !== 'kernel' && testBinding !== 'fuse-native') {
  throw new Error(`SCORPIO_TEST_BINDING=${testBinding} is no binding`);
}

/** Whether the binding under test has one of these limits: what they concern is left out then. */
export function lacks(...limits: readonly FuseNativeLimit[]): boolean {
  const stated = FUSE_NATIVE_LIMITS.map(({ name }) => name);
  const unknown = limits.filter((limit) => !stated.includes(limit));
  if (unknown.length > 0) throw new Error(`${unknown.join(', ')}: no limit that the program states`);
  return testBinding === 'fuse-native' && limits.length > 0;
}
