/**
 * Writes src/envoy-json/envoy-types.ts: names, numbers and types of the fields of Envoy's resources, read from the protos that
 * @grpc/grpc-js-xds ships, so that a resource in Envoy's own JSON can be encoded. Options and comments are left out.
 */
import { create, toBinary } from '@bufbuild/protobuf';
import {
  type DescriptorProto,
  DescriptorProtoSchema,
  type EnumDescriptorProto,
  EnumDescriptorProtoSchema,
  FieldDescriptorProto_Label as Label,
  FieldDescriptorProto_Type as Type,
  type FieldDescriptorProto,
  FieldDescriptorProtoSchema,
  type FileDescriptorProto,
  FileDescriptorProtoSchema,
  FileDescriptorSetSchema,
} from '@bufbuild/protobuf/wkt';
import { existsSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { gzipSync } from 'node:zlib';
import protobuf from 'protobufjs';

const OUT = 'src/envoy-json/envoy-types.ts';

/** The resources, and what they hold as google.protobuf.Any. */
const ROOTS = [
  'envoy.config.listener.v3.Listener',
  'envoy.config.route.v3.RouteConfiguration',
  'envoy.config.cluster.v3.Cluster',
  'envoy.config.endpoint.v3.ClusterLoadAssignment',
  'envoy.extensions.transport_sockets.tls.v3.Secret',
  'envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext',
  'envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext',
  'envoy.extensions.transport_sockets.proxy_protocol.v3.ProxyProtocolUpstreamTransport',
  'envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer',
  'envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager',
  'envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy',
  'envoy.extensions.filters.network.rbac.v3.RBAC',
  'envoy.extensions.filters.network.ext_authz.v3.ExtAuthz',
  'envoy.extensions.filters.http.router.v3.Router',
  'envoy.extensions.filters.http.cors.v3.Cors',
  'envoy.extensions.filters.http.cors.v3.CorsPolicy',
  'envoy.extensions.filters.http.fault.v3.HTTPFault',
  'envoy.extensions.filters.http.grpc_web.v3.GrpcWeb',
  'envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication',
  'envoy.extensions.filters.http.ext_authz.v3.ExtAuthz',
  'envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute',
  'envoy.extensions.filters.http.ratelimit.v3.RateLimit',
  'envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector',
  'envoy.extensions.filters.listener.http_inspector.v3.HttpInspector',
  'envoy.extensions.filters.listener.original_dst.v3.OriginalDst',
  'envoy.extensions.filters.listener.original_src.v3.OriginalSrc',
  'envoy.extensions.upstreams.http.v3.HttpProtocolOptions',
  'envoy.extensions.access_loggers.grpc.v3.HttpGrpcAccessLogConfig',
  'envoy.extensions.access_loggers.grpc.v3.TcpGrpcAccessLogConfig',
  'envoy.extensions.access_loggers.file.v3.FileAccessLog',
  'envoy.extensions.access_loggers.stream.v3.StdoutAccessLog',
  'envoy.extensions.access_loggers.stream.v3.StderrAccessLog',
  'envoy.extensions.rate_limit_descriptors.expr.v3.Descriptor',
  'envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate',
  'envoy.extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig',
];

const SCALARS: Readonly<Record<string, Type>> = {
  double: Type.DOUBLE,
  float: Type.FLOAT,
  int64: Type.INT64,
  uint64: Type.UINT64,
  int32: Type.INT32,
  fixed64: Type.FIXED64,
  fixed32: Type.FIXED32,
  bool: Type.BOOL,
  string: Type.STRING,
  bytes: Type.BYTES,
  uint32: Type.UINT32,
  sfixed32: Type.SFIXED32,
  sfixed64: Type.SFIXED64,
  sint32: Type.SINT32,
  sint64: Type.SINT64,
};

const OF_GOOGLE = '.google.protobuf.';

/** Messages and enumerations that the roots need, by file. */
class Reachable {
  readonly files = new Map<string, Set<protobuf.Type | protobuf.Enum>>();
  readonly #seen = new Set<protobuf.ReflectionObject>();

  add(thing: protobuf.Type | protobuf.Enum | null): void {
    if (thing === null || thing.fullName.startsWith(OF_GOOGLE)) return;
    // A nested type stands in its outermost message, whose other fields are needed for that alone; so it is added whole.
    const top = outermost(thing);
    if (this.#seen.has(top)) return;
    this.#seen.add(top);
    const file = fileOf(top);
    const known = this.files.get(file) ?? new Set();
    this.files.set(file, known.add(top));
    if (top instanceof protobuf.Type) this.#fields(top);
  }

  #fields(type: protobuf.Type): void {
    for (const field of type.fieldsArray) {
      field.resolve();
      this.add(field.resolvedType);
    }
    for (const nested of type.nestedArray) if (nested instanceof protobuf.Type) this.#fields(nested);
  }
}

function outermost(thing: protobuf.Type | protobuf.Enum): protobuf.Type | protobuf.Enum {
  return thing.parent instanceof protobuf.Type ? outermost(thing.parent) : thing;
}

const fileOf = (thing: protobuf.ReflectionObject): string => {
  const [, file] = /\/deps\/[^/]+\/(.*)$/.exec(thing.filename ?? '') ?? [];
  if (file === undefined) throw new Error(`${thing.fullName} is in no file of the package`);
  return file;
};

function messageOf(type: protobuf.Type): DescriptorProto {
  const oneofs = type.oneofsArray.filter(({ name }) => !name.startsWith('_'));
  const maps = type.fieldsArray.filter((field) => field instanceof protobuf.MapField);
  return create(DescriptorProtoSchema, {
    name: type.name,
    field: type.fieldsArray.map((field) => fieldOf(field, oneofs)),
    oneofDecl: oneofs.map(({ name }) => ({ name })),
    nestedType: [
      ...type.nestedArray.filter((nested) => nested instanceof protobuf.Type).map(messageOf),
      ...maps.map(entryOf),
    ],
    enumType: type.nestedArray.filter((nested) => nested instanceof protobuf.Enum).map(enumOf),
  });
}

const enumOf = (type: protobuf.Enum): EnumDescriptorProto =>
  create(EnumDescriptorProtoSchema, {
    name: type.name,
    value: Object.entries(type.values).map(([name, number]) => ({ name, number })),
    ...(new Set(Object.values(type.values)).size < Object.keys(type.values).length
      ? { options: { allowAlias: true } }
      : {}),
  });

type AnyField = protobuf.FieldBase;

const entryName = (field: AnyField): string =>
  `${field.name.replace(/(^|_)([a-z])/g, (_, _before, letter: string) => letter.toUpperCase())}Entry`;

const entryOf = (field: protobuf.MapField): DescriptorProto =>
  create(DescriptorProtoSchema, {
    name: entryName(field),
    field: [
      { name: 'key', jsonName: 'key', number: 1, label: Label.OPTIONAL, type: scalar(field.keyType) },
      { name: 'value', jsonName: 'value', number: 2, label: Label.OPTIONAL, ...typeOf(field) },
    ],
    options: { mapEntry: true },
  });

function fieldOf(field: AnyField, oneofs: readonly protobuf.OneOf[]): FieldDescriptorProto {
  const oneofIndex = oneofs.findIndex((oneof) => oneof === field.partOf);
  const isMap = field instanceof protobuf.MapField;
  return create(FieldDescriptorProtoSchema, {
    name: field.name,
    jsonName: field.name.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase()),
    number: field.id,
    label: field.repeated || isMap ? Label.REPEATED : Label.OPTIONAL,
    ...(isMap
      ? { type: Type.MESSAGE, typeName: `${field.parent?.fullName ?? ''}.${entryName(field)}` }
      : typeOf(field)),
    ...(oneofIndex < 0 ? {} : { oneofIndex }),
  });
}

function typeOf(field: AnyField): { type: Type; typeName?: string } {
  const { resolvedType, type } = field;
  if (resolvedType === null) return { type: scalar(type) };
  return { type: resolvedType instanceof protobuf.Enum ? Type.ENUM : Type.MESSAGE, typeName: resolvedType.fullName };
}

function scalar(name: string): Type {
  const type = SCALARS[name];
  if (type === undefined) throw new Error(`${name} is no scalar type`);
  return type;
}

function filesOf({ files }: Reachable): FileDescriptorProto[] {
  const made = new Map<string, FileDescriptorProto>();
  const make = (file: string): void => {
    if (made.has(file)) return;
    const types = [...(files.get(file) ?? [])];
    const dependencies = new Set<string>();
    const depend = (type: protobuf.Type): void => {
      for (const { resolvedType } of type.fieldsArray) {
        if (resolvedType === null) continue;
        const name = resolvedType.fullName;
        dependencies.add(name.startsWith(OF_GOOGLE) ? googleFile(name) : fileOf(outermost(resolvedType)));
      }
      for (const nested of type.nestedArray) if (nested instanceof protobuf.Type) depend(nested);
    };
    for (const type of types) if (type instanceof protobuf.Type) depend(type);
    dependencies.delete(file);
    for (const other of [...dependencies].toSorted()) if (files.has(other)) make(other);
    made.set(
      file,
      create(FileDescriptorProtoSchema, {
        name: file,
        syntax: 'proto3',
        package: types[0]?.parent?.fullName.slice(1) ?? '',
        dependency: [...dependencies].toSorted(),
        messageType: types.filter((type) => type instanceof protobuf.Type).map(messageOf),
        enumType: types.filter((type) => type instanceof protobuf.Enum).map(enumOf),
      }),
    );
  };
  for (const file of [...files.keys()].toSorted()) make(file);
  return [...made.values()];
}

const GOOGLE_FILES: Readonly<Record<string, string>> = {
  Any: 'any',
  Duration: 'duration',
  Timestamp: 'timestamp',
  Empty: 'empty',
  Struct: 'struct',
  Value: 'struct',
  ListValue: 'struct',
  FieldMask: 'field_mask',
};
const googleFile = (name: string): string =>
  `google/protobuf/${GOOGLE_FILES[name.slice(OF_GOOGLE.length)] ?? 'wrappers'}.proto`;

export function envoyTypes(): string {
  const require = createRequire(import.meta.url);
  const deps = join(dirname(require.resolve('@grpc/grpc-js-xds/package.json')), 'deps');
  const folders = [
    ...['envoy-api', 'googleapis', 'protoc-gen-validate', 'xds'].map((name) => join(deps, name)),
    dirname(require.resolve('protobufjs/package.json')),
  ];
  const root = new protobuf.Root();
  root.resolvePath = (_origin, target) => folders.map((folder) => join(folder, target)).find(existsSync) ?? target;
  root.loadSync(ROOTS.map(protoOf(folders)), { keepCase: true });
  const reachable = new Reachable();
  for (const name of ROOTS) reachable.add(root.lookupType(name));
  const set = toBinary(FileDescriptorSetSchema, create(FileDescriptorSetSchema, { file: filesOf(reachable) }));
  const text = gzipSync(set, { level: 9 }).toString('base64');
  return `// Made by scripts/generate-envoy-types.ts.\n/** A FileDescriptorSet of the types of Envoy's resources, compressed by gzip, in base64. */\nexport const ENVOY_TYPES =\n  '${text}';\n`;
}

/** The file that declares a message: any of its package that has it. */
function protoOf(folders: readonly string[]): (name: string) => string {
  const FILES: Readonly<Record<string, string>> = {
    ClusterLoadAssignment: 'endpoint',
    RouteConfiguration: 'route',
    HTTPFault: 'fault',
    JwtAuthentication: 'config',
    CorsPolicy: 'cors',
    ExtAuthzPerRoute: 'ext_authz',
    RateLimit: 'rate_limit',
    RBAC: 'rbac',
    HttpGrpcAccessLogConfig: 'als',
    TcpGrpcAccessLogConfig: 'als',
    FileAccessLog: 'file',
    StdoutAccessLog: 'stream',
    StderrAccessLog: 'stream',
    DownstreamTlsContext: 'tls',
    UpstreamTlsContext: 'tls',
    PreviousHostsPredicate: 'previous_hosts',
    Descriptor: 'expr',
    ProxyProtocolUpstreamTransport: 'upstream_proxy_protocol',
  };
  return (name) => {
    const parts = name.split('.');
    const message = parts.pop() ?? '';
    const snake = message.replace(/(?<=[a-z])([A-Z])/g, '_$1').toLowerCase();
    const file = `${parts.join('/')}/${FILES[message] ?? snake}.proto`;
    if (!folders.some((folder) => existsSync(join(folder, file)))) throw new Error(`${name}: no file ${file}`);
    return file;
  };
}

if (import.meta.main) writeFileSync(join(resolve(import.meta.dirname, '..'), OUT), envoyTypes());
