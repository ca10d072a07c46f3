import type { Wire } from '../../attributes/bag.ts';
import { Timestamp, type Value } from '../../attributes/values.ts';
import { byNumber, numberOf } from '../../attributes/vocabulary.ts';
import { absentWhereMalformed } from '../../protobuf/malformed.ts';
import { utf8Text } from '../../protobuf/utf8-text.ts';
import { AnyCase, ANY_VALUE, dynOf } from './any-value.ts';
import { SCOPE_NAME, SCOPE_VERSION } from './request-scan.ts';
import { type FieldRange, RANGE_PARTS, type RecordScan } from './record-scan.ts';

/** A log record that is not an entry of an access log: a call of kind otlp-log. */
export class RecordWire implements Wire {
  /** Records are not retained. */
  readonly weight = 0;
  readonly scan: RecordScan;
  readonly nowMs: () => number;

  /** `nowMs`: the time of a record that has none. */
  constructor(scan: RecordScan, nowMs: () => number) {
    this.scan = scan;
    this.nowMs = nowMs;
  }

  keep(): void {}

  carried(): undefined {}

  read(attribute: string, number = numberOf(attribute)): Value | undefined {
    try {
      return number === undefined ? undefined : READERS[number]?.(this);
    } catch (error) {
      return absentWhereMalformed(error);
    }
  }
}

const NANOS = 1_000_000_000n;
const SAMPLED_FLAG = 0x01;

/** Nanoseconds since 1970; 0 means that there is no time. */
export function timeAt(bytes: Buffer, at: number): Timestamp | undefined {
  const nanos = at < 0 ? 0n : bytes.readBigUInt64LE(at);
  return nanos === 0n ? undefined : new Timestamp(Number(nanos / NANOS), Number(nanos % NANOS));
}

/** An id in lower-case hex; `undefined` if it has another length, or is zero. */
export function hexId(bytes: Buffer, { from, to }: FieldRange, length: 8 | 16): string | undefined {
  if (to - from !== length) return undefined;
  const id = bytes.toString('hex', from, to);
  return /[^0]/.test(id) ? id : undefined;
}

const textOf = (bytes: Buffer, { from, to }: FieldRange): string | undefined =>
  from === to ? undefined : utf8Text(bytes, from, to);
const present = (text: string): string | undefined => (text === '' ? undefined : text);

type Reader = (wire: RecordWire) => Value | undefined;
const READERS = byNumber<Reader>({
  'log.body': ({ scan: { bytes, body } }) => {
    ANY_VALUE.read(bytes, body.from, body.to);
    return ANY_VALUE.case === AnyCase.NONE ? undefined : dynOf(bytes, body.from, body.to);
  },
  'log.severity': ({ scan }) => textOf(scan.bytes, scan.severityText),
  'log.severity_number': ({ scan }) => scan.severityNumber,
  'log.event_name': ({ scan }) => textOf(scan.bytes, scan.eventName),
  'log.time': ({ scan }) => timeAt(scan.bytes, scan.timeAt),
  'log.observed_time': ({ scan }) => timeAt(scan.bytes, scan.observedAt),
  'log.attributes': ({ scan: { bytes, attributes } }) => {
    const map = new Map<string, Value>();
    for (let at = 0; at < attributes.length; at += RANGE_PARTS) {
      const [keyFrom, keyTo, from, to] = attributes.slice(at, at + RANGE_PARTS) as [number, number, number, number];
      map.set(utf8Text(bytes, keyFrom, keyTo), dynOf(bytes, from, to));
    }
    return map;
  },
  'log.resource': ({ scan }) => scan.resource.attributes,
  'log.scope.name': ({ scan }) => present(scan.scope.text(SCOPE_NAME)),
  'log.scope.version': ({ scan }) => present(scan.scope.text(SCOPE_VERSION)),
  'log.scope.attributes': ({ scan }) => scan.scope.attributes,
  'trace.id': ({ scan }) => hexId(scan.bytes, scan.traceId, 16),
  'trace.span_id': ({ scan }) => hexId(scan.bytes, scan.spanId, 8),
  'trace.sampled': ({ scan }) => (scan.flags & SAMPLED_FLAG) !== 0,
  'context.time': ({ scan: { bytes, timeAt: own, observedAt }, nowMs }) =>
    timeAt(bytes, own) ?? timeAt(bytes, observedAt) ?? Timestamp.fromMs(nowMs()),
});
