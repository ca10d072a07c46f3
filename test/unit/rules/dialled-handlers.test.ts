/** `run: { dial: ADDRESS }` of a handler, whose adapter is known here. */
import { expect, test } from 'vitest';
import { z } from 'zod';
import { allow, defineAdapter } from '../../../src/adapters/contract.ts';
import { createRegistry } from '../../../src/adapters/registry.ts';
import { loadPolicyText } from '../../../src/core/rules/load.ts';

const adapter = defineAdapter({
  name: 'check-pattern',
  summary: 'Allows what matches.',
  config: z.strictObject({
    pattern: z
      .string()
      .transform((text) => new RegExp(text))
      .describe('What is allowed.'),
    flags: z.array(z.string()).default(['i']).describe('Not used.'),
  }),
  serves: {
    check: {
      params: z.strictObject({ deep: z.boolean().default(true).describe('Not used.') }),
      input: ({ pattern }: { pattern: RegExp }) => ({ [pattern.source]: 'string' as const }),
    },
  },
  open: async () => ({ check: () => () => allow() }),
});
const adapters = createRegistry([adapter]);

async function loaded(run: string, config = '{ pattern: abc }') {
  const text = `handlers: { h: { adapter: check-pattern, config: ${config}, run: ${run} } }
rules: [{ name: r, check: { handler: h, input: { abc: request.path } } }]
`;
  const { policy, findings } = await loadPolicyText(new Map([['/etc/sluice/policy.yaml', text]]), {
    adapters,
    env: {},
  });
  return { handler: policy?.handlers.get('h'), said: findings.map(({ code, message }) => `${code} ${message}`) };
}

test('config and params cross as they are written, with defaults, while shapes get them parsed', async () => {
  const { handler, said } = await loaded('{ dial: "unix:/run/a.sock" }');
  expect(said).toEqual([]);
  expect(handler?.config).toEqual({ pattern: 'abc', flags: ['i'] });
  expect(handler?.run).toEqual({ kind: 'dial', target: { address: 'unix:/run/a.sock' } });
  const again = await loaded('{ dial: "unix:/run/a.sock" }');
  expect(again.handler?.implementation).toBe(handler?.implementation); // so that a reload keeps the handler
  expect(again.handler?.signature).toBe(handler?.signature);
  expect((await loaded('{ dial: "unix:/run/b.sock" }')).handler?.signature).not.toBe(handler?.signature);
});

test('paths are relative to the policy', async () => {
  const { handler } = await loaded(
    '{ dial: "unix:run/a.sock", tls: { ca: ca.pem, cert: /c.pem, key: ../k.pem, serverName: p.internal } }',
  );
  expect(handler?.run).toEqual({
    kind: 'dial',
    target: {
      address: 'unix:/etc/sluice/run/a.sock',
      tls: { ca: '/etc/sluice/ca.pem', cert: '/c.pem', key: '/etc/k.pem', serverName: 'p.internal' },
    },
  });
  expect((await loaded('{ dial: "[::1]:9000", tls: {} }')).handler?.run).toEqual({
    kind: 'dial',
    target: { address: '[::1]:9000', tls: {} },
  });
});

test.each([
  ['{ dial: nowhere }', /RULES_VALUE dial is "nowhere"; expected unix:PATH .* or HOST:PORT/],
  ['{ dial: "a:99999" }', /RULES_VALUE dial is "a:99999"/],
  ['{ tls: {} }', /RULES_MISSING_KEY run needs dial/],
  ['{ dial: "a:1", tls: { cert: c.pem } }', /RULES_VALUE a certificate needs its key/],
  ['{ dial: "a:1", tsl: {} }', /RULES_UNKNOWN_KEY .*tsl.*tls/],
  ['{ dail: "a:1" }', /RULES_UNKNOWN_KEY .*dail.*did you mean dial/],
])('run: %s is an error', async (run, says) => {
  expect((await loaded(run)).said.join('\n')).toMatch(says);
});

test('a config is checked by all that the schema says', async () => {
  expect((await loaded('{ dial: "a:1" }', '{ patern: abc }')).said.join('\n')).toMatch(
    /RULES_CONFIG config of check-pattern, patern: unknown key; did you mean pattern/,
  );
});
