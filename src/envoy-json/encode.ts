/**
 * Resources of Envoy in its own JSON, as configuration files and dumps have them (snake_case, `@type` in an Any), to bytes.
 * **In**: JSON. **Out**: the encoded message, and a digest of it. **Fails**: with an {@link EnvoyJsonError} that names the field.
 */
import { createHash } from 'node:crypto';
import { gunzipSync } from 'node:zlib';
import {
  create,
  createFileRegistry,
  fromBinary,
  fromJson,
  type JsonValue,
  type Registry,
  toBinary,
  toJson,
} from '@bufbuild/protobuf';
import {
  file_google_protobuf_any,
  file_google_protobuf_duration,
  file_google_protobuf_empty,
  file_google_protobuf_struct,
  file_google_protobuf_timestamp,
  file_google_protobuf_wrappers,
  FileDescriptorSetSchema,
} from '@bufbuild/protobuf/wkt';
import { ENVOY_TYPES } from './envoy-types.ts';
import { messageOf } from '../text/message-of.ts';

export class EnvoyJsonError extends Error {
  override name = 'EnvoyJsonError';
}

const GOOGLE = [
  file_google_protobuf_any,
  file_google_protobuf_duration,
  file_google_protobuf_empty,
  file_google_protobuf_struct,
  file_google_protobuf_timestamp,
  file_google_protobuf_wrappers,
];

let known: Registry | undefined;

/** The types of Envoy's resources. Made when first asked for: it takes some 30 ms. */
export function envoyTypes(): Registry {
  if (known !== undefined) return known;
  const { file } = fromBinary(FileDescriptorSetSchema, gunzipSync(Buffer.from(ENVOY_TYPES, 'base64')));
  known = createFileRegistry(create(FileDescriptorSetSchema, { file: [...GOOGLE.map(({ proto }) => proto), ...file] }));
  return known;
}

const PREFIX = 'type.googleapis.com/';

function schemaOf(typeUrl: string) {
  const name = typeUrl.startsWith(PREFIX) ? typeUrl.slice(PREFIX.length) : typeUrl;
  const schema = envoyTypes().getMessage(name);
  if (schema === undefined) throw new EnvoyJsonError(`${name} is no type of Envoy's resources that is known here`);
  return schema;
}

/** Equal content gives equal bytes, whatever the order of its keys. */
export function encodeEnvoyJson(typeUrl: string, json: JsonValue): Uint8Array {
  const schema = schemaOf(typeUrl);
  try {
    return toBinary(schema, fromJson(schema, sorted(json), { registry: envoyTypes() }));
  } catch (error) {
    throw new EnvoyJsonError(messageOf(error), { cause: error });
  }
}

/** Back to JSON, with the names of the protos. `registry`: of the types within an Any. */
export function decodeEnvoyJson(typeUrl: string, bytes: Uint8Array, registry: Registry = envoyTypes()): JsonValue {
  const schema = schemaOf(typeUrl);
  return toJson(schema, fromBinary(schema, bytes), { registry, useProtoFieldName: true });
}

export const digestOf = (content: Uint8Array | string): string =>
  createHash('sha256').update(content).digest('hex').slice(0, 16);

/** Maps are written in the order of their keys. */
function sorted(json: JsonValue): JsonValue {
  if (Array.isArray(json)) return json.map(sorted);
  if (typeof json !== 'object' || json === null) return json;
  return Object.fromEntries(
    Object.keys(json)
      .toSorted()
      .map((key) => [key, sorted(json[key] ?? null)]),
  );
}
