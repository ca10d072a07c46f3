/**
 * Each field of AuthorizationPolicy and RequestAuthentication, as istio/api has them in July 2026: it is translated, or refused; a value of
 * another shape is never read as if the field were left out.
 */
import { describe, expect, test } from 'vitest';
import { loadBuiltIns } from '../../../src/adapters/loading/built-in.ts';
import { loadPolicyText } from '../../../src/core/rules/load.ts';

type Spec = Readonly<Record<string, unknown>>;
const adapters = await loadBuiltIns();

async function loaded(kind: string, spec: Spec): Promise<{ readonly errors: string[]; readonly warnings: string[] }> {
  const document = { apiVersion: 'security.istio.io/v1', kind, metadata: { name: 'a', namespace: 'foo' }, spec };
  const handlers = { handlers: { asked: { adapter: 'check-list', config: { values: ['a'] } } } };
  const rule = { rules: [{ name: 'r', deny: {} }] };
  const settings = {
    settings: { istio: { providers: { p: { handler: 'asked', input: { value: '"a"' } } } } },
  };
  const text = `${JSON.stringify({ ...handlers, ...settings, ...rule })}\n---\n${JSON.stringify(document)}`;
  const { findings } = await loadPolicyText(new Map([['p.yaml', text]]), { adapters, isLenient: false });
  const of = (isError: boolean): string[] =>
    findings
      .filter(({ severity }) => (severity === 'error') === isError)
      .map(({ code, message }) => `${code} ${message}`);
  return { errors: of(true), warnings: of(false) };
}

const authorizing =
  (place: (fields: Spec) => Spec) =>
  (fields: Spec): readonly [kind: string, spec: Spec] => ['AuthorizationPolicy', place(fields)];
const authenticating =
  (place: (fields: Spec) => Spec) =>
  (fields: Spec): readonly [kind: string, spec: Spec] => ['RequestAuthentication', place(fields)];
const jwt = (fields: Spec): Spec => ({ jwtRules: [{ issuer: 'i', jwksUri: 'https://a.example/k', ...fields }] });
const TARGET = { group: 'gateway.networking.k8s.io', kind: 'Gateway', name: 'g' };
const names = (...list: readonly string[]): readonly string[] =>
  list.flatMap((name) => [name, `not${name.charAt(0).toUpperCase()}${name.slice(1)}`]);

/** The fields of a message, each with a value that is translated. */
interface Message {
  readonly what: string;
  readonly within: (fields: Spec) => readonly [kind: string, spec: Spec];
  readonly fields: Readonly<Record<string, unknown>>;
  /** Shapes that are as if the field were left out, in Istio, too. */
  readonly asLeftOut?: Readonly<Record<string, readonly string[]>>;
}
const TEXTS = Object.fromEntries(
  names('principals', 'requestPrincipals', 'namespaces', 'serviceAccounts', 'trustDomains').map((name) => [
    name,
    ['a'],
  ]),
);
const ADDRESSES = Object.fromEntries(names('ipBlocks', 'remoteIpBlocks').map((name) => [name, ['10.0.0.0/8']]));
const OPERATION = { hosts: ['a.example'], ports: ['80'], methods: ['GET'], paths: ['/a'] };
const NEGATED = Object.fromEntries(Object.entries(OPERATION).map(([name, value]) => [names(name)[1], value]));
const EMPTY_LIST = ['[]'];
const MESSAGES: readonly Message[] = [
  {
    what: 'AuthorizationPolicy',
    within: authorizing((fields) => ({ rules: [{}], ...fields })),
    fields: {
      selector: { matchLabels: { app: 'a' } },
      targetRef: TARGET,
      targetRefs: [TARGET],
      rules: [{}],
      action: 'DENY',
    },
    asLeftOut: { targetRefs: ['[]', 'null'], rules: ['[]', 'null', '[{}]'], selector: ['{}'] },
  },
  {
    what: 'ExtensionProvider',
    within: authorizing((provider) => ({ action: 'CUSTOM', provider: { name: 'p', ...provider }, rules: [{}] })),
    fields: { name: 'p' },
  },
  {
    what: 'Rule',
    within: authorizing((rule) => ({ rules: [rule] })),
    fields: {
      from: [{ source: { namespaces: ['a'] } }],
      to: [{ operation: { methods: ['GET'] } }],
      when: [{ key: 'source.ip', values: ['10.0.0.1'] }],
    },
    asLeftOut: { when: ['[]', 'null'] },
  },
  {
    what: 'Source',
    within: authorizing((source) => ({ rules: [{ from: [{ source: { namespaces: ['x'], ...source } }] }] })),
    fields: { ...TEXTS, ...ADDRESSES },
    asLeftOut: { '*': EMPTY_LIST },
  },
  {
    what: 'Operation',
    within: authorizing((operation) => ({ rules: [{ to: [{ operation: { methods: ['PUT'], ...operation } }] }] })),
    fields: { ...OPERATION, ...NEGATED },
    asLeftOut: { '*': EMPTY_LIST },
  },
  {
    what: 'Condition',
    within: authorizing((condition) => ({
      rules: [{ when: [{ key: 'source.namespace', values: ['a'], ...condition }] }],
    })),
    fields: { key: 'source.principal', values: ['b'], notValues: ['c'] },
    asLeftOut: { notValues: EMPTY_LIST },
  },
  {
    what: 'RequestAuthentication',
    within: authenticating((fields) => ({ ...jwt({}), ...fields })),
    fields: { selector: { matchLabels: { app: 'a' } }, targetRef: TARGET, targetRefs: [TARGET], ...jwt({}) },
    asLeftOut: { targetRefs: ['[]', 'null'], jwtRules: ['[]', 'null'], selector: ['{}'] },
  },
  {
    what: 'WorkloadSelector',
    within: authorizing((selector) => ({ rules: [{}], selector })),
    fields: { matchLabels: { app: 'a' } },
    asLeftOut: { matchLabels: ['{}'] },
  },
  {
    what: 'PolicyTargetReference',
    within: authorizing((target) => ({ rules: [{}], targetRefs: [{ ...TARGET, ...target }] })),
    fields: { group: TARGET.group, kind: 'Gateway', name: 'b', namespace: 'foo' },
  },
  {
    what: 'JWTRule',
    within: authenticating(jwt),
    fields: {
      issuer: 'https://a.example',
      audiences: ['a'],
      jwksUri: 'https://b.example/k',
      fromHeaders: [{ name: 'x-token', prefix: 'a ' }],
      fromParams: ['token'],
      fromCookies: ['token'],
      forwardOriginalToken: true,
      outputPayloadToHeader: 'x-payload',
      outputClaimToHeaders: [{ header: 'x-sub', claim: 'sub' }],
      spaceDelimitedClaims: ['roles'],
      timeout: '5s',
    },
    asLeftOut: {
      ...Object.fromEntries(
        ['audiences', 'fromParams', 'fromCookies', 'spaceDelimitedClaims'].map((name) => [name, EMPTY_LIST]),
      ),
      fromHeaders: ['[]', 'null'],
      outputClaimToHeaders: ['[]', 'null'],
    },
  },
  {
    what: 'JWTHeader',
    within: authenticating((header) => jwt({ fromHeaders: [{ name: 'x', ...header }] })),
    fields: { name: 'x-token', prefix: 'a ' },
  },
  {
    what: 'ClaimToHeader',
    within: authenticating((one) => jwt({ outputClaimToHeaders: [{ header: 'x', claim: 'y', ...one }] })),
    fields: { header: 'x-sub', claim: 'sub' },
  },
];

const SHAPES: Readonly<Record<string, unknown>> = {
  '7': 7,
  true: true,
  null: null,
  '""': '',
  '[]': [],
  '{}': {},
  '[7]': [7],
  '[null]': [null],
  '[""]': [''],
  '[{}]': [{}],
  '[[]]': [[]],
  '{ zz: b }': { zz: 'b' },
  '["zz"]': ['zz'],
  zz: 'zz',
};
/** The shape of a value: that of others is wrong. */
const shapeOf = (value: unknown): string =>
  Array.isArray(value) ? `list of ${shapeOf(value[0])}` : value === null ? 'null' : typeof value;

for (const { what, within, fields, asLeftOut = {} } of MESSAGES)
  describe(what, () => {
    test.each(Object.keys(fields))('%s is translated', async (name) => {
      expect((await loaded(...within({ [name]: fields[name] }))).errors).toEqual([]);
    });

    test('a field that it does not have is refused', async () => {
      expect((await loaded(...within({ zzz: 'a' }))).errors).toEqual([expect.stringContaining('has no key zzz')]);
    });

    test.each(Object.keys(fields))('%s of another shape is refused', async (name) => {
      const accepted: string[] = [];
      for (const [shape, value] of Object.entries(SHAPES)) {
        if (shapeOf(value) === shapeOf(fields[name])) continue;
        if ((await loaded(...within({ [name]: value }))).errors.length === 0) accepted.push(shape);
      }
      expect(accepted.filter((shape) => !(asLeftOut[name] ?? asLeftOut['*'] ?? []).includes(shape))).toEqual([]);
    });
  });

test.each<readonly [kind: string, spec: Spec, code: string]>([
  [
    'RequestAuthentication',
    jwt({ jwks_uri: 'https://a.example/k' }),
    'ISTIO_VALUE jwksUri and jwks_uri are the same field',
  ],
  ['RequestAuthentication', jwt({ timeout: 'soon' }), 'ISTIO_VALUE timeout is soon; expected a duration'],
  ['RequestAuthentication', jwt({ timeout: '0s' }), 'ISTIO_VALUE timeout is 0s; expected a duration of at least 1ms'],
  ['RequestAuthentication', jwt({ timeout: '0.0005s' }), 'ISTIO_VALUE timeout is 0.0005s; expected a duration of at'],
  [
    'RequestAuthentication',
    jwt({ outputClaimToHeaders: [{ header: 'x-jwt.foo', claim: 'foo' }] }),
    'ISTIO_VALUE x-jwt.foo is no header for a claim; expected letters',
  ],
  [
    'RequestAuthentication',
    { ...jwt({}), targetRef: TARGET, targetRefs: [TARGET] },
    'ISTIO_VALUE RequestAuthentication a has targetRef and targetRefs; keep one of the two',
  ],
  [
    'AuthorizationPolicy',
    { rules: [{}], selector: { matchLabels: { app: 'web*' } } },
    'ISTIO_VALUE the label app=web* of the selector is on no workload',
  ],
  [
    'AuthorizationPolicy',
    { rules: [{}], selector: { matchLabels: { '': 'web' } } },
    'ISTIO_VALUE the label =web of the selector is on no workload',
  ],
  [
    'AuthorizationPolicy',
    { rules: [{}], targetRefs: [{ ...TARGET, group: 'networking.istio.io' }] },
    'ISTIO_VALUE the group of a Gateway is the text "networking.istio.io"; expected "gateway.networking.k8s.io"',
  ],
  [
    'AuthorizationPolicy',
    { rules: [{}], targetRefs: [{ group: 'apps', kind: 'Service', name: 's' }] },
    'ISTIO_VALUE the group of a Service is the text "apps"; expected "" or "core"',
  ],
  [
    'AuthorizationPolicy',
    { rules: [{}], targetRefs: [{ group: 'networking.istio.io', kind: 'ServiceEntry', name: 's' }] },
    'ISTIO_UNSUPPORTED a call does not say which ServiceEntry it is for',
  ],
])('%s %j is refused', async (kind, spec, message) => {
  const { errors } = await loaded(kind, spec);
  expect(errors).toEqual([expect.stringContaining(message)]);
});

test.each(['1.5s', '1m30s'])('a timeout has no effect, of which loading warns: %s', async (timeout) => {
  const { errors, warnings } = await loaded('RequestAuthentication', jwt({ timeout }));
  expect([errors, warnings.filter((one) => one.includes('timeout'))]).toEqual([
    [],
    ['ISTIO_NEVER timeout has no effect: a call waits for keys until the deadline of its handler; remove it'],
  ]);
});
