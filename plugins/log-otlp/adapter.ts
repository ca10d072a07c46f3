/** Reports as log records of OpenTelemetry, to a collector or any backend that takes OTLP. */
import { z } from 'zod';
import { defineAdapter, report, type ReportEntry } from 'sluice/plugin';
import { checkServer } from '../http/config.ts';
import { otlpShape } from '../otlp/config.ts';
import type { LogSink } from './record.ts';

export const SEVERITIES = ['TRACE', 'DEBUG', 'INFO', 'WARN', 'ERROR', 'FATAL'] as const;

const paramsSchema = z.strictObject({
  eventName: z
    .string()
    .min(1)
    .default('envoy.access_log')
    .describe('The event name of the records; an input field event_name goes first.'),
  severity: z
    .enum(SEVERITIES)
    .default('INFO')
    .describe('The severity of the records; an input field severity, with one of these texts, goes first.'),
});

export default defineAdapter({
  name: 'log-otlp',
  summary:
    'Sends each report as a log record by OTLP, over HTTP or gRPC; a repeated record has the same log.record.uid.',
  config: z.strictObject(otlpShape).check(checkServer),
  serves: {
    report: { params: paramsSchema, input: 'any', batch: { max: 1000, maxAgeMs: 500, maxBytes: 2 * 1024 * 1024 } },
  },
  async open(config, host) {
    const [{ openExporter }, { OtlpSender }, { Resources }, { logSink }] = await Promise.all([
      import('../otlp/exporter.ts'),
      import('../otlp/sender.ts'),
      import('../otlp/resources.ts'),
      import('./record.ts'),
    ]);
    const exporter = await openExporter(config, 'logs', host);
    const sender = new OtlpSender(exporter, config, host);
    const resources = new Resources(config.resource);
    return {
      ...report<LogSink, z.output<typeof paramsSchema>>({
        sink: ({ input, params }) => logSink(input, params, resources),
        write: (entries: readonly ReportEntry<LogSink>[], call) => {
          const observedMs = host.clock.nowMs();
          return sender.send(
            entries.map((entry, index) => entry.sink(entry, index, observedMs)),
            call,
          );
        },
      }),
      close: () => exporter.close(),
    };
  },
});
