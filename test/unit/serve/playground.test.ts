import { expect, test } from 'vitest';
import { z } from 'zod';
import { allow, defineAdapter } from '../../../src/adapters/contract.ts';
import { loadBuiltIns } from '../../../src/adapters/loading/built-in.ts';
import { createRegistry } from '../../../src/adapters/registry.ts';
import type { Played } from '../../../src/admin/sources.ts';
import { loadPolicyText } from '../../../src/core/rules/load.ts';
import { play } from '../../../src/serve/policy/playground.ts';
import { playgroundStart } from '../../../src/serve/policy/playground-start.ts';
import type { RecordedCall } from '../../../src/traffic/format.ts';

const POLICY = `handlers: { door: { adapter: check-http, config: { url: "http://127.0.0.1:1/" } } }
rules:
  - name: door
    check: { handler: door }
`;
const RECORD: RecordedCall = {
  id: 'v-1',
  timeMs: 0,
  call: 'http',
  tookMs: 1,
  verdict: undefined,
  requests: [
    {
      attributes: {},
      carried: {},
      filled: {},
      answers: { door: { handler: 'door', says: 'deny', code: 7, reason: 'not on the list' } },
    },
  ],
};

const registry = await loadBuiltIns();
const played = (policy: string, id: string | undefined): Promise<Played> =>
  play(
    { policy, id, asked: { call: 'http', requests: [{ 'request.method': 'GET', 'request.path': '/' }], carried: {} } },
    {
      registry,
      inForce: () => undefined,
      texts: () => undefined,
      recorded: async (of) => (of === 'v-1' ? RECORD : undefined),
    },
  );

test('a handler with a backend is never opened: it answers as it did in the kept call, or counts as unavailable', async () => {
  const kept = await played(POLICY, 'v-1');
  expect(kept).toMatchObject({
    explanation: {
      verdict: { outcome: 'deny', rule: 'door', reasons: [{ text: 'door refused: not on the list' }] },
      answers: [{ rule: 'door', says: 'deny' }],
    },
  });
  expect(await played(POLICY, undefined)).toMatchObject({
    explanation: { verdict: { outcome: 'failed', rule: 'door' } },
  });
  expect(await played(POLICY, 'unknown')).toMatchObject({ explanation: { verdict: { outcome: 'failed' } } });
});

test('an error of the policy is a finding, and one of the call a sentence', async () => {
  expect(await played('rules: []', undefined)).toMatchObject({
    explanation: undefined,
    findings: [{ code: 'RULES_NO_RULES' }],
  });
  const wrong = await play(
    { policy: POLICY, id: undefined, asked: { call: 'http', requests: [{ 'request.pth': '/' }], carried: {} } },
    { registry, inForce: () => undefined, texts: () => undefined, recorded: async () => undefined },
  );
  expect(wrong).toEqual({ wrong: expect.stringContaining('request.pth') as unknown });
});

test('rules of a text use the handlers in force, unless the text has one of the same name', async () => {
  const { policy: inForce } = await loadPolicyText(new Map([['policy.yaml', POLICY]]), { adapters: registry });
  const options = { registry, inForce: () => inForce, texts: () => undefined, recorded: async () => RECORD };
  const asked = { call: 'http', requests: [{ 'request.method': 'GET', 'request.path': '/' }], carried: {} } as const;
  const rules = 'rules: [{ name: door, check: { handler: door } }]';
  expect(await play({ policy: rules, id: 'v-1', asked }, options)).toMatchObject({
    explanation: { verdict: { outcome: 'deny', rule: 'door' } },
    findings: [],
  });
  const list = 'handlers: { door: { adapter: check-list, config: { values: [GET] } } }\n';
  const check = 'rules: [{ name: door, check: { handler: door, input: { value: request.method } } }]';
  expect(await play({ policy: `${list}${check}`, id: undefined, asked }, options)).toMatchObject({
    explanation: { verdict: { outcome: 'allow' } },
    findings: [],
  });
  expect(
    await play({ policy: check.replace('handler: door', 'handler: dor'), id: undefined, asked }, options),
  ).toMatchObject({
    explanation: undefined,
    findings: [{ code: 'RULES_UNKNOWN_HANDLER', message: expect.stringContaining('door') as unknown }],
  });
});

test('a text of the policy has no secret of the params of a rule', async () => {
  const keyed = defineAdapter({
    name: 'check-keyed',
    summary: 'For this test.',
    config: z.strictObject({}),
    serves: {
      check: { params: z.strictObject({ key: z.string().describe('A key.').meta({ secret: true }) }), input: {} },
    },
    open: async () => ({ check: () => () => allow() }),
  });
  const text = `handlers: { h: { adapter: check-keyed, config: {} } }
rules: [{ name: a, check: { handler: h, params: { key: key-of-a-rule } } }]`;
  const adapters = createRegistry([keyed]);
  const { policy: inForce, findings } = await loadPolicyText(new Map([['policy.yaml', text]]), { adapters });
  expect(findings).toEqual([]);
  const files = {
    files: [{ file: 'policy.yaml', name: 'policy.yaml', text }],
    found: new Set<string>(),
    watched: [],
    findings: [],
  };
  const { policy } = await playgroundStart(undefined, {
    inForce: () => inForce,
    texts: () => ({ files, named: new Map(), plugins: [], isLenient: false }),
    recorded: async () => undefined,
  });
  expect(policy).toBe('# policy.yaml\nrules: [{ name: a, check: { handler: h, params: { key: (secret) } } }]\n');
});

test('a kept call becomes a request without what cannot be read, and names what is hidden', async () => {
  const text = 'rules: [{ name: a, match: "\\"x-role\\" in request.headers", deny: {} }]';
  const { policy: inForce } = await loadPolicyText(new Map([['policy.yaml', text]]), { adapters: registry });
  const attributes = {
    'request.method': 'GET',
    'request.path': '/a?token=(secret)',
    'request.headers': { ':path': '/a', authorization: '(secret)', 'x-role': 'guest' },
    'source.ip': '(masked)',
    'source.port': 4711,
  };
  const record: RecordedCall = {
    ...RECORD,
    requests: [{ attributes, carried: { contextExtension: { tenant: 'a' } }, filled: {}, answers: {} }],
  };
  const files = {
    files: [{ file: 'policy.yaml', name: 'policy.yaml', text }],
    found: new Set<string>(),
    watched: [],
    findings: [],
  };
  const { policy, request } = await playgroundStart('v-1', {
    inForce: () => inForce,
    texts: () => ({ files, named: new Map(), plugins: [], isLenient: false }),
    recorded: async () => record,
  });
  expect(policy).toBe(`# policy.yaml\n${text}\n`);
  expect(request).toEqual({
    call: 'http',
    attributes: {
      'request.method': 'GET',
      'request.path': '/a?token=(secret)',
      'request.headers': { authorization: '(secret)', 'x-role': 'guest' },
      'source.port': 4711,
    },
    carried: { contextExtension: { tenant: 'a' } },
    hidden: ['request.path', 'request.headers["authorization"]', 'source.ip'],
  });
});
