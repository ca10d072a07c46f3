import { existsSync, readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { loadBuiltIns } from '../../../src/adapters/loading/built-in.ts';
import { type Adapter, allow, defineAdapter } from '../../../src/adapters/contract.ts';
import { AdapterError } from '../../../src/adapters/errors.ts';
import { createRegistry } from '../../../src/adapters/registry.ts';

const PLUGINS = join(import.meta.dirname, '../../../plugins');

const good = defineAdapter({
  name: 'check-nothing',
  summary: 'Allows everything.',
  config: z.strictObject({ note: z.string().optional().describe('Not read.') }),
  serves: { check: { input: { value: 'string' } } },
  async open() {
    return { check: () => () => allow() };
  },
});
const like = (change: object): Adapter => ({ ...good, ...change }) as Adapter;

/** Codes and messages of errors when a registry is created. */
function problemsOf(...adapters: readonly Adapter[]): string[] {
  try {
    createRegistry(adapters);
    return [];
  } catch (error) {
    const errors: unknown[] = error instanceof AggregateError ? error.errors : [error];
    return errors.map((one) => (one instanceof AdapterError ? `${one.code} ${one.message}` : String(one)));
  }
}

describe('a registry', () => {
  test('gives adapters by name, and the names in order', () => {
    const registry = createRegistry([like({ name: 'b' }), good, like({ name: 'a' })]);
    expect(registry.names()).toEqual(['a', 'b', 'check-nothing']);
    expect(registry.get('check-nothing')).toBe(good);
    expect(registry.get('constructor')).toBeUndefined();
  });

  test('is a value: two are independent', () => {
    createRegistry([good]);
    expect(createRegistry([]).get('check-nothing')).toBeUndefined();
  });

  test.each<[string, object, RegExp]>([
    ['a name that is not kebab-case', { name: 'Check_Nothing' }, /^ADAPTER_BAD_NAME .*"Check_Nothing"/],
    ['no summary', { summary: ' ' }, /^ADAPTER_NO_SUMMARY/],
    ['nothing served', { serves: {} }, /^ADAPTER_BAD_SERVES .*serves is empty/],
    [
      'an unknown capability',
      { serves: { chekc: { input: {} } } },
      /^ADAPTER_BAD_SERVES .*"chekc"; expected enrich, check, quota, report/,
    ],
    [
      'a misspelt key of a capability',
      { serves: { check: { input: {}, outptu: { tier: 'string' } } } },
      /^ADAPTER_BAD_SERVES .*check has a key outptu, which the contract does not have; did you mean output\?/,
    ],
    [
      'a type that is no text',
      { serves: { check: { input: { user: 5 } } } },
      /^ADAPTER_BAD_SERVES .*user of type a number; expected string, int/,
    ],
    [
      'a default of no input',
      { serves: { check: { input: { user: 'string' }, defaults: { usr: 'source.principal' } } } },
      /^ADAPTER_BAD_SERVES .*the defaults of check have usr, which is no input; did you mean user\?/,
    ],
    [
      'an unknown type',
      { serves: { check: { input: { value: 'text' } } } },
      /^ADAPTER_BAD_SERVES .*the input of check has value of type "text"; expected string/,
    ],
    [
      'an unknown algorithm',
      { serves: { quota: { algorithms: ['leaky'] } } },
      /^ADAPTER_BAD_SERVES .*\["leaky"\]; expected some of fixed, gcra/,
    ],
    [
      'enrich without output',
      { serves: { enrich: { input: { a: 'string?' } } } },
      /^ADAPTER_BAD_SERVES .*the output of enrich is missing/,
    ],
    [
      'a field without description',
      { config: z.strictObject({ a: z.string() }) },
      /^ADAPTER_FIELD_UNDESCRIBED .*config: "a"/,
    ],
    [
      'a field below without description',
      { config: z.strictObject({ a: z.array(z.strictObject({ b: z.string() })).describe('A.') }) },
      /^ADAPTER_FIELD_UNDESCRIBED .*"a\[\]\.b"/,
    ],
    [
      'a field in a record without description',
      { config: z.strictObject({ a: z.record(z.string(), z.strictObject({ b: z.int() })).describe('A.') }) },
      /"a\.\*\.b"/,
    ],
    [
      'a param without description',
      { serves: { check: { params: z.strictObject({ p: z.boolean() }), input: {} } } },
      /^ADAPTER_FIELD_UNDESCRIBED .*params of check: "p"/,
    ],
    [
      'a config that takes any key',
      { config: z.object({ a: z.string().describe('A.') }) },
      /^ADAPTER_NOT_STRICT .*use z\.strictObject/,
    ],
    ['a config that is no schema', { config: { parse: () => ({}) } }, /^ADAPTER_NOT_STRICT .*not a zod 4 schema/],
  ])('refuses %s', (_, change, says) => {
    const problems = problemsOf(like(change));
    expect(problems).toHaveLength(1);
    expect(problems[0]).toMatch(says);
  });

  test('takes unions, defaults, transforms and secrets that are described', () => {
    const config = z.strictObject({
      a: z
        .union([z.string(), z.strictObject({ b: z.int().describe('B.') })])
        .default('x')
        .describe('A.'),
      secret: z.string().meta({ secret: true }).describe('S.'),
      kind: z
        .discriminatedUnion('type', [
          z.strictObject({ type: z.literal('one') }),
          z.strictObject({ type: z.literal('two') }),
        ])
        .describe('K.'),
      seconds: z.string().transform(Number).describe('T.'),
    });
    expect(problemsOf(like({ config }))).toEqual([]);
  });

  test('reports all problems of all adapters at once', () => {
    expect(problemsOf(like({ summary: '' }), like({ name: 'X' }), good).map((text) => text.split(' ')[0])).toEqual([
      'ADAPTER_NO_SUMMARY',
      'ADAPTER_BAD_NAME',
      'ADAPTER_NAME_TAKEN',
    ]);
  });
});

describe('the plugins that come with Sluice', () => {
  test('are all there, each named after its folder', async () => {
    const folders = readdirSync(PLUGINS, { withFileTypes: true }).filter(
      (entry) => entry.isDirectory() && existsSync(join(PLUGINS, entry.name, 'adapter.ts')),
    );
    const registry = await loadBuiltIns();
    expect(registry.names()).toEqual(folders.map(({ name }) => basename(name)).toSorted());
    expect(registry.names()).toEqual(
      expect.arrayContaining(['check-list', 'check-rbac', 'enrich-table', 'log-stdout', 'quota-memory']),
    );
  });

  test('know the module and the package that they come from', async () => {
    const registry = await loadBuiltIns();
    expect(registry.origin('check-list')).toMatchObject({
      module: pathToFileURL(join(PLUGINS, 'check-list/adapter.ts')).href,
      package: { name: 'sluice', version: expect.stringMatching(/^\d+\.\d+\.\d+$/) as string },
    });
    expect(registry.origin('check-nothing')).toBeUndefined();
  });

  test('share their errors with the host: one class, one module', async () => {
    const { Unavailable } = await import('sluice/plugin');
    const own = await import('../../../src/adapters/contract.ts');
    expect(Unavailable).toBe(own.Unavailable);
  });
});
