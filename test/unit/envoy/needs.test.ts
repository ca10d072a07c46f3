/** What policies need of Envoy. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { DEFAULT_ATTRIBUTE_SETTINGS } from '../../../src/attributes/attributes.ts';
import { VOCABULARY } from '../../../src/attributes/vocabulary.ts';
import { attributeNeeds, type Part } from '../../../src/envoy/attribute-needs.ts';
import { envoyText } from '../../../src/envoy/bootstrap.ts';
import { plainOf, yamlText } from '../../../src/envoy/commented-yaml.ts';
import { COMMANDS, otlpAttributes } from '../../../src/envoy/otlp-attributes.ts';
import { descriptorsOfFiles } from '../../../src/envoy/descriptors.ts';
import { FRAGMENTS, HANDLERS as FRAGMENT_HANDLERS, policyOfFragments } from './fragments.ts';
import { HANDLERS, needsOfText, policyOf } from './load.ts';

const deny = (match: string, more = ''): string => `${more}\nrules:\n  - { name: r, match: '${match}', deny: {} }\n`;
const report = (input: string, calls = 'log', more = ''): string =>
  `${HANDLERS}${more}\nrules:\n  - name: r\n    calls: [${calls}]\n    report: { handler: lines, input: { a: '${input}' } }\n`;

for (const fragment of FRAGMENTS)
  test(fragment.what, async () => {
    expect((await needsOfText(policyOfFragments([fragment]))).why(fragment.kind, fragment.name)).toEqual(['r0']);
  });

describe('what is not needed', () => {
  const lacking = async (policy: string, ...kinds: readonly string[]): Promise<void> => {
    const needs = await needsOfText(policy);
    expect(kinds.filter((kind) => needs.has(kind))).toEqual([]);
  };

  test('headers that Envoy always logs', () =>
    lacking(report('request.headers[?"user-agent"].orValue("")'), 'log request-header'));

  test('logged headers for a check', () =>
    lacking(deny('request.headers[?"x-user"].orValue("") == "a"'), 'log', 'log request-header'));

  test('a TCP listener for a rule that answers HTTP as well', async () => {
    const needs = await needsOfText(deny('source.ip == ip("1.2.3.4")'));
    expect(needs.has('tcp')).toBe(false);
    expect(needs.why('also-tcp')).toEqual(['r']);
  });

  test('a rate limit for a rule that only adds headers to its answer', () =>
    lacking('rules:\n  - { name: r, onAllow: { response: { set: { x-a: "1" } } } }\n', 'limit'));

  test('a header that only an unread lookup needs', () =>
    lacking(
      `handlers: { plans: { adapter: enrich-http, config: { url: "http://127.0.0.1:1/", values: { plan: { at: /plan } } } } }
rules:
  - { name: plan, enrich: { handler: plans, params: { path: "{user}" }, input: { user: 'request.headers["x-user"]' }, as: my.plan } }
  - { name: r, match: request.method == "GET", deny: {} }
`,
      'log request-header',
    ));
});

test('a lookup is needed where its outputs are read, for the rule that reads them', async () => {
  const needs =
    await needsOfText(`${HANDLERS}  plans: { adapter: enrich-http, config: { url: "http://127.0.0.1:1/", values: { plan: { at: /plan } } } }
rules:
  - { name: plan, enrich: { handler: plans, params: { path: "{user}" }, input: { user: 'request.headers["x-user"]' }, as: my.plan } }
  - { name: r, calls: [log], report: { handler: lines, input: { plan: 'my.plan.?plan.orValue("")' } } }
`);
  expect(needs.why('log request-header', 'x-user')).toEqual(['r']);
});

test('named expressions are followed', async () => {
  const needs = await needsOfText(
    report('my.user', 'log', `attributes: { my.user: { is: 'request.headers[?"x-user"].orValue("-")' } }`),
  );
  expect(needs.why('log request-header', 'x-user')).toEqual(['r']);
  expect(needs.has('log all-request-headers')).toBe(false);
});

test('the largest size that rules compare with is the size of bodies', async () => {
  expect((await needsOfText(deny('request.size > 65536 && has(request.body)'))).bodyBytes).toBe(65_536);
  expect((await needsOfText(deny('size(request.raw_body) >= 100'))).bodyBytes).toBe(100);
});

describe('descriptors', () => {
  const quota = (match: string, key: string): string =>
    `${HANDLERS}rules:\n  - { name: r, match: '${match}', quota: { handler: limits, limit: 2, per: 1h, key: [${key}] } }\n`;
  const descriptorsIn = async (policy: string): Promise<unknown[]> =>
    (await needsOfText(policy)).descriptors.map(({ domain, entries, isExact }) => [
      domain,
      entries.map(({ key, value }) => (value === undefined ? key : `${key}=${value}`)).join(),
      isExact,
    ]);

  test('have the keys that rules read, and the values that they compare with', async () => {
    expect(
      await descriptorsIn(
        quota('ratelimit.domain == "shop" && ratelimit.descriptor.kind == "gold"', 'ratelimit.descriptor.user'),
      ),
    ).toEqual([['shop', 'kind=gold,user', false]]);
  });

  test('have the order that a rule asks for', async () => {
    expect(
      await descriptorsIn(
        quota(
          'ratelimit.entries.map(e, e.key) == ["user", "path"]',
          'ratelimit.descriptor.path, ratelimit.descriptor.user',
        ),
      ),
    ).toEqual([[undefined, 'user,path', true]]);
  });

  test('of several domains are several', async () => {
    expect(await descriptorsIn(quota('ratelimit.domain in ["b", "a"]', 'ratelimit.descriptor.user'))).toEqual([
      ['a', 'user', false],
      ['b', 'user', false],
    ]);
  });

  test('of files of sluice ratelimit are its paths, and the end of its leases', () => {
    const text = `
domain: mongo_cps
descriptors:
  - key: database
    value: users
    rate_limit: { unit: second, requests_per_unit: 500 }
  - key: tenant
    descriptors:
      - key: request
        rate_limit: { requests_per_unit: 20, sluice: { algorithm: concurrency, per: 30s } }
`;
    expect(
      descriptorsOfFiles([text]).map(({ rules, entries, endsLease, limit }) => [
        rules[0],
        entries.map(({ key }) => key).join(),
        endsLease,
        limit,
      ]),
    ).toEqual([
      ['mongo_cps.database_users', 'database', false, { requests: 500, unit: 'Second' }],
      ['mongo_cps.tenant.request', 'tenant,request', false, undefined],
      ['mongo_cps.tenant.request', 'tenant,request,stream_done', true, undefined],
    ]);
  });
});

describe('each built-in attribute whose field depends on a setting of Envoy needs that setting', () => {
  const SETTINGS: readonly (readonly [text: RegExp, part: Part, kinds: RegExp])[] = [
    [/include_peer_certificate/, 'http', /http certificate/],
    [/include_tls_session/, 'http', /http session/],
    [/^context_extensions\[/, 'http', /http extension/],
    [/^metadata_context/, 'http', /http (?:all-)?metadata/],
    [/^route_metadata_context/, 'http', /http (?:all-)?route-metadata/],
    [/configured to log/, 'log', /log request-header/],
    [/filter_state_objects/, 'log', /log filter-state/],
  ];
  const read = { guarded: false, exposed: true, keys: [] };
  const needed = (name: string, part: Part): string[] => {
    const attribute = VOCABULARY.find((one) => one.name === name);
    return attribute === undefined
      ? []
      : attributeNeeds(attribute, { name, ...read }, part, { source: name, settings: DEFAULT_ATTRIBUTE_SETTINGS }).map(
          ({ kind }) => kind,
        );
  };
  for (const [text, part, kinds] of SETTINGS)
    test(`${part} ${text.source}`, () => {
      const rows = VOCABULARY.filter(({ carriedBy }) => text.test(carriedBy[part === 'limit' ? 'limit' : part] ?? ''));
      expect(rows.length).toBeGreaterThan(0);
      expect(
        rows.filter(({ name }) => !needed(name, part).some((kind) => kinds.test(kind))).map(({ name }) => name),
      ).toEqual([]);
    });

  test('the body', () => {
    const bodies = VOCABULARY.filter(({ meaning }) => meaning.includes('with_request_body')).map(({ name }) => name);
    expect(bodies).toEqual(['request.body', 'request.raw_body']);
    expect(bodies.every((name) => needed(name, 'http').includes('http body'))).toBe(true);
  });
});

test('an entry by OTLP names what the logger has no command for', async () => {
  const needs = await needsOfText(
    report(
      'string(connection.?tls_cipher_suite.orValue(0)) + request.url_path + string(source.ip) + source.?namespace.orValue("")',
    ),
  );
  const [first, ...others] = plainOf(otlpAttributes(needs, 'log')) as {
    key: string;
    value: { string_value: string };
  }[];
  expect(first).toEqual({ key: 'sluice.call', value: { string_value: 'log' } });
  expect(others.map(({ key }) => key)).toEqual([
    'request.path',
    'source.ip',
    'connection.uri_san_peer_certificate',
    'filter_state',
  ]);
  expect(yamlText(otlpAttributes(needs, 'log'))).toContain('No command has connection.tls_cipher_suite;');
});

test('the commands are those of docs/envoy.md', async () => {
  const page = await readFile(join(import.meta.dirname, '../../../docs/envoy.md'), 'utf8');
  const [http = '', tcp = ''] = [
    ...page.matchAll(/```yaml\n(name: envoy\.access_loggers\.open_telemetry[\s\S]*?)```/g),
  ].map(([, text = '']) => text);
  const pairsOf = (text: string): Record<string, string> =>
    Object.fromEntries(
      [...text.matchAll(/^ {4}- \{ key: ([\w.]+), value: \{ string_value: "(%[^"]*)" \} \}/gm)].map(
        ([, key = '', command = '']) => [key, command],
      ),
    );
  expect(pairsOf(http)).toEqual(COMMANDS.log);
  expect(pairsOf(tcp)).toEqual(COMMANDS['tcp-log']);
});

test('the admin port shows a bounded number of descriptors, and says how many it leaves out', async () => {
  const rules = Array.from({ length: 60 }, (_, at) => ({
    name: `r${at}`,
    match: `ratelimit.domain == "shop" && ratelimit.descriptor.user == "u${at}"`,
    quota: { handler: 'limits', limit: 1, per: '1m', key: [] },
  }));
  const policy = await policyOf(JSON.stringify({ handlers: FRAGMENT_HANDLERS, rules }));
  const text = await envoyText(policy);
  expect(text).toContain('# 10 more descriptors are not shown; `sluice envoy` prints all.');
  expect(text.match(/descriptor_key: user/g)).toHaveLength(50);
  expect(envoyText(policy)).toBe(envoyText(policy));
});
