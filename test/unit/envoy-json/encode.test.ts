import type { DescEnum, DescField, DescMessage, JsonValue } from '@bufbuild/protobuf';
import { ScalarType } from '@bufbuild/protobuf';
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { expect, test } from 'vitest';
import { envoyTypes } from '../../../scripts/generate-envoy-types.ts';
import {
  decodeEnvoyJson,
  digestOf,
  encodeEnvoyJson,
  envoyTypes as knownTypes,
} from '../../../src/envoy-json/encode.ts';
import { encodedByLibrary } from '../../parts/envoy-json-by-library.ts';
import { Random } from '../../parts/random.ts';

const CLUSTER = 'type.googleapis.com/envoy.config.cluster.v3.Cluster';
const LISTENER = 'type.googleapis.com/envoy.config.listener.v3.Listener';
const MANAGER = 'envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager';
const ROOTS = [
  'envoy.config.cluster.v3.Cluster',
  'envoy.config.endpoint.v3.ClusterLoadAssignment',
  'envoy.config.listener.v3.Listener',
  'envoy.config.route.v3.RouteConfiguration',
  'envoy.extensions.transport_sockets.tls.v3.Secret',
];
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

test('an error begins with the path of the field', () => {
  const listener =
    (filters: unknown): (() => Uint8Array) =>
    () =>
      encodeEnvoyJson(LISTENER, { name: 'a', filter_chains: [{}, { filters }] } as never);
  const manager = { '@type': `type.googleapis.com/${MANAGER}`, http_filters: [{ name: 'a' }, { nmae: 'b' }] };
  expect(listener([{ typed_config: manager }])).toThrow(
    /^filter_chains\[1\]\.filters\[0\]\.typed_config\.http_filters\[1\]: .*key "nmae" is unknown/,
  );
  expect(listener({})).toThrow(/^filter_chains\[1\]\.filters: /);
  expect(() => encodeEnvoyJson(CLUSTER, { typed_extension_protocol_options: { a: { '@type': 'x/no.Such' } } })).toThrow(
    /^typed_extension_protocol_options: .*no\.Such/,
  );
  expect(() => encodeEnvoyJson(CLUSTER, { alt_stat_name: '', altStatName: 'a' })).toThrow(/alt_stat_name/);
  expect(() => encodeEnvoyJson(CLUSTER, { type: 'EDS', cluster_type: { name: 'a' } })).toThrow(/cluster_type/);
});

test('encoded bytes stay as they are while others are encoded', () => {
  const first = encodeEnvoyJson(CLUSTER, { name: 'first' });
  const before = digestOf(first);
  encodeEnvoyJson(CLUSTER, { name: 'other' });
  expect(digestOf(first)).toBe(before);
});

test('after an error, the next message is encoded as ever', () => {
  const json = { name: 'a', load_assignment: { cluster_name: 'a', endpoints: [{ priority: 1 }] } };
  const before = digestOf(encodeEnvoyJson(CLUSTER, json));
  for (const wrong of [{ priority: 'x' }, { priority: -1 }, { locality: { zone: '\ud800' } }])
    expect(() => encodeEnvoyJson(CLUSTER, { name: 'a', load_assignment: { endpoints: [wrong] } } as never)).toThrow(
      'load_assignment.endpoints[0].',
    );
  expect(digestOf(encodeEnvoyJson(CLUSTER, json))).toBe(before);
});

/** A value for a field, mostly of its own form; others are wrong, or of forms that the library takes as well. */
function randomValue(random: Random, field: DescField, depth: number): unknown {
  // Beside another member of its oneof, null is an absent member here and an error to the library.
  if (random.chance(60))
    return random.one<unknown>([
      ...(field.oneof === undefined ? [null, undefined] : []),
      0,
      -1,
      1.5,
      2 ** 40,
      '',
      '1',
      'x',
      true,
      [],
      {},
      [null],
      { a: 1 },
      '\ud800',
    ]);
  switch (field.fieldKind) {
    case 'scalar':
      return randomScalar(random, field.scalar);
    case 'enum':
      return randomEnum(random, field.enum);
    case 'message':
      return randomMessage(random, field.message, depth + 1);
    case 'list':
      return random.list([0, 1, 2, 3], () => randomItem(random, field, field.listKind, depth));
    case 'map':
      return Object.fromEntries(
        random.list([0, 1, 2, 3], () => [
          field.mapKey === ScalarType.STRING ? random.one(['b', 'a', 'é', '__proto__', '']) : String(random.below(5)),
          randomItem(random, field, field.mapKind, depth),
        ]),
      );
  }
}

function randomItem(random: Random, { scalar, enum: type, message }: DescField, kind: string, depth: number): unknown {
  if (kind === 'message') return randomMessage(random, message as DescMessage, depth + 1);
  return kind === 'enum' ? randomEnum(random, type as DescEnum) : randomScalar(random, scalar as ScalarType);
}

function randomScalar(random: Random, type: ScalarType): unknown {
  if (type === ScalarType.STRING)
    return random.one(['', 'a', 'é', 'x'.repeat(20), 'ä'.repeat(70), 'y'.repeat(300), '😀']);
  if (type === ScalarType.BOOL) return random.chance(2);
  if (type === ScalarType.BYTES) return random.one(['', 'AAA=', '_-8']);
  return random.one<unknown>([
    0,
    -0,
    1,
    127,
    128,
    300,
    70_000,
    0xffff_ffff,
    2 ** 31 - 1,
    -1,
    -300,
    2 ** 40,
    '7',
    0.5,
    -2.5,
  ]);
}

const randomEnum = (random: Random, { values }: DescEnum): unknown =>
  random.chance(8) ? random.one([0, 1, 77, -1, 'NO_SUCH']) : random.one(values).name;

const DURATIONS = ['0s', '1s', '0.5s', '10.000000001s', '-1s', '-0.5s', '1.5', '3155760000000s', 's', '1ms', '07s'];

function randomMessage(random: Random, schema: DescMessage, depth: number): unknown {
  const name = schema.typeName.replace('google.protobuf.', '');
  if (name === 'Duration') return random.one(DURATIONS);
  if (name === 'Timestamp') return '2026-01-02T03:04:05.006Z';
  if (name.endsWith('Value') && schema.typeName !== name && schema.fields.length === 1)
    return name === 'ListValue' ? [1, 'a', null] : randomScalar(random, schema.fields[0]?.scalar ?? ScalarType.BOOL);
  if (name === 'Struct' || name === 'Value')
    return random.one<unknown>([{}, { b: 1, a: 'x', c: { d: true } }, { a: null }, { a: [1] }, { a: Number.NaN }]);
  if (name === 'Any') {
    if (random.chance(8)) return random.one<unknown>([{}, { '@type': 'x/no.Such' }, { name: 'a' }, { '@type': 1 }]);
    const inner = random.chance(8) ? envoyTypeOf('google.protobuf.Duration') : random.one(ALL_TYPES);
    const value = randomMessage(random, inner, depth + 1);
    return { '@type': `type.googleapis.com/${inner.typeName}`, ...(typeof value === 'object' ? value : { value }) };
  }
  const names = new Set(random.list([0, 1, 2, 3, 5], () => random.one(schema.fields)));
  if (schema.fields.length === 0 || depth > 6) return {};
  return Object.fromEntries(
    [...names].map((field) => [
      random.chance(80) ? 'no_such' : random.chance(8) ? field.jsonName : field.name,
      randomValue(random, field, depth),
    ]),
  );
}

const envoyTypeOf = (name: string): DescMessage => knownTypes().getMessage(name) as DescMessage;
const ALL_TYPES = [...knownTypes()].filter(
  (type): type is DescMessage => type.kind === 'message' && !type.typeName.startsWith('google.protobuf.'),
);

test('bytes are those of the library for random messages of all types, and what it refuses is refused', () => {
  const counts = { encoded: 0, refused: 0, unequal: [] as unknown[] };
  for (let seed = 0; seed < Number(process.env['RUNS'] ?? 5000); seed++) {
    const random = new Random(seed);
    const type = random.chance(2) ? envoyTypeOf(random.one(ROOTS)) : random.one(ALL_TYPES);
    const json = randomMessage(random, type, 0) as JsonValue;
    const result = (encode: typeof encodeEnvoyJson): string => {
      try {
        return Buffer.from(encode(type.typeName, json)).toString('hex');
      } catch {
        return 'refused';
      }
    };
    const [own, other] = [result(encodeEnvoyJson), result(encodedByLibrary)];
    if (own !== other) counts.unequal.push({ seed, type: type.typeName, json: JSON.stringify(json), own, other });
    if (other === 'refused') counts.refused++;
    else counts.encoded++;
  }
  expect(counts.unequal.slice(0, 3)).toEqual([]);
  expect(Math.min(counts.encoded, counts.refused)).toBeGreaterThan(300);
});

test('src/envoy-json/envoy-types.ts is what the script makes of the protos', () => {
  const file = join(resolve(import.meta.dirname, '../../..'), 'src/envoy-json/envoy-types.ts');
  expect(existsSync(file)).toBe(true);
  expect(readFileSync(file, 'utf8') === envoyTypes(), 'run npm run generate').toBe(true);
});
