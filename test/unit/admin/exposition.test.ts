import { describe, expect, test } from 'vitest';
import { joined } from '../../../src/adapters/plugin-metrics.ts';
import { turnsDuring } from '../../parts/loop-turns.ts';
import { acceptedFormat, inFormat } from '../../../src/admin/exposition.ts';

const OPENMETRICS = 'application/openmetrics-text; version=1.0.0; charset=utf-8';
const TEXT = 'text/plain; version=0.0.4; charset=utf-8';

describe('the format of a scrape', () => {
  test.each([
    [
      'Prometheus 2.42',
      'application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1',
      OPENMETRICS,
    ],
    [
      'Prometheus 2.49 with native histograms',
      'application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2',
      OPENMETRICS,
    ],
    [
      'Prometheus 3',
      'application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2',
      `${OPENMETRICS}; escaping=allow-utf-8`,
    ],
    [
      'Prometheus 3 with text 1.0.0 alone',
      'text/plain;version=1.0.0;escaping=underscores;q=0.4,*/*;q=0.2',
      'text/plain; version=1.0.0; charset=utf-8; escaping=underscores',
    ],
    ['text 0.0.4 before OpenMetrics', `text/plain;version=0.0.4;q=0.9,${OPENMETRICS};q=0.8`, TEXT],
    ['an older OpenMetrics alone', 'application/openmetrics-text;version=0.0.1', TEXT],
    ['OpenMetrics refused', `${OPENMETRICS};q=0, */*`, TEXT],
    ['a browser', 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8', TEXT],
    ['curl', '*/*', TEXT],
    ['no header', undefined, TEXT],
    ['nothing that exists here', 'image/png', TEXT],
  ])('%s', (_, accept, contentType) => {
    expect(acceptedFormat(accept).contentType).toBe(contentType);
  });
});

/** Cut at odd places, since pieces need not end with a line. */
async function converted(page: string, format: 'text' | 'openmetrics', length = 7): Promise<string> {
  const pieces = page.match(new RegExp(`[^]{1,${length}}`, 'g')) ?? [];
  async function* all(): AsyncGenerator<string> {
    yield* pieces;
  }
  return joined(inFormat(all(), format));
}

const PAGE = `# HELP a_seconds_total Say "hi\\n" \\\\.
# TYPE a_seconds_total counter
# UNIT a_seconds_total seconds
a_seconds_total{path=",le=\\"1 # {"} 5 # {trace_id="4bf9",span_id="a1"} 2 1700000000.5

# MERGE g max
# TYPE g gauge
g 5 1700000000123
g{at="le 5 6"} 7
# TYPE bare counter
bare 1
# HELP h How long.
# TYPE h histogram
h_bucket{le="1",x="a,le=\\"2"} 1 # {trace_id="4bf9"} 0.5
h_bucket{x="b",le="1000000"} 1
h_bucket{le="0.005"} 1
h_bucket{le="300000"} 1
h_bucket{le="+Inf"} 1
h_sum 1
h_count 1
# any comment
loose 3
# HELP g Again.
# TYPE g gauge
g{again="1"} 1
# TYPE u untyped
u NaN
# EOF
`;

test('as text, a page has neither exemplars nor units, and each header once', async () => {
  const text = await converted(PAGE, 'text');
  expect(text).toBe(`# HELP a_seconds_total Say "hi\\n" \\\\.
# TYPE a_seconds_total counter
a_seconds_total{path=",le=\\"1 # {"} 5
# TYPE g gauge
g 5 1700000000123
g{at="le 5 6"} 7
# TYPE bare counter
bare 1
# HELP h How long.
# TYPE h histogram
h_bucket{le="1",x="a,le=\\"2"} 1
h_bucket{x="b",le="1000000"} 1
h_bucket{le="0.005"} 1
h_bucket{le="300000"} 1
h_bucket{le="+Inf"} 1
h_sum 1
h_count 1
loose 3
# HELP g Again.
g{again="1"} 1
# TYPE u untyped
u NaN
`);
});

test('as OpenMetrics, counters are named without _total, bounds are canonical, times are seconds, and # EOF ends the page', async () => {
  const text = await converted(PAGE, 'openmetrics');
  expect(text).toBe(`# HELP a_seconds Say \\"hi\\n\\" \\\\.
# TYPE a_seconds counter
# UNIT a_seconds seconds
a_seconds_total{path=",le=\\"1 # {"} 5 # {trace_id="4bf9",span_id="a1"} 2 1700000000.5
# TYPE g gauge
g 5 1700000000.123
g{at="le 5 6"} 7
# TYPE bare unknown
bare 1
# HELP h How long.
# TYPE h histogram
h_bucket{le="1.0",x="a,le=\\"2"} 1 # {trace_id="4bf9"} 0.5
h_bucket{x="b",le="1e+06"} 1
h_bucket{le="0.005"} 1
h_bucket{le="300000.0"} 1
h_bucket{le="+Inf"} 1
h_sum 1
h_count 1
loose 3
g{again="1"} 1
# TYPE u unknown
u NaN
# EOF
`);
  expect(await converted(PAGE, 'openmetrics', 100_000)).toBe(text);
});

test('a long page is converted in many turns of the event loop', async () => {
  const line = `# TYPE a counter\n${'a{path="/some/where"} 1\n'.repeat(100_000)}`;
  let text = '';
  const turns = await turnsDuring(async () => {
    text = await converted(line, 'openmetrics', 10_000_000);
  });
  expect(text.match(/^a\{/gm)).toHaveLength(100_000);
  expect(turns).toBeGreaterThanOrEqual(Math.floor(line.length / (130 * 1024)));
});
