/** A report as an opentelemetry.proto.logs.v1.LogRecord. */
import type { ReportEntry, Shape } from 'sluice/plugin';
import { attributesOf, isPresent, writerOf } from '../otlp/attributes.ts';
import { isOfResource, type Resources } from '../otlp/resources.ts';
import type { EncodedEntry } from '../otlp/sender.ts';
import { idOf, SPAN_ID_DIGITS, TRACE_ID_DIGITS } from '../otlp/trace-ids.ts';
import { WireWriter } from '../otlp/wire.ts';
import { SEVERITIES } from './adapter.ts';

type Severity = (typeof SEVERITIES)[number];
/** The first of the four numbers of each. */
const NUMBERS: ReadonlyMap<unknown, number> = new Map(SEVERITIES.map((text, at) => [text, at * 4 + 1]));

const [TIME, SEVERITY, SEVERITY_TEXT, BODY, ATTRIBUTES, FLAGS, TRACE_ID, SPAN_ID, OBSERVED, EVENT_NAME] = [
  1, 2, 3, 5, 6, 8, 9, 10, 11, 12,
];
/** Fields of the input that are not attributes. */
const OWN = new Set(['time', 'body', 'severity', 'event_name', 'trace_id', 'span_id', 'trace_sampled']);

export type LogSink = (entry: ReportEntry<LogSink>, index: number, observedMs: number) => EncodedEntry;

/** All records of a process are written one after the other. */
const out = new WireWriter();

export function logSink(
  shape: Shape,
  { eventName, severity }: { readonly eventName: string; readonly severity: Severity },
  resources: Resources,
): LogSink {
  const attributes = attributesOf(
    shape,
    Object.keys(shape).filter((name) => !OWN.has(name) && !isOfResource(name)),
  );
  const [uid] = attributesOf({}, ['log.record.uid']);
  const writeBody = writerOf(shape['body'] ?? 'any');
  const resourceOf = resources.of(shape);
  return ({ id, timeMs, input }, index, observedMs) => {
    const own = input as Readonly<Record<string, unknown>>;
    out.clear();
    const time = own['time'];
    out.time(TIME, time instanceof Date ? time.getTime() : timeMs);
    out.time(OBSERVED, observedMs);
    const level = NUMBERS.has(own['severity']) ? (own['severity'] as Severity) : severity;
    out.uint(SEVERITY, NUMBERS.get(level) as number);
    out.text(SEVERITY_TEXT, level);
    if (isPresent(own['body'])) {
      const open = out.begin(BODY);
      writeBody(out, own['body']);
      out.end(open);
    }
    uid?.write(out, ATTRIBUTES, id);
    for (const { name, write } of attributes) if (isPresent(own[name])) write(out, ATTRIBUTES, own[name]);
    const traceId = idOf(own['trace_id'], TRACE_ID_DIGITS);
    const spanId = idOf(own['span_id'], SPAN_ID_DIGITS);
    if (traceId !== undefined) out.bytes(TRACE_ID, traceId);
    if (traceId !== undefined && spanId !== undefined) out.bytes(SPAN_ID, spanId);
    if (own['trace_sampled'] === true) out.fixed32(FLAGS, 1);
    const event = own['event_name'];
    out.text(EVENT_NAME, typeof event === 'string' ? event : eventName);
    return { index, id, resource: resourceOf(own), record: Buffer.from(out.written) };
  };
}
