/** `metric.*`: a sample of one of Envoy's statistics. */
import { DOUBLE, INT, mapOf, STRING, STRING_MAP, TIMESTAMP } from '../types.ts';
import { type CarriedBy, row } from './row.ts';

const SAMPLE = (field: string): CarriedBy => ({ 'envoy-metric': `envoy_metrics[].${field}` });

export const METRIC = [
  row('metric.name', STRING, 'The name of the statistic.', SAMPLE('name'), { always: true }),
  row('metric.type', STRING, 'counter, gauge, histogram, summary or untyped.', SAMPLE('type'), { always: true }),
  row(
    'metric.labels',
    STRING_MAP,
    'The labels; with emit_tags_as_labels, the tags that Envoy takes out of the name.',
    SAMPLE('metric[].label'),
    { always: true },
  ),
  row(
    'metric.value',
    DOUBLE,
    'The value of a counter or a gauge; of a counter all that was counted, or since the last report with report_counters_as_deltas.',
    SAMPLE('metric[].counter, gauge or untyped'),
  ),
  row(
    'metric.count',
    INT,
    'How many values a histogram or a summary has.',
    SAMPLE('metric[].histogram or summary.sample_count'),
  ),
  row('metric.sum', DOUBLE, 'The sum of these values.', SAMPLE('metric[].histogram or summary.sample_sum')),
  row('metric.quantiles', mapOf(STRING, DOUBLE), 'By quantile, such as 0.99.', SAMPLE('metric[].summary.quantile')),
  row(
    'metric.buckets',
    mapOf(STRING, INT),
    'How many values were at most the bound, by bound.',
    SAMPLE('metric[].histogram.bucket'),
  ),
  row('metric.time', TIMESTAMP, 'When Envoy took the sample.', SAMPLE('metric[].timestamp_ms')),
];
