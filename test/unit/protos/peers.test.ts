/**
 * Our protos against Envoy's own, as @grpc/grpc-js-xds ships them: each field's name, number, type, repetition and oneof,
 * each value of an enumeration, each method. What differs is listed here with its reason; nothing else may.
 */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import {
  ScalarType,
  type DescEnum,
  type DescField,
  type DescFile,
  type DescMessage,
  type DescService,
} from '@bufbuild/protobuf';
import protobuf from 'protobufjs';
import { describe, expect, test } from 'vitest';
import { file_envoy_service_accesslog_v3_als } from '../../../gen/envoy/service/accesslog/v3/als_pb.ts';
import { file_envoy_service_auth_v3_external_auth } from '../../../gen/envoy/service/auth/v3/external_auth_pb.ts';
import { file_envoy_service_ratelimit_v3_rls } from '../../../gen/envoy/service/ratelimit/v3/rls_pb.ts';

/** Newer than the package, with the numbers of envoyproxy/data-plane-api at 84e84367 (2026-01-29), for WEEK of envoyproxy/ratelimit. */
const NEWER_THAN_THE_PACKAGE = [
  'envoy.config.core.v3.SocketAddress.network_namespace_filepath = 7: string',
  'envoy.data.accesslog.v3.AccessLogType.TcpConnectionStart = 14',
  'envoy.extensions.common.ratelimit.v3.RateLimitDescriptor.hits_addend = 3: google.protobuf.UInt64Value',
  'envoy.service.auth.v3.CheckResponse.error_response = 5: envoy.service.auth.v3.DeniedHttpResponse in oneof http_response',
  'envoy.service.ratelimit.v3.RateLimitResponse.RateLimit.Unit.WEEK = 7',
  'envoy.type.v3.RateLimitUnit.WEEK = 7',
];

/** Left out of our protos. Nothing so far, since unknown fields are dropped silently. */
const LEFT_OUT: readonly string[] = [];

const OF_GOOGLE = 'google.protobuf.';

interface Known {
  readonly lines: Set<string>;
  readonly names: Set<string>;
}

function ours(files: readonly DescFile[]): Known {
  const lines = new Set<string>();
  const names = new Set<string>();
  const seen = new Set<DescFile>();
  const visit = (file: DescFile): void => {
    if (seen.has(file) || file.proto.package.startsWith('google.protobuf')) return;
    seen.add(file);
    file.services.forEach(ofService);
    file.enums.forEach(ofEnum);
    file.messages.forEach(ofMessage);
    file.dependencies.forEach(visit);
  };
  const ofService = ({ typeName, methods }: DescService): void => {
    for (const { name, input, output, methodKind } of methods)
      lines.add(
        methodLine(
          typeName,
          name,
          input.typeName,
          output.typeName,
          methodKind === 'client_streaming' || methodKind === 'bidi_streaming',
          methodKind === 'server_streaming' || methodKind === 'bidi_streaming',
        ),
      );
  };
  const ofEnum = ({ typeName, values }: DescEnum): void => {
    names.add(typeName);
    for (const { name, number } of values) lines.add(`${typeName}.${name} = ${number}`);
  };
  const ofMessage = (message: DescMessage): void => {
    names.add(message.typeName);
    for (const field of message.fields)
      lines.add(fieldLine(message.typeName, field.name, field.number, typeOf(field), field.oneof?.name));
    message.nestedEnums.forEach(ofEnum);
    message.nestedMessages.forEach(ofMessage);
  };
  files.forEach(visit);
  return { lines, names };
}

function typeOf(field: DescField): string {
  const one = (of: {
    scalar?: ScalarType | undefined;
    message?: DescMessage | undefined;
    enum?: DescEnum | undefined;
  }): string => (of.message ?? of.enum)?.typeName ?? ScalarType[of.scalar ?? 0]?.toLowerCase() ?? 'unknown';
  if (field.fieldKind === 'list') return `repeated ${one(field)}`;
  if (field.fieldKind === 'map') return `map<${ScalarType[field.mapKey]?.toLowerCase()}, ${one(field)}>`;
  return one(field);
}

const fieldLine = (message: string, name: string, number: number, type: string, oneof: string | undefined): string =>
  `${message}.${name} = ${number}: ${type}${oneof === undefined ? '' : ` in oneof ${oneof}`}`;
const methodLine = (
  service: string,
  name: string,
  input: string,
  output: string,
  clientStreams: boolean,
  serverStreams: boolean,
): string =>
  `${service}.${name}(${clientStreams ? 'stream ' : ''}${input}) returns (${serverStreams ? 'stream ' : ''}${output})`;

/** Everything reachable from their three services. */
function theirs(): Known {
  const require = createRequire(import.meta.url);
  const deps = join(dirname(require.resolve('@grpc/grpc-js-xds/package.json')), 'deps');
  const folders = [
    ...['envoy-api', 'googleapis', 'protoc-gen-validate', 'xds'].map((name) => join(deps, name)),
    dirname(require.resolve('protobufjs/package.json')),
  ];
  const root = new protobuf.Root();
  root.resolvePath = (_origin, target) => folders.map((folder) => join(folder, target)).find(existsSync) ?? target;
  root.loadSync(
    [
      file_envoy_service_auth_v3_external_auth,
      file_envoy_service_ratelimit_v3_rls,
      file_envoy_service_accesslog_v3_als,
    ].map(({ proto }) => proto.name),
    { keepCase: true },
  );
  root.resolveAll();
  const lines = new Set<string>();
  const names = new Set<string>();
  const nameOf = ({ fullName }: protobuf.ReflectionObject): string => fullName.replace(/^\./, '');
  const visit = (thing: protobuf.Type | protobuf.Enum | null): void => {
    if (thing === null || names.has(nameOf(thing)) || nameOf(thing).startsWith(OF_GOOGLE)) return;
    const name = nameOf(thing);
    names.add(name);
    if (thing instanceof protobuf.Enum) {
      for (const [value, number] of Object.entries(thing.values)) lines.add(`${name}.${value} = ${number}`);
      return;
    }
    for (const field of thing.fieldsArray) {
      field.resolve();
      const one = field.resolvedType === null ? field.type : nameOf(field.resolvedType);
      const type =
        field instanceof protobuf.MapField
          ? `map<${field.keyType}, ${one}>`
          : `${field.repeated ? 'repeated ' : ''}${one}`;
      lines.add(fieldLine(name, field.name, field.id, type, field.partOf?.name));
      visit(field.resolvedType);
    }
  };
  for (const service of [
    'envoy.service.auth.v3.Authorization',
    'envoy.service.ratelimit.v3.RateLimitService',
    'envoy.service.accesslog.v3.AccessLogService',
  ]) {
    for (const method of root.lookupService(service).methodsArray) {
      method.resolve();
      const { resolvedRequestType: input, resolvedResponseType: output } = method;
      if (input === null || output === null) throw new Error(`${method.fullName} has no types`);
      lines.add(
        methodLine(
          service,
          method.name,
          nameOf(input),
          nameOf(output),
          method.requestStream === true,
          method.responseStream === true,
        ),
      );
      visit(input);
      visit(output);
    }
  }
  return { lines, names };
}

const mine = ours([
  file_envoy_service_auth_v3_external_auth,
  file_envoy_service_ratelimit_v3_rls,
  file_envoy_service_accesslog_v3_als,
]);
const peers = theirs();

describe("our protos and Envoy's", () => {
  test('share the messages that the services need', () => {
    expect([...mine.names].toSorted()).toEqual([...peers.names].toSorted());
    expect(mine.names.size).toBeGreaterThan(50);
  });

  test('agree on every field, value and method, but for what is newer than the package', () => {
    expect([...mine.lines].filter((line) => !peers.lines.has(line)).toSorted()).toEqual(NEWER_THAN_THE_PACKAGE);
  });

  test('nothing of theirs is left out', () => {
    expect([...peers.lines].filter((line) => !mine.lines.has(line)).toSorted()).toEqual(LEFT_OUT);
    expect(peers.lines.size).toBeGreaterThan(250);
  });
});
