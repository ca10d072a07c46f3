/** `sluice ratelimit`: in the place of envoyproxy/ratelimit. */
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { followXds } from '../../frontends/ratelimit/xds-configs.ts';
import { answerJson } from '../../frontends/ratelimit/service-json.ts';
import { rateLimitServiceMethods } from '../../frontends/ratelimit/service-call.ts';
import { healthMethods, RATELIMIT_SERVICES, reflectionMethods } from '../../frontends/index.ts';
import { messageOf } from '../../core/errors.ts';
import { SettingError, startRatelimit } from '../../ratelimit/server.ts';
import { readSettings, type Settings } from '../../ratelimit/settings.ts';
import type { Tracing } from '../../tracing/index.ts';
import { addressText, dialGrpc, listen, type Address, type TlsOptions } from '../../transport/index.ts';
import { CliError } from '../cli-error.ts';
import { EXIT, type ExitCode } from '../exit-codes.ts';
import { makeLog, type OwnLog } from '../log.ts';
import { stopped } from '../stopped.ts';
import { type FileWatch, watchFiles } from '../watch.ts';

const MAX_MESSAGE_BYTES = 4 * 1024 * 1024;
const GRACE_MS = 10_000;
/** Of a drain: what a collector of traces may take. */
const SPANS_GRACE_MS = 2000;
/** The name that envoyproxy/ratelimit's health has; '' is always SERVING there. */
const HEALTH_NAME = 'ratelimit';

export async function ratelimit(): Promise<ExitCode> {
  const { settings, mogrifier, problems, warnings } = readSettings(process.env);
  const [problem, ...others] = problems;
  if (problem !== undefined) throw new CliError('CLI_SETTING', [problem, ...others].join('\n'), { exit: EXIT.usage });
  const log = makeLog(settings.LOG_FORMAT === 'json' ? 'json' : 'text', levelOf(settings.LOG_LEVEL));
  for (const warning of warnings) log.warn(warning);
  const address: Address = settings.GRPC_UDS === '' ? { host: settings.GRPC_HOST, port: settings.GRPC_PORT } : { host: `unix:${settings.GRPC_UDS}`, port: 0 };
  const tls = settings.GRPC_SERVER_USE_TLS ? await tlsOf(settings) : undefined;
  const tracing = settings.TRACING_ENABLED ? await tracingOf(settings, log) : undefined;
  const server = await startRatelimit({
    settings, mogrifier, log, aroundRedis: tracing?.store, answerJson: tracing?.json(answerJson) ?? answerJson, openAlgorithms: async () => (await import('../open-algorithms.ts')).openAlgorithms(settings, log), followXds: (take) => xdsOf(settings, log, take),
    async listenGrpc(service, metrics, isHealthy) {
      const methods = new Map([
        ...rateLimitServiceMethods(tracing?.service(service) ?? service, (tookMs) => metrics.answered(tookMs / 1000)),
        ...healthMethods({ services: [HEALTH_NAME], isServing: (name) => name !== HEALTH_NAME || isHealthy() }),
        ...reflectionMethods(RATELIMIT_SERVICES),
      ]);
      const transport = await listen(tracing?.methods(methods) ?? methods, {
        ...address, maxMessageBytes: MAX_MESSAGE_BYTES, maxConnectionAgeMs: settings.GRPC_MAX_CONNECTION_AGE, ...(tls === undefined ? {} : { tls }),
        onFault: (path, error) => log.error('a call failed by a fault of ours', { path, error: messageOf(error) }),
      });
      const following = tls === undefined ? undefined : followTls(settings, (renewed) => transport.renewTls(renewed), log);
      return {
        port: transport.port,
        async drain() {
          await following?.close();
          await transport.drain(GRACE_MS);
        },
      };
    },
  }).catch((error: unknown) => {
    throw error instanceof CliError ? error : error instanceof SettingError ? new CliError('CLI_SETTING', error.message, { exit: EXIT.usage, cause: error }) : new CliError('CLI_PORT_TAKEN', messageOf(error), { cause: error });
  });
  let isTold = true;
  const end = stopped(tracing === undefined ? server : {
    reload: () => server.reload(),
    async drain() {
      await server.drain();
      isTold = await tracing.close(SPANS_GRACE_MS);
    },
  }, log);
  log.info('serving', { grpc: addressText({ ...address, port: server.grpcPort }), http: server.httpPort, debug: server.debugPort, prometheus: server.prometheusPort ?? null });
  await end;
  if (!isTold) {
    log.warn('the last spans are lost: the collector of traces did not take them in time', { waitedMs: SPANS_GRACE_MS });
    process.exit(EXIT.ok); // what still tries would keep the process for as long as it tries
  }
  return EXIT.ok;
}

async function tracingOf(settings: Settings, log: OwnLog): Promise<Tracing> {
  const { openTracing } = await import('../../tracing/index.ts');
  return openTracing({
    serviceName: settings.TRACING_SERVICE_NAME, serviceNamespace: settings.TRACING_SERVICE_NAMESPACE, serviceInstanceId: settings.TRACING_SERVICE_INSTANCE_ID,
    protocol: settings.TRACING_EXPORTER_PROTOCOL === 'grpc' ? 'grpc' : 'http', samplingRate: settings.TRACING_SAMPLING_RATE, log,
  }).catch((error: unknown) => {
    throw new CliError('CLI_SETTING', `OTEL_EXPORTER_OTLP_...: ${messageOf(error)}`, { exit: EXIT.usage, cause: error });
  });
}

/** NAME=VALUE or NAME:VALUE, with commas between. */
const pairs = (text: string, sign: '=' | ':'): Record<string, string> => Object.fromEntries(text.split(',').filter((part) => part.includes(sign)).map((part) => [part.slice(0, part.indexOf(sign)).trim(), part.slice(part.indexOf(sign) + 1).trim()]));

async function xdsOf(settings: Settings, log: OwnLog, take: Parameters<typeof followXds>[0]['take']): Promise<ReturnType<typeof followXds>> {
  const file = async (path: string): Promise<Buffer | undefined> => (path === '' ? undefined : readFile(path));
  const [ca, cert, key] = await Promise.all([settings.CONFIG_GRPC_XDS_SERVER_TLS_CACERT, settings.CONFIG_GRPC_XDS_CLIENT_TLS_CERT, settings.CONFIG_GRPC_XDS_CLIENT_TLS_KEY].map(file));
  const serverName = settings.CONFIG_GRPC_XDS_SERVER_TLS_SAN;
  const client = dialGrpc(settings.CONFIG_GRPC_XDS_SERVER_URL, settings.CONFIG_GRPC_XDS_SERVER_USE_TLS
    ? { tls: { ...(ca === undefined ? {} : { ca }), ...(cert === undefined ? {} : { cert }), ...(key === undefined ? {} : { key }), ...(serverName === '' ? {} : { serverName }) } } : {});
  const following = followXds({
    client, take, nodeId: settings.CONFIG_GRPC_XDS_NODE_ID, nodeMetadata: pairs(settings.CONFIG_GRPC_XDS_NODE_METADATA, '='), headers: pairs(settings.CONFIG_GRPC_XDS_CLIENT_ADDITIONAL_HEADERS, ':'),
    firstPauseMs: settings.XDS_CLIENT_BACKOFF_INITIAL_INTERVAL, mostPauseMs: settings.XDS_CLIENT_BACKOFF_MAX_INTERVAL,
    onTrouble: (why) => log.warn('the control plane is away; what was in force stays', { at: settings.CONFIG_GRPC_XDS_SERVER_URL, why }),
  });
  return {
    async close() {
      await following.close();
      client.close();
    },
  };
}

const LEVELS: ReadonlyMap<string, Parameters<typeof makeLog>[1]> = new Map([['TRACE', 'debug'], ['DEBUG', 'debug'], ['INFO', 'info'], ['WARN', 'warn'], ['WARNING', 'warn'], ['ERROR', 'error'], ['FATAL', 'error'], ['PANIC', 'error']]);
const levelOf = (text: string): Parameters<typeof makeLog>[1] => LEVELS.get(text.toUpperCase()) ?? 'warn';

/** A certificate that is renewed on disk serves new connections; one that is bad is said, and the last good one stays. */
function followTls(settings: Settings, renew: (tls: TlsOptions) => void, log: OwnLog): FileWatch {
  const watch = watchFiles(() => {
    tlsOf(settings).then(renew).then(() => log.info('the certificate is renewed'), (error: unknown) => log.error('the certificate cannot be renewed; the last good one stays', { why: messageOf(error) }));
  }, (error) => log.warn('watching the certificate failed', { error: messageOf(error) }));
  watch.watchOnly([settings.GRPC_SERVER_TLS_CERT, settings.GRPC_SERVER_TLS_KEY, settings.GRPC_CLIENT_TLS_CACERT].filter((path) => path !== '').map((path) => resolve(path)));
  return watch;
}

async function tlsOf({ GRPC_SERVER_TLS_CERT, GRPC_SERVER_TLS_KEY, GRPC_CLIENT_TLS_CACERT }: Settings): Promise<TlsOptions> {
  try {
    const [cert, key, ca] = await Promise.all([GRPC_SERVER_TLS_CERT, GRPC_SERVER_TLS_KEY, ...(GRPC_CLIENT_TLS_CACERT === '' ? [] : [GRPC_CLIENT_TLS_CACERT])].map((path) => readFile(path)));
    if (cert === undefined || key === undefined) throw new Error('a certificate and its key are needed');
    return { cert, key, ...(ca === undefined ? {} : { ca }) };
  } catch (error) {
    throw new CliError('CLI_TLS_FILE', messageOf(error), { cause: error });
  }
}
