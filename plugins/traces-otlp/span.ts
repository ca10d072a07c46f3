/**
 * A report as an opentelemetry.proto.trace.v1.Span, by the semantic conventions of HTTP and gRPC spans.
 * **In**: a report. **Out**: its span, encoded; `undefined` if it has none. **Fails**: never.
 */
import { createHash } from 'node:crypto';
import type { ReportEntry, Shape } from 'sluice/plugin';
import { attributesOf, isPresent, writeText } from '../otlp/attributes.ts';
import { isOfResource, type Resources } from '../otlp/resources.ts';
import type { EncodedEntry } from '../otlp/sender.ts';
import { idOf, SPAN_ID_DIGITS, TRACE_ID_DIGITS } from '../otlp/trace-ids.ts';
import { WireWriter } from '../otlp/wire.ts';
import { errorTypeOf, type Kind, KINDS } from './conventions.ts';

const NUMBERS: ReadonlyMap<unknown, number> = new Map(KINDS.map((kind, at) => [kind, at + 1]));

const [TRACE_ID, SPAN_ID, PARENT_SPAN_ID, NAME, KIND, START, END, ATTRIBUTES, EVENTS, STATUS, FLAGS] = [
  1, 2, 4, 5, 6, 7, 8, 9, 11, 15, 16,
];
const [EVENT_TIME, EVENT_NAME] = [1, 2];
const [STATUS_MESSAGE, STATUS_CODE] = [2, 3];
const ERROR = 2;
const SAMPLED = 1;

const EVENT_PREFIX = 'event.';
const isEvent = (name: string): boolean => name.startsWith(EVENT_PREFIX);
/** Fields of the input that are not attributes. */
const OWN = new Set([
  'name',
  'kind',
  'time',
  'duration',
  'trace_id',
  'span_id',
  'parent_span_id',
  'span_key',
  'parent_span_key',
  'trace_sampled',
  'status_message',
]);

export interface SpanParams {
  readonly kind: Kind;
  readonly proxyExports: boolean;
  readonly sampleRatio: number;
}
export type SpanSink = (entry: ReportEntry<SpanSink>, index: number) => EncodedEntry | undefined;
type Input = Readonly<Record<string, unknown>>;

/** All spans of a process are written one after the other. */
const out = new WireWriter();

export function spanSink(
  rule: string,
  shape: Shape,
  { kind: defaultKind, proxyExports, sampleRatio }: SpanParams,
  resources: Resources,
): SpanSink {
  const names = Object.keys(shape);
  const attributes = attributesOf(
    shape,
    names.filter((name) => !OWN.has(name) && !isEvent(name) && !isOfResource(name)),
  );
  const events = names.filter(isEvent).map((name) => ({ name, text: name.slice(EVENT_PREFIX.length) }));
  const resourceOf = resources.of(shape);
  return ({ id, timeMs, input }, index) => {
    const own = input as Input;
    const traceId = idOf(own['trace_id'], TRACE_ID_DIGITS);
    if (traceId === undefined || !isSampled(own['trace_sampled'], traceId, sampleRatio)) return undefined;
    const given = idOf(own['span_id'], SPAN_ID_DIGITS);
    if (given !== undefined && proxyExports) return undefined;

    const kind = NUMBERS.has(own['kind']) ? (own['kind'] as Kind) : defaultKind;
    const durationMs = Math.max(0, Number(own['duration'] ?? 0)) || 0;
    const startMs = own['time'] instanceof Date ? own['time'].getTime() : timeMs - durationMs;
    const parent = idOf(own['parent_span_id'], SPAN_ID_DIGITS) ?? keyedId(traceId, own['parent_span_key']);
    out.clear();
    out.bytes(TRACE_ID, traceId);
    out.bytes(SPAN_ID, given ?? keyedId(traceId, own['span_key']) ?? hashedId(traceId, id));
    if (parent !== undefined) out.bytes(PARENT_SPAN_ID, parent);
    out.text(NAME, nameOf(own) ?? rule);
    out.uint(KIND, NUMBERS.get(kind) as number);
    out.time(START, startMs);
    out.time(END, startMs + durationMs);
    for (const { name, write } of attributes) if (isPresent(own[name])) write(out, ATTRIBUTES, own[name]);
    for (const { name, text } of events) writeEvent(text, own[name], startMs);
    const error = errorTypeOf(own, kind);
    if (error !== undefined && !isPresent(own['error.type'])) writeText(out, ATTRIBUTES, 'error.type', error);
    if (error !== undefined) writeError(own['status_message']);
    out.fixed32(FLAGS, SAMPLED);
    return { index, id, resource: resourceOf(own), record: Buffer.from(out.written) };
  };
}

/** By the last seven octets of the trace id, as other samplers of OpenTelemetry decide. */
function isSampled(decided: unknown, traceId: Buffer, ratio: number): boolean {
  if (typeof decided === 'boolean') return decided;
  if (ratio >= 1) return true;
  const randomness = traceId.readUIntBE(9, 1) * 2 ** 48 + traceId.readUIntBE(10, 6);
  return randomness >= 2 ** 56 * (1 - ratio);
}

/** The same for the same key, so that a repeated span replaces its first, and a child finds its parent. */
const keyedId = (traceId: Buffer, key: unknown): Buffer | undefined =>
  typeof key === 'string' && key !== '' ? hashedId(traceId, key) : undefined;

function hashedId(traceId: Buffer, key: string): Buffer {
  const octets = createHash('sha256')
    .update(traceId)
    .update(key)
    .digest()
    .subarray(0, SPAN_ID_DIGITS / 2);
  if (octets.every((octet) => octet === 0)) octets[0] = 1; // an id of zeros is none
  return octets;
}

/** `GET /users/{id}`, or `package.Service/Method`: of few distinct values, as names of spans must be. */
function nameOf(input: Input): string | undefined {
  const text = (name: string): string | undefined => {
    const value = input[name];
    return typeof value === 'string' && value !== '' ? value : undefined;
  };
  const given = text('name') ?? text('rpc.method');
  if (given !== undefined) return given;
  const written = text('http.request.method');
  if (written === undefined) return undefined;
  const method = written === '_OTHER' ? 'HTTP' : written;
  const target = text('http.route') ?? text('url.template');
  return target === undefined ? method : `${method} ${target}`;
}

/** `at`: a time, or a duration since the start. */
function writeEvent(name: string, at: unknown, startMs: number): void {
  const timeMs = at instanceof Date ? at.getTime() : typeof at === 'number' ? startMs + at : undefined;
  if (timeMs === undefined) return;
  const open = out.begin(EVENTS);
  out.time(EVENT_TIME, timeMs);
  out.text(EVENT_NAME, name);
  out.end(open);
}

function writeError(message: unknown): void {
  const open = out.begin(STATUS);
  if (typeof message === 'string' && message !== '') out.text(STATUS_MESSAGE, message);
  out.uint(STATUS_CODE, ERROR);
  out.end(open);
}
