/**
 * Values of OTLP that were sent in parts, put together: protobuf merges the occurrences of a message (KeyValue.value, an array or a map of
 * an AnyValue, LogRecord.body), which equals decoding their bytes one after the other.
 * **In**: a record, or a resource or scope, some of whose values have parts. **Out**: the same message, in which each value is whole, so
 * that readers in place need no more than one range. **Fails**: with a `Malformed`, also for values that are nested too deeply.
 *
 * No exporter writes such messages; the readers pay for a flag ({@link ANY_VALUE}, {@link KEY_VALUE}), and only these for a copy.
 */
import { Malformed } from '../../protobuf/malformed.ts';
import { FieldScan, WireType } from '../../protobuf/scan.ts';
import { AnyCase, ANY_VALUE, MAX_DEPTH, VALUES } from './any-value.ts';
import { KEY_VALUE, KEY, VALUE } from './key-value.ts';

/** Until {@link hasParts}. */
export function startLookingForParts(): void {
  ANY_VALUE.hasParts = KEY_VALUE.hasParts = false;
}

/** A value that was read since had parts. */
export const hasParts = (): boolean => ANY_VALUE.hasParts || KEY_VALUE.hasParts;

/** `body`, `attributes`: numbers of an AnyValue, and of KeyValues. */
export function mergedMessage(bytes: Buffer, from: number, to: number, attributes: number, body?: number): Buffer {
  const parts: Uint8Array[] = [];
  const bodies: Uint8Array[] = [];
  const fields = new FieldScan(bytes, from, to);
  for (let begin = from, field = fields.next(); field !== 0; begin = fields.at, field = fields.next()) {
    const isMessage = fields.type === WireType.LEN;
    if (isMessage && field === body) bodies.push(bytes.subarray(fields.from, fields.to));
    else if (isMessage && field === attributes)
      parts.push(message(field, mergedKeyValue(bytes.subarray(fields.from, fields.to), 0)));
    else parts.push(bytes.subarray(begin, fields.at));
  }
  if (body !== undefined && bodies.length > 0) parts.push(message(body, mergedAnyValue(Buffer.concat(bodies), 0)));
  return Buffer.concat(parts);
}

function mergedKeyValue(bytes: Buffer, depth: number): Buffer {
  const parts: Uint8Array[] = [];
  const values: Uint8Array[] = [];
  const fields = new FieldScan(bytes, 0, bytes.length);
  for (let begin = 0, field = fields.next(); field !== 0; begin = fields.at, field = fields.next()) {
    if (fields.type !== WireType.LEN) continue;
    if (field === KEY) parts.push(bytes.subarray(begin, fields.at));
    else if (field === VALUE) values.push(bytes.subarray(fields.from, fields.to));
  }
  if (values.length > 0) parts.push(message(VALUE, mergedAnyValue(Buffer.concat(values), depth)));
  return Buffer.concat(parts);
}

/** Another member of the oneof clears the parts before it. */
function mergedAnyValue(bytes: Buffer, depth: number): Buffer {
  if (depth > MAX_DEPTH) throw new Malformed(`a value is nested deeper than ${MAX_DEPTH} levels`);
  let kind = 0;
  let items: Buffer[] = [];
  let scalar = bytes.subarray(0, 0);
  const fields = new FieldScan(bytes, 0, bytes.length);
  for (let begin = 0, field = fields.next(); field !== 0; begin = fields.at, field = fields.next()) {
    if (!ANY_VALUE.isMember(field, fields.type)) continue;
    if (field !== kind) items = [];
    kind = field;
    if (field === AnyCase.ARRAY || field === AnyCase.KVLIST) items.push(bytes.subarray(fields.from, fields.to));
    else scalar = bytes.subarray(begin, fields.at);
  }
  return kind === AnyCase.ARRAY || kind === AnyCase.KVLIST
    ? message(kind, mergedItems(Buffer.concat(items), kind === AnyCase.KVLIST, depth + 1))
    : scalar;
}

function mergedItems(bytes: Buffer, isMap: boolean, depth: number): Buffer {
  const parts: Uint8Array[] = [];
  const fields = new FieldScan(bytes, 0, bytes.length);
  for (let field = fields.next(); field !== 0; field = fields.next()) {
    if (field !== VALUES || fields.type !== WireType.LEN) continue;
    const item = bytes.subarray(fields.from, fields.to);
    parts.push(message(VALUES, isMap ? mergedKeyValue(item, depth) : mergedAnyValue(item, depth)));
  }
  return Buffer.concat(parts);
}

/** Each number here is below 16, so its tag is one byte. */
function message(number: number, body: Uint8Array): Buffer {
  const head = [(number << 3) | WireType.LEN];
  let rest = body.length;
  for (; rest >= 0x80; rest >>>= 7) head.push((rest & 0x7f) | 0x80);
  head.push(rest);
  return Buffer.concat([Buffer.from(head), body]);
}
