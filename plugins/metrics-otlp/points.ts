/**
 * Families as opentelemetry.proto.metrics.v1.Metric.
 * **In**: families. **Out**: encoded metrics of bounded size; one with many series is divided. **Fails**: never.
 */
import type { Exemplar, Family, Series } from '../metrics/registry.ts';
import { valuesOf } from '../metrics/registry.ts';
import { type Attribute, attributesOf } from '../otlp/attributes.ts';
import { idOf, SPAN_ID_DIGITS, TRACE_ID_DIGITS } from '../otlp/trace-ids.ts';
import { WireWriter } from '../otlp/wire.ts';

/** Of a Metric. */
const [NAME, DESCRIPTION, UNIT] = [1, 2, 3];
const DATA = { gauge: 5, counter: 7, histogram: 9 } as const;
/** Of Gauge, Sum and Histogram. */
const [POINTS, TEMPORALITY, IS_MONOTONIC] = [1, 2, 3];
const CUMULATIVE = 2;
/** Of NumberDataPoint and HistogramDataPoint. */
const [START, TIME] = [2, 3];
const [VALUE, NUMBER_EXEMPLARS, NUMBER_ATTRIBUTES] = [4, 5, 7];
const [COUNT, SUM, BUCKETS, BOUNDS, HISTOGRAM_EXEMPLARS, HISTOGRAM_ATTRIBUTES] = [4, 5, 6, 7, 8, 9];
const [EXEMPLAR_TIME, EXEMPLAR_VALUE, EXEMPLAR_SPAN_ID, EXEMPLAR_TRACE_ID] = [2, 3, 4, 5];

/** A metric with some of its series. */
export interface EncodedMetric {
  readonly name: string;
  readonly record: Buffer;
  readonly series: number;
}

/**
 * Of series that were updated since `sinceMs` (monotonic). `maxBytes`: of a metric, before its last series. A series that has just begun
 * has its start as its time at the earliest.
 */
export function* metricsOf(
  families: readonly Family[],
  clock: { nowMs(): number },
  maxBytes: number,
  sinceMs: number,
): Generator<EncodedMetric> {
  const out = new WireWriter();
  for (const family of families) {
    const bounds = family.bounds === undefined ? undefined : packedDoubles(family.bounds);
    const attributes = attributesOf({}, family.labels);
    const nowMs = clock.nowMs();
    let data: number | undefined;
    let written = 0;
    for (const series of family.series(sinceMs)) {
      data ??= begin(out, family);
      written++;
      const point = out.begin(POINTS);
      if (bounds === undefined) writeNumber(out, family, attributes, series, nowMs);
      else writeHistogram(out, attributes, series, bounds, nowMs);
      out.end(point);
      if (out.length < maxBytes) continue;
      yield { name: family.name, record: end(out, family, data), series: written };
      data = undefined;
      written = 0;
    }
    if (data !== undefined) yield { name: family.name, record: end(out, family, data), series: written };
  }
}

function begin(out: WireWriter, { name, help, unit, kind }: Family): number {
  out.clear();
  out.text(NAME, name);
  out.text(DESCRIPTION, help);
  if (unit !== undefined) out.text(UNIT, unit);
  return out.begin(DATA[kind]);
}

function end(out: WireWriter, { kind }: Family, data: number): Buffer {
  if (kind !== 'gauge') out.uint(TEMPORALITY, CUMULATIVE);
  if (kind === 'counter') out.uint(IS_MONOTONIC, 1);
  out.end(data);
  return Buffer.from(out.written);
}

function writeNumber(
  out: WireWriter,
  { kind }: Family,
  attributes: readonly Attribute[],
  series: Series,
  nowMs: number,
): void {
  writeAttributes(out, NUMBER_ATTRIBUTES, attributes, series);
  if (kind !== 'gauge') out.time(START, series.sinceMs);
  out.time(TIME, Math.max(nowMs, series.sinceMs));
  out.double(VALUE, series.value);
  writeExemplars(out, NUMBER_EXEMPLARS, series.exemplars);
}

function writeHistogram(
  out: WireWriter,
  attributes: readonly Attribute[],
  series: Series,
  bounds: Buffer,
  nowMs: number,
): void {
  const { buckets = new Float64Array(), count, value, sinceMs, exemplars } = series;
  writeAttributes(out, HISTOGRAM_ATTRIBUTES, attributes, series);
  out.time(START, sinceMs);
  out.time(TIME, Math.max(nowMs, sinceMs));
  out.fixed64(COUNT, BigInt(count));
  out.double(SUM, value);
  const packed = Buffer.allocUnsafe((buckets.length + 1) * 8);
  let within = 0;
  for (const [at, inBucket] of buckets.entries()) {
    packed.writeBigUInt64LE(BigInt(inBucket), at * 8);
    within += inBucket;
  }
  packed.writeBigUInt64LE(BigInt(count - within), buckets.length * 8);
  out.bytes(BUCKETS, packed);
  out.bytes(BOUNDS, bounds);
  writeExemplars(out, HISTOGRAM_EXEMPLARS, exemplars);
}

function writeAttributes(out: WireWriter, field: number, attributes: readonly Attribute[], { key }: Series): void {
  if (attributes.length === 0) return;
  const values = valuesOf(key);
  for (const [at, { write }] of attributes.entries()) write(out, field, values[at]);
}

/** One whose ids are not hexadecimal is left out. */
function writeExemplars(out: WireWriter, field: number, exemplars: Series['exemplars'] = []): void {
  for (const exemplar of exemplars) if (exemplar !== undefined) writeExemplar(out, field, exemplar);
}

function writeExemplar(out: WireWriter, field: number, { traceId, spanId, value, timeMs }: Exemplar): void {
  const trace = idOf(traceId, TRACE_ID_DIGITS);
  if (trace === undefined) return;
  const span = idOf(spanId, SPAN_ID_DIGITS);
  const open = out.begin(field);
  out.time(EXEMPLAR_TIME, timeMs);
  out.double(EXEMPLAR_VALUE, value);
  if (span !== undefined) out.bytes(EXEMPLAR_SPAN_ID, span);
  out.bytes(EXEMPLAR_TRACE_ID, trace);
  out.end(open);
}

function packedDoubles(values: readonly number[]): Buffer {
  const packed = Buffer.allocUnsafe(values.length * 8);
  for (const [at, value] of values.entries()) packed.writeDoubleLE(value, at * 8);
  return packed;
}
