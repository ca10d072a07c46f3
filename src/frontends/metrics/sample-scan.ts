/**
 * Walks an envoy.service.metrics.v3.StreamMetricsMessage sample by sample.
 * **In**: its bytes. **Out**: samples with the range of their family's name; nothing is decoded.
 * **Fails**: with a `Malformed`, for the message, or for one sample.
 */
import { FieldScan, WireType } from '../../protobuf/scan.ts';

const [IDENTIFIER, FAMILIES] = [1, 2];
/** Of io.prometheus.client.MetricFamily. */
const [NAME, TYPE, METRIC] = [1, 3, 4];
/** Of io.prometheus.client.Metric. */
const Field = { LABEL: 1, GAUGE: 2, COUNTER: 3, SUMMARY: 4, UNTYPED: 5, TIMESTAMP_MS: 6, HISTOGRAM: 7 } as const;

export interface Family {
  readonly nameFrom: number;
  readonly nameTo: number;
  /** io.prometheus.client.MetricType. */
  readonly type: number;
  readonly from: number;
  readonly to: number;
}

export interface MetricsScan {
  readonly identifier: Buffer | undefined;
  readonly families: readonly Family[];
}

export function scanMetrics(bytes: Buffer): MetricsScan {
  let identifier: Buffer | undefined;
  const families: Family[] = [];
  const top = new FieldScan(bytes, 0, bytes.length);
  for (let field = top.next(); field !== 0; field = top.next()) {
    if (top.type !== WireType.LEN) continue;
    if (field === IDENTIFIER) {
      const part = bytes.subarray(top.from, top.to);
      identifier = identifier === undefined ? part : Buffer.concat([identifier, part]);
    } else if (field === FAMILIES) families.push(familyAt(bytes, top.from, top.to));
  }
  return { identifier, families };
}

function familyAt(bytes: Buffer, from: number, to: number): Family {
  let [nameFrom, nameTo, type] = [0, 0, 0];
  const fields = new FieldScan(bytes, from, to);
  for (let field = fields.next(); field !== 0; field = fields.next()) {
    if (field === NAME && fields.type === WireType.LEN) [nameFrom, nameTo] = [fields.from, fields.to];
    else if (field === TYPE && fields.type === WireType.VARINT) type = fields.value;
  }
  return { nameFrom, nameTo, type, from, to };
}

/** The ranges of the samples of a family, begin and end of each. */
export function* samplesOf(bytes: Buffer, { from, to }: Family): Generator<readonly [from: number, to: number]> {
  const fields = new FieldScan(bytes, from, to);
  for (let field = fields.next(); field !== 0; field = fields.next())
    if (field === METRIC && fields.type === WireType.LEN) yield [fields.from, fields.to];
}

/** Positions in a sample. */
export class SampleScan {
  readonly bytes: Buffer;
  /** Begin and end of each LabelPair. */
  readonly labels: number[] = [];
  /** The Gauge, Counter, Untyped, Summary or Histogram; equal if there is none. */
  valueFrom = 0;
  valueTo = 0;
  isDistribution = false;
  isHistogram = false;
  timestampFrom = 0;
  timestampTo = 0;

  constructor(bytes: Buffer, from: number, to: number) {
    this.bytes = bytes;
    const fields = new FieldScan(bytes, from, to);
    for (let field = fields.next(); field !== 0; field = fields.next()) this.#take(field, fields);
    const value = new FieldScan(bytes, this.valueFrom, this.valueTo);
    while (value.next() !== 0); // its structure is whole
  }

  #take(field: number, { type, from, to }: FieldScan): void {
    if (field === Field.TIMESTAMP_MS) {
      if (type === WireType.VARINT) [this.timestampFrom, this.timestampTo] = [from, to];
      return;
    }
    if (type !== WireType.LEN) return;
    if (field === Field.LABEL) {
      const pair = new FieldScan(this.bytes, from, to);
      while (pair.next() !== 0);
      this.labels.push(from, to);
    } else if (field <= Field.HISTOGRAM) {
      [this.valueFrom, this.valueTo] = [from, to];
      this.isHistogram = field === Field.HISTOGRAM;
      this.isDistribution = this.isHistogram || field === Field.SUMMARY;
    }
  }
}
