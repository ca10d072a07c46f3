/** `log.*`: a log record of OpenTelemetry that is not an entry of an access log. */
import { DYN, INT, mapOf, STRING, TIMESTAMP } from '../types.ts';
import { type CarriedBy, row } from './row.ts';

const RECORD = (field: string): CarriedBy => ({ 'otlp-log': `log_record.${field}` });
const DYN_MAP = mapOf(STRING, DYN);

export const LOG = [
  row('log.body', DYN, 'The body: text, or any value.', RECORD('body')),
  row('log.severity', STRING, 'The severity in the words of its source.', RECORD('severity_text')),
  row(
    'log.severity_number',
    INT,
    '1 to 4: trace, 5: debug, 9: info, 13: warn, 17: error, 21: fatal; 0 if the record has none.',
    RECORD('severity_number'),
    { always: true },
  ),
  row('log.event_name', STRING, 'The name of the event.', RECORD('event_name')),
  row('log.time', TIMESTAMP, 'When it happened.', RECORD('time_unix_nano')),
  row('log.observed_time', TIMESTAMP, 'When the record was collected.', RECORD('observed_time_unix_nano')),
  row('log.attributes', DYN_MAP, 'The attributes of the record; the last of a repeated name.', RECORD('attributes'), {
    always: true,
  }),
  row(
    'log.resource',
    DYN_MAP,
    'The attributes of the resource, such as service.name.',
    { 'otlp-log': 'resource.attributes' },
    { always: true },
  ),
  row('log.scope.name', STRING, 'The library that made the record.', { 'otlp-log': 'scope.name' }),
  row('log.scope.version', STRING, 'The version of that library.', { 'otlp-log': 'scope.version' }),
  row(
    'log.scope.attributes',
    DYN_MAP,
    'The attributes of that library.',
    { 'otlp-log': 'scope.attributes' },
    { always: true },
  ),
];
