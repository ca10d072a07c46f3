/**
 * Where spans go: a collector, by OTLP.
 * **In**: a protocol; all else is the environment's (OTEL_EXPORTER_OTLP_...). **Out**: an exporter that tries again for a while.
 * **Fails**: with the library's words where the environment makes none; a collector that takes nothing is said, once in a while.
 */
import { ExportResultCode } from '@opentelemetry/core';
import type { SpanExporter } from '@opentelemetry/sdk-trace';
import type { TracingLog } from './said-at-start.ts';

export type Protocol = 'http' | 'grpc';

const SAID_EVERY_MS = 60_000;

export async function openExporter(protocol: Protocol, log: TracingLog): Promise<SpanExporter> {
  const { OTLPTraceExporter } =
    protocol === 'grpc'
      ? await import('@opentelemetry/exporter-trace-otlp-grpc')
      : await import('@opentelemetry/exporter-trace-otlp-proto');
  return new SayingExporter(new OTLPTraceExporter(), log);
}

class SayingExporter implements SpanExporter {
  readonly #exporter: SpanExporter;
  readonly #log: TracingLog;
  #saidAtMs = -Infinity;
  #lost = 0;

  constructor(exporter: SpanExporter, log: TracingLog) {
    this.#exporter = exporter;
    this.#log = log;
  }

  export(...[spans, done]: Parameters<SpanExporter['export']>): void {
    this.#exporter.export(spans, (result) => {
      if (result.code !== ExportResultCode.SUCCESS) this.#failed(spans.length, result.error);
      done(result);
    });
  }

  async forceFlush(): Promise<void> {
    await this.#exporter.forceFlush?.();
  }

  shutdown(): Promise<void> {
    return this.#exporter.shutdown();
  }

  #failed(count: number, error: Error | undefined): void {
    this.#lost += count;
    const nowMs = performance.now();
    if (nowMs - this.#saidAtMs < SAID_EVERY_MS) return;
    this.#saidAtMs = nowMs;
    this.#log.warn('the collector of traces takes no spans; they are lost', {
      lost: this.#lost,
      why: error?.message ?? 'no reason given',
    });
    this.#lost = 0;
  }
}
