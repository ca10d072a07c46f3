/** ExportLogsServiceRequest: from its own JSON form (recognised by `resourceLogs`), or one record from attributes by name. */
import { fromJson, type JsonObject, type JsonValue } from '@bufbuild/protobuf';
import {
  type ExportLogsServiceRequest,
  ExportLogsServiceRequestSchema,
} from '../../../gen/opentelemetry/proto/collector/logs/v1/logs_service_pb.ts';
import { parseTimestamp } from '../../attributes/time-text.ts';
import { asText, asTimestamp, at, fill, flat, isObject, type Places, type Write, wrong } from './short-form.ts';

/** As OTLP has it: a whole number is an int, other numbers are doubles. */
function anyValue(value: JsonValue): JsonObject {
  if (value === null) return {};
  if (typeof value === 'string') return { stringValue: value };
  if (typeof value === 'boolean') return { boolValue: value };
  if (typeof value === 'number') return Number.isInteger(value) ? { intValue: String(value) } : { doubleValue: value };
  if (Array.isArray(value)) return { arrayValue: { values: value.map(anyValue) } };
  return { kvlistValue: { values: keyValues(value) } };
}
const keyValues = (map: JsonObject): JsonObject[] =>
  Object.entries(map).map(([key, value]) => ({ key, value: anyValue(value) }));

const asAttributes: Write = (value, name) => {
  if (!isObject(value)) throw wrong(`${name} is ${JSON.stringify(value)}; expected a map`);
  return keyValues(value);
};
const asNanos: Write = (value, name) => {
  const time = parseTimestamp(asText(asTimestamp(value, name), name));
  return String(BigInt(time?.seconds ?? 0) * 1_000_000_000n + BigInt(time?.nanos ?? 0));
};
/** Protobuf's JSON form of bytes is base64, other than that of OTLP. */
const asId: Write = (value, name) => Buffer.from(asText(value, name), 'hex').toString('base64');

const RECORD_PLACES: Places = {
  'log.body': at('body', anyValue),
  'log.severity': at('severityText', asText),
  'log.severity_number': at('severityNumber'),
  'log.event_name': at('eventName', asText),
  'log.time': at('timeUnixNano', asNanos),
  'log.observed_time': at('observedTimeUnixNano', asNanos),
  'log.attributes': at('attributes', asAttributes),
  'trace.id': at('traceId', asId),
  'trace.span_id': at('spanId', asId),
  'trace.sampled': at('flags', (value) => (value === true ? 1 : 0)),
};
const OWNER_PLACES: Places = {
  'log.resource': at('resource.attributes', asAttributes),
  'log.scope.name': at('scope.name', asText),
  'log.scope.version': at('scope.version', asText),
  'log.scope.attributes': at('scope.attributes', asAttributes),
};
const KNOWN = new Set([...Object.keys(RECORD_PLACES), ...Object.keys(OWNER_PLACES), 'call']);

export function otlpLogRequest(request: unknown): ExportLogsServiceRequest {
  if (isObject(request) && ('resourceLogs' in request || 'resource_logs' in request))
    return fromJson(ExportLogsServiceRequestSchema, request);
  const given = flat(request, KNOWN).filter(([name]) => name !== 'call');
  const isOwners = (name: string): boolean => name in OWNER_PLACES;
  const wire = 'a log record of OpenTelemetry';
  const record: JsonObject = {};
  fill(
    record,
    given.filter(([name]) => !isOwners(name)),
    { places: RECORD_PLACES, wire },
  );
  const owners: JsonObject = {};
  fill(
    owners,
    given.filter(([name]) => isOwners(name)),
    { places: OWNER_PLACES, wire },
  );
  const { resource = {}, scope = {} } = owners;
  return fromJson(ExportLogsServiceRequestSchema, {
    resourceLogs: [{ resource, scopeLogs: [{ scope, logRecords: [record] }] }],
  });
}
