/** Spans of this thread, where the settings want them. */
import type { Settings } from '../../ratelimit/settings/settings.ts';
import type { Tracing } from '../../tracing/index.ts';
import { StartError } from '../errors.ts';
import type { OwnLog } from '../../log/log.ts';
import { messageOf } from '../../text/message-of.ts';

/** Of a drain: what a collector of traces may take. */
const SPANS_GRACE_MS = 2000;

export async function ownTracing(settings: Settings, log: OwnLog): Promise<Tracing | undefined> {
  if (!settings.TRACING_ENABLED) return undefined;
  const { openTracing } = await import('../../tracing/index.ts');
  return openTracing({
    serviceName: settings.TRACING_SERVICE_NAME,
    serviceNamespace: settings.TRACING_SERVICE_NAMESPACE,
    serviceInstanceId: settings.TRACING_SERVICE_INSTANCE_ID,
    protocol: settings.TRACING_EXPORTER_PROTOCOL === 'grpc' ? 'grpc' : 'http',
    samplingRate: settings.TRACING_SAMPLING_RATE,
    log,
  }).catch((error: unknown) => {
    throw new StartError('CLI_SETTING', `OTEL_EXPORTER_OTLP_...: ${messageOf(error)}`, {
      cause: error,
    });
  });
}

/** False where the last spans are lost: what still tries to send them would keep the thread for as long as it tries. */
export async function tracingEnded(tracing: Tracing | undefined, log: OwnLog): Promise<boolean> {
  const isTold = (await tracing?.close(SPANS_GRACE_MS)) ?? true;
  if (!isTold)
    log.warn('the last spans are lost: the collector of traces did not take them in time', {
      waitedMs: SPANS_GRACE_MS,
    });
  return isTold;
}
