/**
 * ExportLogsServiceRequest in JSON, as OTLP writes it: protobuf's JSON, but ids are hex.
 * **In**: text. **Out**: the same request encoded as protobuf; record by record, in slices, since JSON takes ten times as long to read.
 * **Fails**: with a `Malformed`.
 */
import { type DescMessage, fromJson, type JsonObject, type JsonValue, toBinary } from '@bufbuild/protobuf';
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { Malformed } from '../../protobuf/malformed.ts';
import { messageOf } from '../../text/message-of.ts';
import { TimeSlice } from '../../time/time-slice.ts';
import {
  LogRecordSchema,
  ResourceLogsSchema,
  ScopeLogsSchema,
} from '../../../gen/opentelemetry/proto/logs/v1/logs_pb.ts';

/** The lists in each other, with their field numbers. */
const [RESOURCE_LOGS, SCOPE_LOGS, LOG_RECORDS] = [1, 2, 2];
/** Names as JSON has them, and as the .proto file has them, which readers accept too. */
const NAMES = {
  resourceLogs: 'resource_logs',
  scopeLogs: 'scope_logs',
  logRecords: 'log_records',
} as const;
const ID_DIGITS: Readonly<Record<string, number>> = { traceId: 32, trace_id: 32, spanId: 16, span_id: 16 };

export async function requestOfJson(text: string): Promise<Uint8Array> {
  try {
    return await requestOf(JSON.parse(text) as JsonValue);
  } catch (error) {
    throw error instanceof Malformed
      ? error
      : new Malformed(`the request is not JSON of OTLP: ${messageOf(error)}`, { cause: error });
  }
}

async function requestOf(json: JsonValue): Promise<Uint8Array> {
  const slice = new TimeSlice();
  const request = new BinaryWriter();
  for (const resourceLogs of listIn(json, 'resourceLogs')) {
    const ofResource = [encoded(ResourceLogsSchema, without(resourceLogs, 'scopeLogs'))];
    for (const scopeLogs of listIn(resourceLogs, 'scopeLogs')) {
      const ofScope = [encoded(ScopeLogsSchema, without(scopeLogs, 'logRecords'))];
      for (const record of listIn(scopeLogs, 'logRecords')) {
        ofScope.push(field(LOG_RECORDS, encoded(LogRecordSchema, withIds(record))));
        if (slice.isOver) await slice.next();
      }
      ofResource.push(field(SCOPE_LOGS, Buffer.concat(ofScope)));
    }
    request.tag(RESOURCE_LOGS, WireType.LengthDelimited).bytes(Buffer.concat(ofResource));
  }
  return request.finish();
}

const field = (number: number, bytes: Uint8Array): Uint8Array =>
  new BinaryWriter().tag(number, WireType.LengthDelimited).bytes(bytes).finish();

const encoded = (schema: DescMessage, json: JsonObject): Uint8Array =>
  toBinary(schema, fromJson(schema, json, { ignoreUnknownFields: true }));

function objectOf(json: JsonValue): JsonObject {
  if (typeof json !== 'object' || json === null || Array.isArray(json))
    throw new Malformed(
      `the request is not JSON of OTLP: found ${JSON.stringify(json).slice(0, 40)}; expected an object`,
    );
  return json;
}

function listIn(json: JsonValue, name: keyof typeof NAMES): readonly JsonValue[] {
  const object = objectOf(json);
  const list = object[name] ?? object[NAMES[name]] ?? [];
  if (!Array.isArray(list)) throw new Malformed(`the request is not JSON of OTLP: ${name} is not a list`);
  return list;
}

const without = (json: JsonValue, name: keyof typeof NAMES): JsonObject => {
  const { [name]: _list, [NAMES[name]]: _same, ...rest } = objectOf(json);
  return rest;
};

function withIds(json: JsonValue): JsonObject {
  const record = { ...objectOf(json) };
  for (const name of Object.keys(ID_DIGITS)) {
    const id = record[name];
    if (id === undefined || id === null || id === '') continue;
    if (typeof id !== 'string' || id.length !== ID_DIGITS[name] || !/^[0-9a-f]+$/i.test(id))
      throw new Malformed(`${name} is ${JSON.stringify(id).slice(0, 40)}; expected ${ID_DIGITS[name]} hex digits`);
    record[name] = Buffer.from(id, 'hex').toString('base64');
  }
  return record;
}
