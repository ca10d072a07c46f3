import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { configDefaults, defineConfig } from 'vitest/config';
import { LongestFirst } from './test/parts/longest-first.ts';
import { sharingFiles } from './test/parts/sharing.ts';

// Worker threads that tests start in their own process load the sources from it, as those of the command do.
process.env['NODE_COMPILE_CACHE'] ??= join(tmpdir(), 'node-compile-cache');

const ALL = ['test/**/*.test.ts', 'plugins/**/*.test.ts', 'src/**/*.test.ts', 'examples/**/*.test.ts'];
const SHARING = sharingFiles();

const own = (file: string): string => new URL(file, import.meta.url).pathname;

export default defineConfig({
  resolve: {
    alias: [
      { find: /^sluice\/plugin\/testing$/, replacement: own('./src/adapters/testing/index.ts') },
      { find: /^sluice\/counting$/, replacement: own('./src/counting/index.ts') },
      { find: /^sluice\/kubernetes$/, replacement: own('./src/kubernetes/index.ts') },
      { find: /^sluice\/plugin\/serve$/, replacement: own('./src/serve/plugins/serve.ts') },
      { find: /^sluice\/plugin$/, replacement: own('./src/adapters/index.ts') },
    ],
  },
  test: {
    globalSetup: ['test/parts/global-setup.ts'],
    testTimeout: 60_000,
    hookTimeout: 120_000,
    // One more than the cores of the smallest machine, since most long files wait for servers most of their time.
    maxWorkers: 3,
    sequence: { sequencer: LongestFirst },
    projects: [
      { extends: true, test: { name: 'alone', include: ALL, exclude: [...configDefaults.exclude, ...SHARING] } },
      { extends: true, test: { name: 'sharing', include: SHARING, isolate: false } },
    ],
  },
});
