// Test projects: what runs where, and with which isolation.
import { defineConfig } from 'vitest/config';

const project = (name: string, options: Record<string, unknown> = {}) => ({
  extends: true as const,
  test: { name, include: [`test/${name}/**/*.test.ts`], ...options },
});

// Tests that mount are watched over, and none starts while another may still unmount. They share the kernel and the
// clock with whatever else runs on the machine: one that fails is run once more, and is reported with `retry x1`.
const mounting = { fileParallelism: false, globalSetup: ['test/support/global-setup.ts'], retry: 1 };

const config: ReturnType<typeof defineConfig> = defineConfig({
  cacheDir: process.env['SCORPIO_VITEST_CACHE'] ?? 'node_modules/.vite',
  test: {
    testTimeout: 60_000,
    hookTimeout: 60_000,
    teardownTimeout: 20_000,
    pool: 'forks',
    projects: [
      project('unit'),
      project('conformance'),
      project('mounted', mounting),
      project('model', { ...mounting, testTimeout: 300_000 }),
      project('e2e', { ...mounting, testTimeout: 300_000 }),
    ],
  },
});

export default config;
