/**
 * Exports spans to a collector, by OTLP.
 * **In**: a protocol; the rest is configured by OTEL_EXPORTER_OTLP_... **Out**: an exporter that retries for a while. **Fails**: with the
 * library's message if the environment is invalid; spans that a collector does not accept are lost, and logged.
 */
import { diag, DiagLogLevel } from '@opentelemetry/api';
import { ExportResultCode } from '@opentelemetry/core';
import type { SpanExporter } from '@opentelemetry/sdk-trace';
import { Throttle } from '../time/throttle.ts';

export type Protocol = 'http' | 'grpc';

export interface TracingLog {
  warn(message: string, fields?: Readonly<Record<string, unknown>>): void;
}

/** From the scheme of a URL to its last @. */
const CREDENTIALS = /:\/\/\S*@/g;

/** Logs warnings of the libraries while `open` runs: environment variables that are replaced by a default, without passwords of URLs. */
export async function withStartupWarnings<T>(log: TracingLog, open: () => Promise<T>): Promise<T> {
  const warn = (why: string): void =>
    log.warn('an environment variable of tracing (OTEL_...) is invalid; its default is used', {
      why: why.replace(CREDENTIALS, '://*****@'),
    });
  diag.setLogger(
    { error: warn, warn, info() {}, debug() {}, verbose() {} },
    { logLevel: DiagLogLevel.WARN, suppressOverrideMessage: true },
  );
  try {
    return await open();
  } finally {
    diag.disable();
  }
}

export async function openExporter(protocol: Protocol, log: TracingLog): Promise<SpanExporter> {
  const { OTLPTraceExporter } =
    protocol === 'grpc'
      ? await import('@opentelemetry/exporter-trace-otlp-grpc')
      : await import('@opentelemetry/exporter-trace-otlp-proto');
  return new LoggedExporter(new OTLPTraceExporter(), log);
}

/** Logs lost spans, at most one line a minute. */
class LoggedExporter implements SpanExporter {
  readonly #exporter: SpanExporter;
  readonly #log: TracingLog;
  readonly #throttle = new Throttle({ onRest: () => this.#write() });
  #lost = 0;
  #why = '';

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

  async shutdown(): Promise<void> {
    await this.#exporter.shutdown();
    this.#throttle.end();
  }

  #failed(count: number, error: Error | undefined): void {
    this.#lost += count;
    this.#why = error?.message ?? 'no reason given';
    if (this.#throttle.admit() > 0) this.#write();
  }

  #write(): void {
    this.#log.warn('spans lost: the trace collector does not accept them', { lost: this.#lost, why: this.#why });
    this.#lost = 0;
  }
}
