/** The encoder of resources by the library of protobuf alone, to compare with. */
import { fromJson, type JsonValue, toBinary } from '@bufbuild/protobuf';
import { encodeEnvoyJson, envoyTypes } from '../../src/envoy-json/encode.ts';

export function encodedByLibrary(typeUrl: string, json: JsonValue): Uint8Array {
  const schema = envoyTypes().getMessage(typeUrl.slice(typeUrl.lastIndexOf('/') + 1));
  if (schema === undefined) throw new Error(`${typeUrl} is unknown`);
  return toBinary(schema, fromJson(schema, sorted(json), { registry: envoyTypes() }));
}

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

/** Throws where the two encoders differ. */
export function compareEncoders(typeUrl: string, json: JsonValue): void {
  const [own, other] = [encodeEnvoyJson(typeUrl, json), encodedByLibrary(typeUrl, json)];
  if (Buffer.compare(own, other) !== 0)
    throw new Error(
      `${typeUrl} is encoded as ${Buffer.from(own).toString('hex')}, by the library as ${Buffer.from(other).toString('hex')}: ${JSON.stringify(json)}`,
    );
}
