/** Findings about configurations that lack something. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { checkEnvoy } from '../../../src/envoy/check/check.ts';
import { plainBootstrap } from '../../../src/envoy/bootstrap.ts';
import { ENVOY_ERRORS } from '../../../src/envoy/errors.ts';
import type { Needs } from '../../../src/envoy/needs.ts';
import { DEFAULT_OPTIONS, type EnvoyOptions } from '../../../src/envoy/options.ts';
import { needsOf } from '../../../src/envoy/needs.ts';
import { RECEIVED_HEADER, RECEIVED_VALUE } from '../../../src/text/received-header.ts';
import { HANDLERS, needsOfText, policyIn } from './load.ts';

/** Needs every part once. */
const POLICY = `settings: { trustedHops: 1, trustedCertificateHops: 1 }
attributes:
  my.tier: { type: string, from: [{ contextExtension: tier }] }
  my.team: { type: string, from: { metadata: { namespace: teams, path: [name] } } }
  my.zone: { type: string, from: { customTag: zone } }
  my.peer: { type: string, from: { filterState: peer } }
${HANDLERS}
rules:
  - { name: body, match: 'request.size > 65536 || request.raw_body == b"x"', deny: {} }
  - { name: certificate, match: 'connection.dns_san_peer_certificate == "a" && connection.requested_server_name == "b"', deny: {} }
  - { name: token, match: 'request.auth.principal == "x/y" && my.team == "y" && my.tier == "z"', deny: {} }
  - { name: client, match: 'origin.?principal.orValue("") == "x" && origin.ip == ip("1.2.3.4")', deny: {} }
  - { name: path, match: 'request.url_path == "/a" && "b" in request.header_values["c"]', deny: {} }
  - { name: tcp-only, calls: [tcp], match: 'source.ip == ip("1.2.3.4") && connection.requested_server_name == "x" && my.tier == "z"', deny: {} }
  - { name: limit-user, match: 'ratelimit.domain == "shop" && ratelimit.descriptor.kind == "gold"', quota: { handler: limits, limit: 2, per: 1h, key: [ratelimit.descriptor.user] } }
  - name: entries
    calls: [log, log-interim]
    report: { handler: lines, input: { user: 'request.headers["x-user"]', type: 'response.headers["content-type"]', status: response.grpc_status, zone: my.zone, peer: my.peer, trace: trace.id, rule: verdict.rule } }
  - { name: connections, calls: [tcp-log, tcp-log-interim], report: { handler: lines, input: { bytes: connection.received.bytes } } }
  - { name: statistics, calls: [envoy-metric], report: { handler: lines, input: { name: metric.name } } }
`;

// oxlint-disable-next-line typescript/no-explicit-any -- a bootstrap of Envoy, which each case changes at one place
type Json = Record<string, any>;

interface Parts {
  readonly config: Json;
  readonly manager: Json;
  readonly check: Json;
  readonly limit: Json;
  readonly log: Json;
  readonly host: Json;
  readonly tcpCheck: Json;
  readonly tcpProxy: Json;
  readonly sluice: Json;
}

const JWT = {
  name: 'envoy.filters.http.jwt_authn',
  typed_config: { '@type': 'type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication' },
};

function partsOf(needs: Needs, options: EnvoyOptions): Parts {
  const config = plainBootstrap(needs, options) as Json;
  const { listeners, clusters } = config['static_resources'] as Json;
  const manager = listeners[0].filter_chains[0].filters[0].typed_config as Json;
  manager['http_filters'].unshift(JWT);
  const filter = (name: string): Json =>
    manager['http_filters'].find((one: Json) => one['name'] === name).typed_config as Json;
  return {
    config,
    manager,
    check: filter('envoy.filters.http.ext_authz'),
    limit: filter('envoy.filters.http.ratelimit'),
    log: manager['access_log'][0].typed_config,
    host: manager['route_config'].virtual_hosts[0],
    tcpCheck: listeners[1].filter_chains[0].filters[0].typed_config,
    tcpProxy: listeners[1].filter_chains[0].filters[1].typed_config,
    sluice: clusters[1],
  };
}

const needs = await needsOfText(POLICY);
const CLOSED: EnvoyOptions = { ...DEFAULT_OPTIONS, failOpen: false };

async function findingsAfter(change: (parts: Parts) => void, options = DEFAULT_OPTIONS): Promise<string[]> {
  const parts = partsOf(needs, options);
  change(parts);
  const findings = await checkEnvoy('envoy.json', JSON.stringify(parts.config, null, 2), needs, options);
  return findings.map(({ code, severity }) => (severity === 'warning' ? `${code} (warning)` : code));
}

test('a generated configuration lacks nothing', async () => {
  expect(await findingsAfter(() => undefined)).toEqual([]);
  expect(await findingsAfter(() => undefined, { ...DEFAULT_OPTIONS, isOtlp: true })).toEqual([]);
  expect(await findingsAfter(() => undefined, { ...DEFAULT_OPTIONS, failOpen: true })).toEqual([]);
});

/** One change to a configuration that lacks nothing, and the finding. */
const TABLE: readonly (readonly [
  what: string,
  change: (parts: Parts) => void,
  finding: string,
  options?: EnvoyOptions,
])[] = [
  [
    'no check',
    ({ manager }) =>
      (manager['http_filters'] = manager['http_filters'].filter(
        (one: Json) => one['name'] !== 'envoy.filters.http.ext_authz',
      )),
    'ENVOY_NO_CHECK',
  ],
  [
    'a second listener without a check',
    ({ config }) => {
      const [first] = config['static_resources'].listeners;
      const copy = structuredClone(first) as Json;
      copy['name'] = 'second';
      const manager = copy['filter_chains'][0].filters[0].typed_config;
      manager.http_filters = manager.http_filters.slice(-1);
      config['static_resources'].listeners.push(copy);
    },
    'ENVOY_LISTENER_UNCHECKED (warning)',
  ],
  [
    'a route that is off',
    ({ host }) => (host['routes'][0].typed_per_filter_config = { 'envoy.filters.http.ext_authz': { disabled: true } }),
    'ENVOY_ROUTE_UNCHECKED (warning)',
  ],
  [
    'a share of the requests',
    ({ check }) => (check['filter_enabled'] = { default_value: { numerator: 50 } }),
    'ENVOY_ROUTE_UNCHECKED (warning)',
  ],
  [
    'limits before checks',
    ({ manager }) => {
      const at = manager['http_filters'].findIndex((one: Json) => one['name'] === 'envoy.filters.http.ratelimit');
      manager['http_filters'].unshift(...manager['http_filters'].splice(at, 1));
    },
    'ENVOY_FILTER_ORDER (warning)',
  ],
  [
    'tokens after the check',
    ({ manager }) => manager['http_filters'].splice(-1, 0, manager['http_filters'].shift()),
    'ENVOY_FILTER_ORDER',
  ],
  ['nobody verifies tokens', ({ manager }) => manager['http_filters'].shift(), 'ENVOY_METADATA'],
  [
    'a cluster that is missing',
    ({ check }) => (check['grpc_service'].envoy_grpc.cluster_name = 'gone'),
    'ENVOY_CLUSTER',
  ],
  ['requests pass', ({ check }) => (check['failure_mode_allow'] = true), 'ENVOY_FAILURE_MODE'],
  ['limits fail open', ({ limit }) => (limit['failure_mode_deny'] = false), 'ENVOY_FAILURE_MODE', CLOSED],
  ['failures look like denials', ({ check }) => delete check['status_on_error'], 'ENVOY_STATUS_ON_ERROR (warning)'],
  ['no timeout', ({ check }) => delete check['grpc_service'].timeout, 'ENVOY_TIMEOUT (warning)'],
  ['waiting for ever', ({ check }) => (check['grpc_service'].timeout = '0s'), 'ENVOY_TIMEOUT (warning)'],
  ['no body', ({ check }) => delete check['with_request_body'], 'ENVOY_BODY'],
  ['a small body', ({ check }) => (check['with_request_body'].max_request_bytes = 1024), 'ENVOY_BODY_TOO_SMALL'],
  [
    'a part of the body',
    ({ check }) => (check['with_request_body'].allow_partial_message = true),
    'ENVOY_BODY_PARTIAL',
  ],
  ['a body as text', ({ check }) => delete check['with_request_body'].pack_as_bytes, 'ENVOY_BODY_TEXT (warning)'],
  ['sizes without a length', ({ check }) => delete check['grpc_service'].initial_metadata, 'ENVOY_SIZE (warning)'],
  [
    'a header of sizes with another value',
    ({ check }) => (check['grpc_service'].initial_metadata[0].value = '%REQUEST_DURATION%'),
    'ENVOY_SIZE (warning)',
  ],
  ['no certificate', ({ check }) => delete check['include_peer_certificate'], 'ENVOY_CERTIFICATE'],
  ['no SNI', ({ check }) => delete check['include_tls_session'], 'ENVOY_TLS_SESSION'],
  ['no SNI of connections', ({ tcpCheck }) => delete tcpCheck['include_tls_session'], 'ENVOY_TLS_SESSION'],
  ['joined headers', ({ check }) => delete check['encode_raw_headers'], 'ENVOY_RAW_HEADERS (warning)'],
  ['a namespace', ({ check }) => check['metadata_context_namespaces'].splice(1), 'ENVOY_METADATA'],
  ['a context extension', ({ host }) => delete host['typed_per_filter_config'], 'ENVOY_CONTEXT_EXTENSION'],
  [
    'no header with the facts of connections',
    ({ tcpCheck }) => delete tcpCheck['grpc_service'].initial_metadata,
    'ENVOY_CONTEXT_EXTENSION',
  ],
  [
    'a header that lacks one of the facts',
    ({ tcpCheck }) => (tcpCheck['grpc_service'].initial_metadata[0].value = '{"kind":"gold"}'),
    'ENVOY_CONTEXT_EXTENSION',
  ],
  [
    'a header with a command operator',
    ({ tcpCheck }) => (tcpCheck['grpc_service'].initial_metadata[0].value = '{"tier":"%REQ(x-tier)%"}'),
    'ENVOY_CONTEXT_EXTENSION',
  ],
  ['another number of proxies', ({ manager }) => (manager['xff_num_trusted_hops'] = 0), 'ENVOY_HOPS'],
  ["the client's own address", ({ manager }) => delete manager['use_remote_address'], 'ENVOY_HOPS'],
  [
    'a removed certificate',
    ({ manager }) => delete manager['forward_client_cert_details'],
    'ENVOY_FORWARDED_CERTIFICATE',
  ],
  ['paths as sent', ({ manager }) => delete manager['merge_slashes'], 'ENVOY_PATH (warning)'],
  [
    'no limit',
    ({ manager }) =>
      (manager['http_filters'] = manager['http_filters'].filter(
        (one: Json) => one['name'] !== 'envoy.filters.http.ratelimit',
      )),
    'ENVOY_NO_LIMIT',
  ],
  ['another domain', ({ limit }) => (limit['domain'] = 'other'), 'ENVOY_DOMAIN'],
  ['no actions', ({ host }) => delete host['rate_limits'], 'ENVOY_ACTIONS'],
  ['an action that is missing', ({ host }) => host['rate_limits'][0].actions.pop(), 'ENVOY_ACTIONS'],
  [
    'an action of another value',
    ({ host }) => (host['rate_limits'][0].actions[0].generic_key.descriptor_value = 'silver'),
    'ENVOY_ACTIONS',
  ],
  ['actions of another stage', ({ host }) => (host['rate_limits'][0].stage = 3), 'ENVOY_ACTIONS'],
  ['no access log', ({ manager }) => delete manager['access_log'], 'ENVOY_NO_LOG'],
  [
    'a header that is not logged',
    ({ log }) => (log['additional_request_headers_to_log'] = ['traceparent']),
    'ENVOY_LOG_HEADERS',
  ],
  [
    'a header of the response that is not logged',
    ({ log }) => delete log['additional_response_headers_to_log'],
    'ENVOY_LOG_HEADERS',
  ],
  ['a trailer that is not logged', ({ log }) => delete log['additional_response_trailers_to_log'], 'ENVOY_LOG_HEADERS'],
  ['a custom tag', ({ log }) => log['common_config'].custom_tags.shift(), 'ENVOY_LOG_FIELDS'],
  ['filter state', ({ log }) => delete log['common_config'].filter_state_objects_to_log, 'ENVOY_LOG_FIELDS (warning)'],
  [
    'an attribute by OTLP',
    ({ log }) => log['attributes'].values.shift(),
    'ENVOY_LOG_FIELDS',
    { ...DEFAULT_OPTIONS, isOtlp: true },
  ],
  ['no buffer', ({ log }) => delete log['common_config'].buffer_size_bytes, 'ENVOY_LOG_BUFFER (warning)'],
  [
    'a large buffer',
    ({ tcpProxy }) => (tcpProxy['access_log'][0].typed_config.common_config.buffer_size_bytes = 1_048_576),
    'ENVOY_LOG_BUFFER (warning)',
  ],
  ['no interim entries', ({ manager }) => delete manager['access_log_options'], 'ENVOY_LOG_INTERIM'],
  ['no interim entries of connections', ({ tcpProxy }) => delete tcpProxy['access_log_options'], 'ENVOY_LOG_INTERIM'],
  [
    'a verdict that is dropped',
    ({ check }) => (check['enable_dynamic_metadata_ingestion'] = false),
    'ENVOY_LOG_VERDICT',
  ],
  [
    'no check of connections',
    ({ config }) => config['static_resources'].listeners[1].filter_chains[0].filters.shift(),
    'ENVOY_NO_CHECK',
  ],
  ['no access log of connections', ({ tcpProxy }) => delete tcpProxy['access_log'], 'ENVOY_NO_LOG'],
  ['no statistics', ({ config }) => delete config['stats_sinks'], 'ENVOY_NO_METRICS'],
];

for (const [what, change, finding, options] of TABLE)
  test(what, async () => {
    expect(await findingsAfter(change, options)).toEqual([finding]);
  });

test('a header of facts that is no JSON, and so has none of them', async () => {
  for (const value of ['tier=gold', '{"tier":1}', ''])
    expect(await findingsAfter(({ tcpCheck }) => (tcpCheck['grpc_service'].initial_metadata[0].value = value))).toEqual(
      ['ENVOY_CONTEXT_EXTENSION', 'ENVOY_CONTEXT_EXTENSION'],
    );
});

test('the header of an HTTP filter stands for context extensions of its routes', async () => {
  const sent = ({ check, host }: Parts): void => {
    delete host['typed_per_filter_config'];
    check['grpc_service'].initial_metadata.push({ key: 'X-Sluice-Context', value: '{"tier":"g\u00f6ld"}' });
  };
  expect(await findingsAfter(sent)).toEqual([]);
});

test('a cluster that speaks HTTP/1', async () => {
  const codes = await findingsAfter(({ sluice }) => delete sluice['typed_extension_protocol_options']);
  expect(new Set(codes)).toEqual(new Set(['ENVOY_CLUSTER_HTTP1']));
});

test('a filter that is off but for some routes is on there', async () => {
  const turnOff = ({ manager }: Parts): void => {
    const filter = manager['http_filters'].find((one: Json) => one['name'] === 'envoy.filters.http.ext_authz') as Json;
    filter['disabled'] = true;
  };
  expect(await findingsAfter(turnOff)).toEqual([]); // its virtual host has context extensions
  expect(
    await findingsAfter((parts) => {
      turnOff(parts);
      delete parts.host['typed_per_filter_config'];
    }),
  ).toEqual(expect.arrayContaining(['ENVOY_ROUTE_UNCHECKED (warning)']));
});

test('a check by HTTP says what it cannot carry', async () => {
  const codes = async (authorization_request: Json): Promise<string[]> =>
    findingsAfter(({ check }) => {
      delete check['grpc_service'];
      const server_uri = { uri: 'http://sluice', cluster: 'sluice', timeout: '0.2s' };
      check['http_service'] = { server_uri, authorization_request };
    });
  const byHttp = ['ENVOY_BY_HTTP', 'ENVOY_BY_HTTP', 'ENVOY_BY_HTTP']; // certificate, metadata, raw headers
  expect(await codes({})).toEqual([...byHttp, 'ENVOY_SIZE (warning)']);
  expect(await codes({ headers_to_add: [{ key: RECEIVED_HEADER, value: RECEIVED_VALUE }] })).toEqual(byHttp);
});

test('every code is found by a case', () => {
  const found = new Set(TABLE.map(([, , finding]) => finding.split(' ')[0]));
  const elsewhere = ['ENVOY_FILE', 'ENVOY_CLUSTER_HTTP1', 'ENVOY_BY_HTTP'];
  expect(Object.keys(ENVOY_ERRORS).filter((code) => !found.has(code) && !elsewhere.includes(code))).toEqual([]);
});

test('a finding names its place, the rule that needs it, and what to write', async () => {
  const parts = partsOf(needs, DEFAULT_OPTIONS);
  delete parts.check['with_request_body'];
  const text = JSON.stringify(parts.config, null, 2);
  const [finding] = await checkEnvoy('envoy.json', text, needs, DEFAULT_OPTIONS);
  expect(finding?.message).toBe(
    'Envoy does not send the body, which rule body needs; write with_request_body: { max_request_bytes: 65536, pack_as_bytes: true }',
  );
  expect(text.split('\n')[(finding?.position.line ?? 0) - 1]).toContain('"typed_config"');
});

describe('other forms of a configuration', () => {
  const messages = async (text: string, of = needs): Promise<string[]> =>
    (await checkEnvoy('envoy.yaml', text, of, DEFAULT_OPTIONS)).map(({ code }) => code);

  test('a dump of /config_dump is read as its bootstrap and resources', async () => {
    const { config } = partsOf(needs, DEFAULT_OPTIONS);
    const { listeners, clusters } = config['static_resources'] as Json;
    const dump = {
      configs: [
        {
          '@type': 'type.googleapis.com/envoy.admin.v3.BootstrapConfigDump',
          bootstrap: { ...config, static_resources: {} },
        },
        {
          '@type': 'type.googleapis.com/envoy.admin.v3.ClustersConfigDump',
          static_clusters: clusters.map((cluster: Json) => ({ cluster })),
        },
        {
          '@type': 'type.googleapis.com/envoy.admin.v3.ListenersConfigDump',
          dynamic_listeners: listeners.map((listener: Json) => ({
            name: listener['name'],
            active_state: { listener },
          })),
        },
      ],
    };
    expect(await messages(JSON.stringify(dump, null, 1))).toEqual([]);
    listeners[0].filter_chains[0].filters[0].typed_config.http_filters[1].typed_config.failure_mode_allow = true;
    expect(await messages(JSON.stringify(dump, null, 1))).toEqual(['ENVOY_FAILURE_MODE']);
  });

  test('routes that RDS fetches are not asked for actions', async () => {
    const { config, manager } = partsOf(needs, DEFAULT_OPTIONS);
    delete manager['route_config'];
    manager['rds'] = { route_config_name: 'web', config_source: { ads: {} } };
    expect(await messages(JSON.stringify(config))).toEqual([]);
  });

  test('fields may be in lowerCamelCase', async () => {
    const { config } = partsOf(needs, DEFAULT_OPTIONS);
    const camel = JSON.stringify(config).replaceAll(
      /"([a-z]+(?:_[a-z0-9]+)+)":/g,
      (_, name: string) => `"${name.replaceAll(/_([a-z0-9])/g, (__, letter: string) => letter.toUpperCase())}":`,
    );
    expect(await messages(camel)).toEqual([]);
  });

  test.each(['', 'a: 1', '[]', 'static_resources: { listeners: [] }', 'static_resources: 7'])(
    '%j is no configuration',
    async (text) => {
      expect(await messages(text)).toEqual(['ENVOY_FILE']);
    },
  );

  test('a text that is no YAML is a finding', async () => {
    expect(await messages('a: [')).toEqual(['RULES_YAML']);
  });
});

test.each(['start', 'mesh', 'otlp', 'istio-metrics', 'kubernetes', 'jwt'])(
  'examples/%s: its generated configuration lacks nothing',
  async (name) => {
    const found = await needsOf(await policyIn(join(import.meta.dirname, '../../../examples', name)));
    for (const isOtlp of [false, true]) {
      const options = { ...DEFAULT_OPTIONS, isOtlp, withTcp: true };
      expect(await checkEnvoy('envoy.json', JSON.stringify(plainBootstrap(found, options)), found, options)).toEqual(
        [],
      );
    }
  },
);

test('the configuration of docs/envoy.md lacks nothing for a policy that reads what it sends', async () => {
  const page = await readFile(join(import.meta.dirname, '../../../docs/envoy.md'), 'utf8');
  const snippet = [...page.matchAll(/```yaml\n([\s\S]*?)```/g)]
    .map(([, text = '']) => text)
    .find((text) => text.includes('static_resources'));
  const ofPage = await needsOfText(`attributes: { my.tier: { type: string, from: { contextExtension: tier } } }
${HANDLERS}
rules:
  - { name: tier, match: 'my.tier == "gold" && destination.namespace == "shop" && request.url_path == "/a"', deny: {} }
  - { name: body, match: 'has(request.body) && request.body.contains("evil")', deny: {} }
  - { name: address, match: 'source.ip == ip("192.0.2.1")', deny: {} }
  - { name: user, match: ratelimit.domain == "shop", quota: { handler: limits, limit: 2, per: 1h, key: [ratelimit.descriptor.user] } }
  - { name: entries, report: { handler: lines, input: { user: 'request.headers["x-user"]', rule: 'verdict.?rule.orValue("")', type: 'response.headers["content-type"]' } } }
  - { name: connections, report: { handler: lines, input: { bytes: connection.received.bytes } } }
`);
  expect(await checkEnvoy('envoy.yaml', snippet ?? '', ofPage, { ...DEFAULT_OPTIONS, withTcp: true })).toEqual([]);
});
