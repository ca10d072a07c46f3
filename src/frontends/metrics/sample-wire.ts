import type { Wire } from '../../attributes/bag.ts';
import { canonicalInt, Timestamp, type Value } from '../../attributes/values.ts';
import { byNumber, numberOf } from '../../attributes/vocabulary.ts';
import { absentWhereMalformed } from '../../protobuf/malformed.ts';
import { FieldScan, wideValue, WireType } from '../../protobuf/scan.ts';
import { CachedText, utf8Text } from '../../protobuf/utf8-text.ts';
import type { LogOrigin } from '../log-origin.ts';
import { NODE_READERS } from '../node-readers.ts';
import type { Family, SampleScan } from './sample-scan.ts';

/** One sample of a metric: a call of kind envoy-metric. */
export class SampleWire implements Wire {
  /** Samples are not retained. */
  readonly weight = 0;
  readonly scan: SampleScan;
  readonly family: Family;
  readonly origin: LogOrigin;
  readonly nowMs: () => number;

  constructor(scan: SampleScan, family: Family, origin: LogOrigin, nowMs: () => number) {
    this.scan = scan;
    this.family = family;
    this.origin = origin;
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

const TYPES = ['counter', 'gauge', 'summary', 'untyped', 'histogram'];
/** Samples of a family have the same name. */
const lastName = new CachedText();

/** Of a Gauge, Counter or Untyped. */
const VALUE = 1;
/** Of a Summary or Histogram; the third: quantiles or buckets. */
const [COUNT, SUM, PARTS] = [1, 2, 3];
const [NAME, TEXT] = [1, 2];

function doubleAt(bytes: Buffer, from: number, to: number, wanted: number): number | undefined {
  let value: number | undefined;
  const fields = new FieldScan(bytes, from, to);
  for (let field = fields.next(); field !== 0; field = fields.next())
    if (field === wanted && fields.type === WireType.I64) value = bytes.readDoubleLE(fields.at - 8);
  return value;
}

function countAt(bytes: Buffer, from: number, to: number, wanted: number): number | bigint {
  let value = 0n;
  const fields = new FieldScan(bytes, from, to);
  for (let field = fields.next(); field !== 0; field = fields.next())
    if (field === wanted && fields.type === WireType.VARINT)
      value = BigInt.asUintN(64, wideValue(bytes, fields.from, fields.to));
  return canonicalInt(value);
}

/** Calls `each` with the range of every quantile or bucket. */
function eachPart({ bytes, valueFrom, valueTo }: SampleScan, each: (from: number, to: number) => void): void {
  const fields = new FieldScan(bytes, valueFrom, valueTo);
  for (let field = fields.next(); field !== 0; field = fields.next())
    if (field === PARTS && fields.type === WireType.LEN) each(fields.from, fields.to);
}

const textAt = (bytes: Buffer, from: number, to: number, wanted: number): string => {
  let text = '';
  const fields = new FieldScan(bytes, from, to);
  for (let field = fields.next(); field !== 0; field = fields.next())
    if (field === wanted && fields.type === WireType.LEN) text = utf8Text(bytes, fields.from, fields.to);
  return text;
};

function labelsOf({ bytes, labels }: SampleScan): ReadonlyMap<string, string> {
  const map = new Map<string, string>();
  for (let at = 0; at < labels.length; at += 2) {
    const [from, to] = [labels[at] as number, labels[at + 1] as number];
    map.set(textAt(bytes, from, to, NAME), textAt(bytes, from, to, TEXT));
  }
  return map;
}

const timeOf = ({ bytes, timestampFrom, timestampTo }: SampleScan): Timestamp | undefined =>
  timestampFrom === timestampTo
    ? undefined
    : Timestamp.fromMs(Number(BigInt.asIntN(64, wideValue(bytes, timestampFrom, timestampTo))));

/** As in the text format of Prometheus. */
const boundText = (bound: number): string => (bound === Infinity ? '+Inf' : String(bound));

type Reader = (wire: SampleWire) => Value | undefined;
const READERS = byNumber<Reader>({
  ...NODE_READERS,
  'metric.name': ({ scan: { bytes }, family }) => lastName.of(bytes, family.nameFrom, family.nameTo),
  'metric.type': ({ family }) => TYPES[family.type] ?? 'untyped',
  'metric.labels': ({ scan }) => labelsOf(scan),
  'metric.value': ({ scan: { bytes, valueFrom, valueTo, isDistribution } }) =>
    isDistribution || valueFrom === 0 ? undefined : (doubleAt(bytes, valueFrom, valueTo, VALUE) ?? 0),
  'metric.count': ({ scan: { bytes, valueFrom, valueTo, isDistribution } }) =>
    isDistribution ? countAt(bytes, valueFrom, valueTo, COUNT) : undefined,
  'metric.sum': ({ scan: { bytes, valueFrom, valueTo, isDistribution } }) =>
    isDistribution ? (doubleAt(bytes, valueFrom, valueTo, SUM) ?? 0) : undefined,
  'metric.quantiles': ({ scan }) => {
    if (!scan.isDistribution || scan.isHistogram) return undefined;
    const map = new Map<string, number>();
    eachPart(scan, (from, to) =>
      map.set(boundText(doubleAt(scan.bytes, from, to, 1) ?? 0), doubleAt(scan.bytes, from, to, 2) ?? 0),
    );
    return map;
  },
  'metric.buckets': ({ scan }) => {
    if (!scan.isHistogram) return undefined;
    const map = new Map<string, number | bigint>();
    eachPart(scan, (from, to) =>
      map.set(boundText(doubleAt(scan.bytes, from, to, 2) ?? 0), countAt(scan.bytes, from, to, 1)),
    );
    return map;
  },
  'metric.time': ({ scan }) => timeOf(scan),
  'context.time': ({ scan, nowMs }) => timeOf(scan) ?? Timestamp.fromMs(nowMs()),
});
