import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';
import { allow, defineAdapter } from '../../../src/adapters/contract.ts';
import { pluginPage } from '../../../src/cli/plugin-page.ts';
import { exampleLines, type JsonSchema } from '../../../src/cli/schema-example.ts';

const lines = (schema: z.ZodType): string[] => exampleLines(z.toJSONSchema(schema, { io: 'input' }) as JsonSchema);

describe('an example from a schema', () => {
  test('a required key is written, an optional one is commented out', () => {
    const config = z.strictObject({
      url: z
        .string()
        .describe('Where it is.')
        .meta({ examples: ['redis://127.0.0.1:6379'] }),
      prefix: z.string().default('sluice').describe('Before every key.'),
    });
    expect(lines(config)).toEqual([
      '# Where it is. (required)',
      'url: redis://127.0.0.1:6379',
      '# Before every key. (default sluice)',
      '# prefix: sluice',
    ]);
  });

  test('a secret shows $env and $file', () => {
    expect(
      lines(z.strictObject({ password: z.string().optional().describe('The password.').meta({ secret: true }) }))[0],
    ).toBe('# The password. (may be left out; secret: { $env: NAME } or { $file: PATH })');
  });

  test('nested objects, records, lists and choices make YAML that the schema accepts', () => {
    const config = z.strictObject({
      metrics: z
        .record(
          z.string(),
          z.strictObject({
            kind: z.enum(['counter', 'gauge']).describe('What it is.'),
            labels: z.array(z.string()).describe('Its labels.'),
          }),
        )
        .describe('By name.'),
      rows: z.array(z.strictObject({ a: z.int().describe('A number.') })).describe('Rows.'),
      either: z.union([z.null(), z.literal('x')]).describe('One of two.'),
    });
    const example: unknown = parse(lines(config).join('\n'));
    expect(config.safeParse(example).error).toBeUndefined();
    expect(example).toEqual({ metrics: { NAME: { kind: 'counter', labels: ['...'] } }, rows: [{ a: 1 }], either: 'x' });
  });
});

test('the page of an adapter is a policy to start from, with its inputs and outputs', () => {
  const adapter = defineAdapter({
    name: 'check-word',
    summary: 'Allows one word.',
    selfContained: true,
    config: z.strictObject({ word: z.string().describe('The word.') }),
    serves: {
      check: {
        params: z.strictObject({ not: z.boolean().describe('The other way round.') }),
        input: { value: 'string', hint: 'string?' },
        output: { length: 'int' },
      },
    },
    open: async () => ({ check: () => () => allow() }),
  });
  const page = pluginPage(adapter);
  expect(parse(page)).toEqual({
    handlers: { 'my-handler': { adapter: 'check-word', config: { word: '...' } } },
    rules: [
      {
        name: 'an-example-of-check',
        check: { handler: 'my-handler', params: { not: true }, input: { value: 'EXPRESSION', hint: 'EXPRESSION' } },
      },
    ],
  });
  expect(page).toContain('It needs nothing outside the process.');
  expect(page).toContain('out.length (int)');
  expect(page).toContain('string, may be left out');
});

test('where every key of an item is optional, the first is shown, so that the item is not null', () => {
  const config = z.strictObject({
    subjects: z
      .array(
        z.strictObject({
          user: z.string().optional().describe('Who.'),
          group: z.string().optional().describe('Of what.'),
        }),
      )
      .describe('Who has it.'),
  });
  expect(parse(lines(config).join('\n'))).toEqual({ subjects: [{ user: '...' }] });
});
