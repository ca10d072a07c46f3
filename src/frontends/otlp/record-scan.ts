/**
 * The fields of an opentelemetry.proto.logs.v1.LogRecord.
 * **In**: its bytes. **Out**: positions; nothing is decoded. **Fails**: with a `Malformed` if the record or one of its values is malformed.
 */
import { FieldScan, WireType } from '../../protobuf/scan.ts';
import { checkAnyValue } from './any-value.ts';
import { KEY_VALUE } from './key-value.ts';
import { hasParts, mergedMessage, startLookingForParts } from './merged-record.ts';
import type { RecordOwner } from './request-scan.ts';

const Field = {
  TIME: 1,
  SEVERITY_NUMBER: 2,
  SEVERITY_TEXT: 3,
  BODY: 5,
  ATTRIBUTES: 6,
  FLAGS: 8,
  TRACE_ID: 9,
  SPAN_ID: 10,
  OBSERVED_TIME: 11,
  EVENT_NAME: 12,
} as const;

/** The name of the attribute that makes a record an entry of an access log. */
const CALL_KEY = Buffer.from('sluice.call');

/** Positions of a field, equal if it is absent. */
export interface FieldRange {
  from: number;
  to: number;
}
const noRange = (): FieldRange => ({ from: 0, to: 0 });

/** Numbers of a range in {@link RecordScan.attributes}. */
export const RANGE_PARTS = 4;

export class RecordScan {
  /** The record's, or a copy in which values that were sent in parts are whole. */
  readonly bytes: Buffer;
  readonly resource: RecordOwner;
  readonly scope: RecordOwner;
  /** Position of the eight bytes; negative if there are none. */
  timeAt = -1;
  observedAt = -1;
  flags = 0;
  severityNumber = 0;
  readonly severityText = noRange();
  readonly body = noRange();
  readonly traceId = noRange();
  readonly spanId = noRange();
  readonly eventName = noRange();
  /** For each attribute: begin and end of its key, begin and end of its value. */
  readonly attributes: number[] = [];
  /** The index in {@link attributes} of `sluice.call`; negative: it is not an entry of an access log. */
  callAt = -1;
  #bodies = 0;

  constructor(bytes: Buffer, from: number, to: number, resource: RecordOwner, scope: RecordOwner) {
    this.bytes = bytes;
    this.resource = resource;
    this.scope = scope;
    startLookingForParts();
    this.#read(from, to);
    if (this.#bodies < 2 && !hasParts()) return;
    this.bytes = mergedMessage(bytes, from, to, Field.ATTRIBUTES, Field.BODY);
    this.attributes.length = 0;
    this.#read(0, this.bytes.length);
  }

  #read(from: number, to: number): void {
    const fields = new FieldScan(this.bytes, from, to);
    for (let field = fields.next(); field !== 0; field = fields.next()) this.#take(field, fields);
  }

  #take(field: number, fields: FieldScan): void {
    const { type, from, to } = fields;
    switch (field) {
      case Field.ATTRIBUTES:
        if (type === WireType.LEN) this.#attribute(from, to);
        return;
      case Field.TIME:
        if (type === WireType.I64) this.timeAt = fields.at - 8;
        return;
      case Field.OBSERVED_TIME:
        if (type === WireType.I64) this.observedAt = fields.at - 8;
        return;
      case Field.SEVERITY_NUMBER:
        if (type === WireType.VARINT) this.severityNumber = fields.value | 0;
        return;
      case Field.FLAGS:
        if (type === WireType.I32) this.flags = this.bytes.readUInt32LE(fields.at - 4);
        return;
      case Field.BODY:
        if (type === WireType.LEN) {
          checkAnyValue(this.bytes, from, to);
          this.#bodies++;
        }
        return setRange(this.body, fields);
      case Field.SEVERITY_TEXT:
        return setRange(this.severityText, fields);
      case Field.TRACE_ID:
        return setRange(this.traceId, fields);
      case Field.SPAN_ID:
        return setRange(this.spanId, fields);
      case Field.EVENT_NAME:
        return setRange(this.eventName, fields);
      default:
    }
  }

  #attribute(from: number, to: number): void {
    KEY_VALUE.read(this.bytes, from, to);
    const { keyFrom, keyTo, valueFrom, valueTo } = KEY_VALUE;
    checkAnyValue(this.bytes, valueFrom, valueTo);
    if (
      keyTo - keyFrom === CALL_KEY.length &&
      this.bytes[keyFrom] === CALL_KEY[0] &&
      CALL_KEY.equals(this.bytes.subarray(keyFrom, keyTo))
    )
      this.callAt = this.attributes.length;
    this.attributes.push(keyFrom, keyTo, valueFrom, valueTo);
  }
}

function setRange(range: FieldRange, { type, from, to }: FieldScan): void {
  if (type !== WireType.LEN) return;
  range.from = from;
  range.to = to;
}
