import { diag, DiagLogLevel } from '@opentelemetry/api';

export interface TracingLog {
  warn(message: string, fields?: Readonly<Record<string, unknown>>): void;
}

/** What the libraries find odd about the environment while they are opened, they take a default for: that is said. Later troubles are said in words of ours. */
export async function saidAtStart<T>(log: TracingLog, open: () => Promise<T>): Promise<T> {
  const warn = (why: string): void =>
    log.warn('the environment of tracing (OTEL_...) is not as expected; a default is taken', { why });
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
