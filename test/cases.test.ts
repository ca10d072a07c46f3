/** Every case of test/cases and of examples with tokens, in process and over real gRPC: the specification by example. */
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { loadBuiltIns } from '../src/adapters/loading/built-in.ts';
import { findCases } from '../src/cli/cases/files.ts';
import { overGrpc } from '../src/cli/cases/grpc-driver.ts';
import { realAdapters } from '../src/cli/cases/real-adapters.ts';
import { runCase } from '../src/cli/cases/run.ts';

const registry = await loadBuiltIns();
const { cases, findings } = await findCases(
  [join(import.meta.dirname, 'cases'), join(import.meta.dirname, '../examples/jwt')],
  registry,
);
/** Its cases have the phase of entries, which the message of a case over gRPC cannot. */
const example = await findCases([join(import.meta.dirname, '../examples/otlp')], registry);
const options = { adapters: registry, open: realAdapters() };

test('the cases and their policies load', () => {
  expect([...findings, ...example.findings]).toEqual([]);
  expect(cases.length).toBeGreaterThan(60);
});

describe('in process', () => {
  for (const { case: one, policy, position } of [...cases, ...example.cases]) {
    test(`${one.name} (${position.file.split('/').at(-1)}:${position.line})`, async () => {
      expect(await runCase(one, policy, options)).toEqual([]);
    });
  }
});

describe('over gRPC', () => {
  for (const { case: one, policy, position } of cases) {
    test(`${one.name} (${position.file.split('/').at(-1)}:${position.line})`, async () => {
      expect(await runCase(one, policy, { ...options, drive: overGrpc })).toEqual([]);
    });
  }
});
