/** Errors show lines of a policy: none of them has a secret under a misspelt key. */
import { expect, test } from 'vitest';
import { z } from 'zod';
import { allow, defineAdapter } from '../../../src/adapters/contract.ts';
import { createRegistry } from '../../../src/adapters/registry.ts';
import { loadPolicyText } from '../../../src/core/rules/load.ts';
import { findingText } from '../../../src/yaml/findings.ts';

const secret = z.string().optional().describe('A secret.').meta({ secret: true });
const group = z.strictObject({
  pin: secret,
  get groups(): z.ZodType {
    return z.array(group).optional().describe('Groups within.');
  },
});
const ADAPTERS = [
  defineAdapter({
    name: 'check-secret',
    summary: 'Has secrets.',
    config: z.strictObject({
      signer: secret,
      mode: z.enum(['one', 'two']).optional().describe('A mode.'),
      users: z
        .array(z.strictObject({ pin: secret, name: z.string().optional().describe('Name.') }))
        .optional()
        .describe('Users.'),
      either: z
        .union([z.string(), z.strictObject({ pin: secret })])
        .optional()
        .describe('Either.'),
      group: group.optional().describe('A group.'),
    }),
    serves: { check: { params: z.strictObject({ pin: secret }), input: { value: 'string' } } },
    open: async () => ({ check: () => () => allow() }),
  }),
  defineAdapter({
    name: 'check-list',
    summary: 'Has secrets in a list alone.',
    config: z.strictObject({
      users: z
        .array(z.strictObject({ pin: secret }))
        .optional()
        .describe('Users.'),
    }),
    serves: { check: { input: { value: 'string' } } },
    open: async () => ({ check: () => () => allow() }),
  }),
  defineAdapter({
    name: 'check-plain',
    summary: 'Has none.',
    config: z.strictObject({ mode: z.string().optional().describe('A mode.') }),
    serves: { check: { input: { value: 'string' } } },
    open: async () => ({ check: () => () => allow() }),
  }),
];

async function errors(text: string): Promise<string> {
  const { findings } = await loadPolicyText(new Map([['p.yaml', text]]), { adapters: createRegistry(ADAPTERS) });
  expect(findings.length).toBeGreaterThan(0);
  return findings.map(findingText).join('\n');
}
const policy = (adapter: string, config: string, params = '{}'): string => `handlers:
  h:
    adapter: ${adapter}
    config: ${config}
rules:
  - { name: r, check: { handler: h, params: ${params}, input: { value: '"a"' } } }
`;

test.each([
  ['a misspelt key', policy('check-secret', '{ singer: hunter2 }')],
  ['a key that nothing is like', policy('check-secret', '{ mode: three, other: "hunter2" }')],
  ['a short secret', policy('check-secret', '{ singer: h2 }').replace('h2', 'hunter2'.slice(0, 7))],
  ['in a list', policy('check-secret', '{ users: [{ pni: hunter2, name: ann }] }')],
  ['in a list, where no other is', policy('check-list', '{ users: [{ pni: hunter2 }] }')],
  ['in a map under an unknown key', policy('check-secret', '{ other: { any: hunter2 } }')],
  ['in a union', policy('check-secret', '{ either: { pinn: hunter2 } }')],
  ['in a schema that has itself', policy('check-secret', '{ group: { groups: [{ pni: hunter2 }] } }')],
  ['on lines of their own', policy('check-secret', '\n      mode: three\n      singer:\n        - hunter2')],
  ['as a block', policy('check-secret', '\n      singer: |\n        hunter2\n      mode: three')],
  ['in params', policy('check-secret', '{}', '{ pinn: hunter2 }')],
  ['where no schema has a secret', policy('check-plain', '{ pasword: hunter2 }')],
  ['of an unknown adapter', policy('check-none', '{ pasword: hunter2, tokn: hunter2 }')],
  ['in a line that is no YAML', policy('check-plain', '{ pasword: hunter2, "x }')],
])('%s', async (_, text) => {
  expect(await errors(text)).not.toContain('hunter2');
});

test('what a schema knows is shown, with the carets under it', async () => {
  const shown = await errors(policy('check-secret', '{ mode: three, singer: hunter2 }'));
  expect(shown).toContain('    config: { mode: three, singer: ******* }');
  expect(shown).toContain('did you mean signer?');
  expect(await errors(policy('check-plain', '{ mdoe: three }'))).toContain('{ mdoe: three }');
});
