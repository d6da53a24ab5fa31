// Loading the package fuse-native.
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, expect, it } from 'vitest';
import {
  FUSE_NATIVE_VERSION,
  FuseNativeMissing,
  loadFuseNative,
} from '../../../../src/fuse/native/package.ts';
import { makeTestFolder } from '../../../support/test-folder.ts';

let folder: string;

beforeEach(() => {
  folder = makeTestFolder();
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

/** What loading fails with, seen from a file in the folder. */
function failure(): FuseNativeMissing {
  try {
    loadFuseNative(pathToFileURL(join(folder, 'program.js')).href);
  } catch (error) {
    return error as FuseNativeMissing;
  }
  throw new Error('it loaded');
}

/** Puts a package there that calls itself fuse-native. */
function plant(version: string): void {
  const home = join(folder, 'node_modules/fuse-native');
  mkdirSync(home, { recursive: true });
  writeFileSync(join(home, 'package.json'), JSON.stringify({ name: 'fuse-native', version }));
}

it('works where it is installed', () => {
  const addon = loadFuseNative();
  expect(addon.sizeof_fuse_thread_t).toBeGreaterThan(0);
  expect(Object.keys(addon)).toContain('fuse_native_mount');
});

it('is refused where the package is not there, with the way out', () => {
  const error = failure();
  expect(error).toBeInstanceOf(FuseNativeMissing);
  expect(error.message).toContain('Cannot find module');
  expect(error.message).toContain(`npm install fuse-native@${FUSE_NATIVE_VERSION}`);
  expect(error.message).toContain('fuse_binding = "kernel"');
});

it('is refused where what finds the binary is missing', () => {
  plant(FUSE_NATIVE_VERSION);
  expect(failure().message).toContain('node-gyp-build');
});

it('is refused where the version is another', () => {
  plant('2.3.0');
  expect(failure().message).toContain('version 2.3.0 is not');
});
