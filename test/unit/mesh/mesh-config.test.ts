/** Istio's MeshConfig: which of its words have a meaning here, and what they come to. */
import { describe, expect, test } from 'vitest';
import { Findings } from '../../../src/yaml/findings.ts';
import type { Made } from '../../../src/mesh/envoy/made.ts';
import { type MeshConfig, readMeshConfig } from '../../../src/mesh/rules/mesh-config.ts';
import { CLUSTER, LISTENER, ROUTES } from '../../../src/xds/index.ts';
import { readMesh } from '../../parts/mesh/read-mesh.ts';
import { named, names, resourcesFor, validate } from '../../parts/mesh/resources.ts';

async function read(
  text: string,
): Promise<{ readonly config: MeshConfig | undefined; readonly findings: readonly string[] }> {
  const findings = new Findings();
  const config = await readMeshConfig('mesh.yaml', text, findings);
  return {
    config,
    findings: findings
      .sorted(['mesh.yaml'])
      .map(({ position: { line, column }, severity, message }) => `${line}:${column} ${severity} ${message}`),
  };
}

const MESH = `
apiVersion: v1
kind: Service
metadata: { name: web }
spec: { clusterIP: 10.96.0.1, selector: { app: web }, ports: [{ name: http, port: 80 }, { name: tcp, port: 81 }] }
---
apiVersion: v1
kind: Service
metadata: { name: hidden, namespace: other }
spec: { clusterIP: 10.96.0.2, ports: [{ name: http, port: 80 }] }
---
apiVersion: v1
kind: Service
metadata: { name: shown, namespace: other, annotations: { networking.istio.io/exportTo: "*" } }
spec: { clusterIP: 10.96.0.3, ports: [{ name: http, port: 80 }] }
---
apiVersion: v1
kind: Pod
metadata: { name: web-1, labels: { app: web } }
status: { podIP: 10.0.0.1 }
`;

async function resourcesWith(text: string): Promise<readonly Made[]> {
  const { config, findings } = await read(text);
  expect(findings).toEqual([]);
  const { mesh } = await readMesh({ 'mesh.yaml': MESH }, config?.settings);
  const all = resourcesFor(mesh, 'sidecar~10.0.0.1~web-1.default~default.svc.cluster.local', {});
  expect(await validate(all)).toContain('OK');
  return all;
}
const text = (all: readonly Made[], type: string, name: string): string => JSON.stringify(named(all, type, name));
const WEB = 'outbound|80||web.default.svc.cluster.local';

describe('a MeshConfig', () => {
  test('of a cluster of Istio is taken; words without effect are warnings at their place', async () => {
    const { config, findings } = await read(`
rootNamespace: mesh-system
trustDomain: td1
trustDomainAliases: [td0]
outboundTrafficPolicy: { mode: REGISTRY_ONLY }
proxyListenPort: 15001
enablePrometheusMerge: true
defaultConfig: { discoveryAddress: "istiod.istio-system.svc:15012" }
extensionProviders: []
`);
    expect(findings).toEqual([
      '7:1 warning enablePrometheusMerge of a MeshConfig has no effect here',
      '9:1 warning extensionProviders of a MeshConfig has no effect here',
    ]);
    expect(config).toMatchObject({
      settings: { rootNamespace: 'mesh-system', outbound: 'REGISTRY_ONLY' },
      trustDomain: 'td1',
      trustDomainAliases: ['td0'],
    });
  });

  test('says from which version of TLS on workloads take calls of each other', async () => {
    const { config, findings } = await read('meshMTLS: { minProtocolVersion: TLSV1_3, cipherSuites: [a] }');
    expect(findings).toEqual(['1:42 warning meshMTLS.cipherSuites of a MeshConfig has no effect here']);
    const inbound = async (settings: MeshConfig['settings'] | undefined): Promise<string> => {
      const identities = { trustDomain: 'cluster.local', trustDomainAliases: [] };
      const { mesh } = await readMesh({ 'mesh.yaml': MESH }, { ...settings, identities });
      const all = resourcesFor(mesh, 'sidecar~10.0.0.1~web-1.default~default.svc.cluster.local', {
        SDS_CLUSTER: 'sds-grpc',
      });
      expect(await validate(all)).toContain('OK');
      return text(all, LISTENER, 'virtualInbound');
    };
    expect(await inbound(config?.settings)).toContain('"tls_minimum_protocol_version":"TLSv1_3"');
    expect(await inbound(config?.settings)).not.toContain('"tls_minimum_protocol_version":"TLSv1_2"');
    const automatic = await read('meshMTLS: { minProtocolVersion: TLS_AUTO }');
    expect(await inbound(automatic.config?.settings)).toContain('"tls_minimum_protocol_version":"TLSv1_2"');
    expect((await read('meshMTLS: { minProtocolVersion: TLSV1_1 }')).findings.join()).toContain('TLSV1_3');
  });

  test('that is empty says nothing', async () => {
    expect(await read('')).toEqual({
      config: { settings: {}, trustDomain: undefined, trustDomainAliases: [] },
      findings: [],
    });
    expect(await resourcesWith('')).toEqual(await resourcesWith('{}'));
  });

  test.each([
    ['outboundTrafficPolicy: { mode: ANY }', /^1:32 error .*outboundTrafficPolicy\.mode: expected one of/],
    ['connectTimeout: soon', /^1:17 error .*connectTimeout: expected a duration/],
    ['proxyListenPort: 15002', /^1:18 error .*only 15001 has listeners here/],
    ['[]', /^1:1 error expected the fields of a MeshConfig; found a list/],
    ['outboundTrafficPolicy: {', /^\d+:\d+ error /],
  ])('with %s is refused', async (written, why) => {
    const { config, findings } = await read(written);
    expect(config).toBeUndefined();
    expect(findings.join('\n')).toMatch(why);
  });
});

test('connections have its time-out and keep-alive, and HTTP/2 where it upgrades', async () => {
  const all = await resourcesWith(
    '{ connectTimeout: 3s, tcpKeepalive: { time: 60s, probes: 4 }, h2UpgradePolicy: UPGRADE }',
  );
  for (const name of [WEB, 'inbound|80||'])
    expect(named(all, CLUSTER, name)).toMatchObject({
      connect_timeout: '3s',
      upstream_connection_options: { tcp_keepalive: { keepalive_time: 60, keepalive_probes: 4 } },
    });
  expect(text(all, CLUSTER, WEB)).toContain('"http2_protocol_options"');
  expect(text(all, CLUSTER, 'inbound|80||')).not.toContain('"http2_protocol_options"');
});

test('routes without a rule are retried as it says', async () => {
  const all = await resourcesWith('defaultHttpRetryPolicy: { attempts: 5, retryOn: gateway-error }');
  expect(text(all, ROUTES, '80')).toContain('"retry_policy":{"retry_on":"gateway-error","num_retries":5');
  expect(text(await resourcesWith('defaultHttpRetryPolicy: { attempts: 0 }'), ROUTES, '80')).not.toContain(
    'retry_policy',
  );
});

test('objects are seen where it exports them, unless they say themselves', async () => {
  const all = await resourcesWith('defaultServiceExportTo: ["."]');
  expect(names(all, CLUSTER).filter((name) => name.startsWith('outbound|80|'))).toEqual([
    'outbound|80||shown.other.svc.cluster.local',
    WEB,
  ]);
});

test('the application is called at 127.0.0.1 where inbound traffic is for the local host', async () => {
  const all = await resourcesWith('inboundTrafficPolicy: { mode: LOCALHOST }');
  expect(text(all, CLUSTER, 'inbound|80||')).toContain('"address":"127.0.0.1","port_value":80');
  expect(text(all, LISTENER, '10.0.0.1_80')).toContain('inbound|80||"');
});

test.each([
  ['TEXT', '/dev/stdout', 'StdoutAccessLog', '"text_format_source":{"inline_string":"[%START_TIME%]'],
  ['JSON', '/dev/stderr', 'StderrAccessLog', '"json_format":{"start_time":"%START_TIME%"'],
  ['TEXT', '/dev/null', 'FileAccessLog', '"path":"/dev/null"'],
])('each proxy writes its calls, as %s to %s', async (encoding, path, type, expected) => {
  const all = await resourcesWith(`{ accessLogFile: ${path}, accessLogEncoding: ${encoding} }`);
  for (const name of ['virtualInbound', 'virtualOutbound', '0.0.0.0_80', '10.96.0.1_81']) {
    expect(text(all, LISTENER, name)).toContain(`.${type}"`);
    expect(text(all, LISTENER, name)).toContain(expected);
  }
});

test.each([
  ['NONE', { normalize_path: false }],
  ['BASE', { normalize_path: true }],
  ['MERGE_SLASHES', { normalize_path: true, merge_slashes: true }],
  [
    'DECODE_AND_MERGE_SLASHES',
    { normalize_path: true, merge_slashes: true, path_with_escaped_slashes_action: 'UNESCAPE_AND_FORWARD' },
  ],
])('paths are normalized by %s', async (normalization, expected) => {
  const all = await resourcesWith(`pathNormalization: { normalization: ${normalization} }`);
  const { filter_chains: chains } = named(all, LISTENER, '0.0.0.0_80') as unknown as {
    filter_chains: { filters: { typed_config: Record<string, unknown> }[] }[];
  };
  const { normalize_path, merge_slashes, path_with_escaped_slashes_action } =
    chains.at(-1)?.filters[0]?.typed_config ?? {};
  expect(JSON.parse(JSON.stringify({ normalize_path, merge_slashes, path_with_escaped_slashes_action }))).toEqual(
    expected,
  );
});
