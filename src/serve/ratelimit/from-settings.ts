/** The log, spans and gRPC port of `sluice ratelimit` by its settings, and its start errors. */
import { SettingError } from '../../ratelimit/settings/setting.ts';
import type { Settings } from '../../ratelimit/settings/settings.ts';
import { type LogLevel, makeLog, type OwnLog } from '../../log/log.ts';
import { messageOf } from '../../text/message-of.ts';
import type { Tracing } from '../../tracing/index.ts';
import type { Address } from '../../transport/index.ts';
import { StartError } from '../errors.ts';
import type { TlsFiles } from '../tls-files.ts';

/** Time limit of calls in flight during a drain. */
export const GRACE_MS = 10_000;
/** Time limit to export the last spans during a drain. */
const SPANS_GRACE_MS = 2000;

/** Levels of the reference that Sluice's log names differently; others are `warn`. */
const LEVELS: Readonly<Record<string, LogLevel>> = {
  TRACE: 'debug',
  DEBUG: 'debug',
  INFO: 'info',
  ERROR: 'error',
  FATAL: 'error',
  PANIC: 'error',
};

export const logOf = ({ LOG_LEVEL, LOG_FORMAT }: Settings): OwnLog =>
  makeLog(LOG_FORMAT === 'json' ? 'json' : 'text', LEVELS[LOG_LEVEL.toUpperCase()] ?? 'warn');

export const grpcAddress = ({ GRPC_UDS, GRPC_HOST, GRPC_PORT }: Settings): Address =>
  GRPC_UDS === '' ? { host: GRPC_HOST, port: GRPC_PORT } : { host: `unix:${GRPC_UDS}`, port: 0 };

/** `undefined`: cleartext. */
export const tlsFilesOf = ({
  GRPC_SERVER_USE_TLS,
  GRPC_SERVER_TLS_CERT,
  GRPC_SERVER_TLS_KEY,
  GRPC_CLIENT_TLS_CACERT,
}: Settings): TlsFiles | undefined =>
  GRPC_SERVER_USE_TLS
    ? {
        cert: GRPC_SERVER_TLS_CERT,
        key: GRPC_SERVER_TLS_KEY,
        ...(GRPC_CLIENT_TLS_CACERT === '' ? {} : { ca: GRPC_CLIENT_TLS_CACERT }),
      }
    : undefined;

/** Tracing of this thread; `undefined` if the settings turn it off. */
export async function tracingOf(settings: Settings, log: OwnLog): Promise<Tracing | undefined> {
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
    throw new StartError('CLI_SETTING', `OTEL_EXPORTER_OTLP_...: ${messageOf(error)}`, { cause: error });
  });
}

/** False if the last spans are lost; their pending export would keep the thread alive. */
export async function closeTracing(tracing: Tracing | undefined, log: OwnLog): Promise<boolean> {
  const isFlushed = (await tracing?.close(SPANS_GRACE_MS)) ?? true;
  if (!isFlushed)
    log.warn('spans lost: the trace collector did not accept the last ones in time', {
      waitedMs: SPANS_GRACE_MS,
    });
  return isFlushed;
}

/** All errors that are neither a {@link StartError} nor about a setting are about a port. */
export function startErrorOf(error: unknown): StartError {
  if (error instanceof StartError) return error;
  const code = error instanceof SettingError ? 'CLI_SETTING' : 'CLI_PORT_TAKEN';
  return new StartError(code, messageOf(error), { cause: error });
}
