/** Reports as spans of OpenTelemetry, for requests whose spans the proxy does not export itself. */
import { z } from 'zod';
import { defineAdapter, report, type ReportEntry } from 'sluice/plugin';
import { checkServer } from '../http/config.ts';
import { otlpShape } from '../otlp/config.ts';
import { KINDS } from './conventions.ts';
import type { SpanSink } from './span.ts';

const paramsSchema = z.strictObject({
  kind: z
    .enum(KINDS)
    .default('SERVER')
    .describe(
      'The kind of the spans: SERVER for requests that a proxy received, CLIENT for those that it sent; an input field kind goes first.',
    ),
  proxyExports: z
    .boolean()
    .default(true)
    .describe(
      'An entry with a span_id makes no span, since the proxy, whose tracer is on, exports that span itself. false: it does not; ' +
        'the span of the entry has this id.',
    ),
  sampleRatio: z
    .number()
    .min(0)
    .max(1)
    .default(1)
    .describe(
      'Share of the traces whose spans are sent, among those without a trace_sampled; chosen by the trace id, so that each trace is whole.',
    ),
});

export default defineAdapter({
  name: 'traces-otlp',
  summary:
    "Sends each report as a span by OTLP, over HTTP or gRPC, unless the proxy's own tracer exports it; a repeated span has the same id.",
  config: z.strictObject(otlpShape).check(checkServer),
  serves: {
    report: { params: paramsSchema, input: 'any', batch: { max: 1000, maxAgeMs: 500, maxBytes: 2 * 1024 * 1024 } },
  },
  async open(config, host) {
    const [{ openExporter }, { OtlpSender }, { Resources }, { spanSink }] = await Promise.all([
      import('../otlp/exporter.ts'),
      import('../otlp/sender.ts'),
      import('../otlp/resources.ts'),
      import('./span.ts'),
    ]);
    const exporter = await openExporter(config, 'traces', host);
    const sender = new OtlpSender(exporter, config, host);
    const resources = new Resources(config.resource);
    const omitted = host.metrics.counter(
      'traces_otlp_omitted',
      'Entries without a span: the proxy exports it, the trace is not sampled, or the entry has no trace id.',
    );
    return {
      ...report<SpanSink, z.output<typeof paramsSchema>>({
        sink: ({ rule, input, params }) => spanSink(rule, input, params, resources),
        async write(entries: readonly ReportEntry<SpanSink>[], call) {
          const spans = entries.map((entry, index) => entry.sink(entry, index)).filter((span) => span !== undefined);
          if (spans.length > 0) await sender.send(spans, call);
          omitted.add(entries.length - spans.length);
        },
      }),
      close: () => exporter.close(),
    };
  },
});
