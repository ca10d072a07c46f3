/** `trace.*`: the distributed trace that a request belongs to. */
import { traceFact } from '../trace.ts';
import { BOOL, STRING } from '../types.ts';
import { type CarriedBy, row } from './row.ts';

const HEADERS = 'header traceparent, else b3, else x-b3-*';

const carriedBy = (tag: string | undefined, header: string | undefined): CarriedBy => {
  const log = [...(tag === undefined ? [] : [`custom_tags["${tag}"]`]), ...(header === undefined ? [] : [header])];
  return {
    ...(header === undefined ? {} : { http: header }),
    log: log.join(', else '),
    ...(tag === undefined ? {} : { 'tcp-log': `custom_tags["${tag}"]` }),
  };
};

export const TRACE = [
  row(
    'trace.id',
    STRING,
    'The trace id: 32 hex digits; an id of 64 bits is padded on the left.',
    { ...carriedBy('trace_id', HEADERS), 'otlp-log': 'log_record.trace_id' },
    {
      derive: traceFact('id'),
    },
  ),
  row(
    'trace.span_id',
    STRING,
    "Envoy's own span, which Envoy exports: 16 hex digits. Absent while Envoy's tracer is off. Of an otlp-log call, the span of the record.",
    {
      log: 'custom_tags["span_id"]',
      'tcp-log': 'custom_tags["span_id"]',
      'otlp-log': 'log_record.span_id',
    },
    { derive: traceFact('span') },
  ),
  row(
    'trace.parent_span_id',
    STRING,
    "The caller's span: 16 hex digits. Absent in the log if the entry has Envoy's own span, since the header may then be either.",
    carriedBy(undefined, HEADERS),
    { derive: traceFact('parent') },
  ),
  row(
    'trace.sampled',
    BOOL,
    "Whether the trace is recorded: the flag of the header, else Envoy's mark in x-request-id.",
    { ...carriedBy(undefined, `${HEADERS}, else x-request-id`), 'otlp-log': 'log_record.flags' },
    { derive: traceFact('sampled') },
  ),
];
