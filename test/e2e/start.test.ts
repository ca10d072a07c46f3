/** Modules that a start loads, by name: each takes time and memory before the first call is answered. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { SOURCE_COMMAND } from '../parts/command-path.ts';
import { ROOT, serving } from './command.ts';

const folder = mkdtempSync(join(tmpdir(), 'sluice-start-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Loaded into the process ahead of its program; writes the URL of each module that is loaded. */
const RECORDER = `
import { appendFileSync } from 'node:fs';
import { registerHooks } from 'node:module';
registerHooks({
  load(url, context, next) {
    appendFileSync(process.env.LOADED, url + '\\n');
    return next(url, context);
  },
});`;

let loaded: readonly string[];
beforeAll(async () => {
  const recorder = join(folder, 'recorder.mjs');
  const list = join(folder, 'loaded.txt');
  writeFileSync(recorder, RECORDER);
  const server = await serving(['examples/start'], {
    bin: SOURCE_COMMAND,
    env: { NODE_OPTIONS: `--import=${recorder}`, LOADED: list },
  });
  expect(await server.stop()).toBe(0);
  loaded = readFileSync(list, 'utf8').split('\n');
});

/** `@scope/name` or `name`, of modules below node_modules. */
const packages = (): Set<string> =>
  new Set(loaded.flatMap((url) => /.*\/node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(url)?.[1] ?? []));

test('the example loads these dependencies and no others', () => {
  const { dependencies, devDependencies } = createRequire(import.meta.url)(join(ROOT, 'package.json')) as Readonly<
    Record<'dependencies' | 'devDependencies', Readonly<Record<string, string>>>
  >;
  const direct = Object.keys({ ...dependencies, ...devDependencies }).filter((name) => packages().has(name));
  expect(direct.toSorted()).toEqual([
    '@bufbuild/protobuf',
    '@opentelemetry/api', // by @prometheus-io/client
    '@prometheus-io/client',
    'commander',
    'fastify',
    'lru-cache',
    'luxon',
    'pino',
    're2js',
    'yaml',
    'zod',
  ]);
});

test.each(['ajv', 'ajv-formats', '@fastify/ajv-compiler', '@fastify/fast-json-stringify-compiler', 'light-my-request'])(
  '%s, which only routes with schemas or tests need, is not loaded',
  (name) => expect(packages()).not.toContain(name),
);

test.each([
  'src/tracing/',
  'src/ratelimit/charge/',
  'src/ratelimit/config/',
  'src/ratelimit/metrics/',
  'src/ratelimit/serve/',
  'src/serve/ratelimit/',
  'src/importers/',
  'src/adapters/testing/',
  'src/cli/cases/',
  'src/cli/call/',
  'src/cli/eval/',
  'src/counting/redis/connection',
  'plugins/log-kafka/producer',
  'plugins/otlp/exporter',
  'plugins/otlp/wire',
  'plugins/metrics-otlp/pusher',
  'plugins/log-elasticsearch/bulk-writer',
])('%s, which the example does not use, is not loaded', (place) =>
  expect(loaded.filter((url) => url.includes(`/${place}`))).toEqual([]),
);
