/**
 * Resources of Envoy in its own JSON, as configuration files and dumps have them (snake_case, `@type` in an Any), to bytes.
 * **In**: JSON. **Out**: the encoded message, and a digest of it. **Fails**: with an {@link EnvoyJsonError} that names the field by its
 * path.
 */
import { hash } from 'node:crypto';
import { type DescMessage, fromBinary, type JsonValue, type Registry, toJson } from '@bufbuild/protobuf';
import { ProtobufWriter } from '../protobuf/writer.ts';
import { EnvoyJsonError } from './errors.ts';
import { writeMessage } from './message-plan.ts';
import { envoyType, envoyTypes } from './registry.ts';

export { EnvoyJsonError } from './errors.ts';
export { envoyTypes } from './registry.ts';

/** Shared by all messages, each of which is written without awaiting. */
let writer = new ProtobufWriter();
/** A writer keeps room for the longest message that it has written. */
const MAX_KEPT_BYTES = 1 << 20;

function schemaOf(typeUrl: string): DescMessage {
  const schema = envoyType(typeUrl);
  if (schema === undefined) throw new EnvoyJsonError(`${typeUrl} is no type of Envoy's resources that is known here`);
  return schema;
}

/** Equal content gives equal bytes, whatever the order of its keys. */
export const encodeEnvoyJson = (typeUrl: string, json: JsonValue): Uint8Array =>
  new Uint8Array(lendEnvoyJson(typeUrl, json));

/** The same, in memory that the next message reuses; copy it to keep it. */
export function lendEnvoyJson(typeUrl: string, json: JsonValue): Uint8Array {
  const schema = schemaOf(typeUrl);
  writer.start();
  writeMessage(writer, schema, json);
  const bytes = writer.lend();
  if (bytes.length > MAX_KEPT_BYTES) writer = new ProtobufWriter();
  return bytes;
}

/** Back to JSON, with the names of the protos. `registry`: of the types within an Any. */
export function decodeEnvoyJson(typeUrl: string, bytes: Uint8Array, registry: Registry = envoyTypes()): JsonValue {
  const schema = schemaOf(typeUrl);
  return toJson(schema, fromBinary(schema, bytes), { registry, useProtoFieldName: true });
}

export const digestOf = (content: Uint8Array | string): string => hash('sha256', content, 'hex').slice(0, 16);
