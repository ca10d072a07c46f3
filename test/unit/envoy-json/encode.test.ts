import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { expect, test } from 'vitest';
import { envoyTypes } from '../../../scripts/generate-envoy-types.ts';
import { decodeEnvoyJson, digestOf, encodeEnvoyJson } from '../../../src/envoy-json/encode.ts';

const CLUSTER = 'type.googleapis.com/envoy.config.cluster.v3.Cluster';
const HTTP_OPTIONS = 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions';

test('a resource in the JSON of Envoy becomes bytes, and comes back', () => {
  const json = {
    name: 'outbound|9080||reviews.default.svc.cluster.local',
    type: 'EDS',
    connect_timeout: '10s',
    eds_cluster_config: { eds_config: { ads: {}, resource_api_version: 'V3', initial_fetch_timeout: '0s' } },
    circuit_breakers: { thresholds: [{ max_connections: 1, track_remaining: true }] },
    typed_extension_protocol_options: {
      [HTTP_OPTIONS]: {
        '@type': `type.googleapis.com/${HTTP_OPTIONS}`,
        explicit_http_config: { http2_protocol_options: { max_concurrent_streams: 1073741824 } },
      },
    },
    metadata: { filter_metadata: { istio: { config: 'mesh.yaml:3' } } },
  };
  expect(decodeEnvoyJson(CLUSTER, encodeEnvoyJson(CLUSTER, json))).toEqual(json);
});

test('equal content has equal bytes, whatever the order of its keys', () => {
  const metadata = (names: readonly string[]): object => ({
    filter_metadata: Object.fromEntries(names.map((name) => [name, { value: name }])),
  });
  const encoded = (names: readonly string[]): string =>
    digestOf(encodeEnvoyJson(CLUSTER, { name: 'a', metadata: metadata(names) } as never));
  expect(encoded(['a', 'b', 'c'])).toBe(encoded(['c', 'a', 'b']));
});

test('an unknown field, value or type is an error that names it', () => {
  expect(() => encodeEnvoyJson(CLUSTER, { nmae: 'a' })).toThrow('key "nmae" is unknown');
  expect(() => encodeEnvoyJson(CLUSTER, { connect_timeout: 'soon' })).toThrow(
    'google.protobuf.Duration from JSON: "soon"',
  );
  expect(() =>
    encodeEnvoyJson(CLUSTER, { typed_extension_protocol_options: { a: { '@type': 'type.googleapis.com/no.Such' } } }),
  ).toThrow('no.Such');
  expect(() => encodeEnvoyJson('type.googleapis.com/no.Such', {})).toThrow('no.Such is no type of Envoy');
});

test('src/envoy-json/envoy-types.ts is what the script makes of the protos', () => {
  const file = join(resolve(import.meta.dirname, '../../..'), 'src/envoy-json/envoy-types.ts');
  expect(existsSync(file)).toBe(true);
  expect(readFileSync(file, 'utf8') === envoyTypes(), 'run npm run generate').toBe(true);
});
