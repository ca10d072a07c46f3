/** Requests to a collector over gRPC. A renewed certificate is used for new connections. */
import { isIP } from 'node:net';
import {
  type ChannelCredentials,
  Client,
  compressionAlgorithms,
  credentials,
  Metadata,
  type ServiceError,
} from '@grpc/grpc-js';
import { type Host, tlsProblem, Unavailable, withoutServerName } from 'sluice/plugin';
import { certificatesOf } from '../http/connector.ts';
import { Readiness } from '../http/readiness.ts';
import { type Answer, grpcFailure, takenAnswer } from './answers.ts';
import type { OtlpConfig, Signal } from './config.ts';
import type { Exporter } from './exporter.ts';

const METHODS: Readonly<Record<Signal, string>> = {
  logs: '/opentelemetry.proto.collector.logs.v1.LogsService/Export',
  traces: '/opentelemetry.proto.collector.trace.v1.TraceService/Export',
  metrics: '/opentelemetry.proto.collector.metrics.v1.MetricsService/Export',
};
const UNAVAILABLE = 14;
const same = (bytes: Buffer): Buffer => bytes;

/** Without the words of grpc-js around it: their time differs in each attempt. */
function reasonOf(details: string): string {
  const last =
    /^No connection established\. Last error: (?:Error: )?(.*?)(?: \([-0-9T:.]+Z\))?\.? ?Resolution note: /s.exec(
      details,
    )?.[1];
  if (last === undefined) return details;
  return tlsProblem(last) ?? (last === 'Failed to connect' ? 'it closes connections at once; it may speak TLS' : last);
}

export async function openGrpcExporter(config: OtlpConfig, signal: Signal, host: Host): Promise<Exporter> {
  const { host: address, hostname, protocol } = new URL(config.url);
  const { tls, compression } = config;
  const readiness = new Readiness(host);
  const isTls = protocol === 'https:';
  const certificates = await certificatesOf(tls ?? {}, readiness.hostFor('certificates'));
  const options = {
    'grpc.default_compression_algorithm':
      compression === 'gzip' ? compressionAlgorithms.gzip : compressionAlgorithms.identity,
    'grpc.initial_reconnect_backoff_ms': 200,
    'grpc.max_reconnect_backoff_ms': 10_000,
    'grpc.max_send_message_length': -1,
    ...(tls?.serverName === undefined ? {} : { 'grpc.ssl_target_name_override': tls.serverName }),
  };
  const bytesOf = (pem: string | undefined): Buffer | null => (pem === undefined ? null : Buffer.from(pem));

  const hasAddress = isIP(tls?.serverName ?? hostname.replace(/^\[(.*)\]$/, '$1')) !== 0;
  const secured = ({ ca, key, cert }: ReturnType<typeof certificates>): ChannelCredentials => {
    const made = credentials.createSsl(bytesOf(ca), bytesOf(key), bytesOf(cert));
    return hasAddress ? withoutServerName(made) : made;
  };

  let made = certificates();
  const make = (): Client => new Client(address, isTls ? secured(made) : credentials.createInsecure(), options);
  let client = make();
  function current(): Client {
    const now = certificates();
    if (now === made) return client;
    client.close();
    made = now;
    return (client = make());
  }
  const metadata = new Metadata();
  for (const [name, value] of Object.entries(config.headers)) metadata.set(name, value);

  return {
    send: (request, call) =>
      new Promise<Answer>((done, fail) => {
        const running = current().makeUnaryRequest(METHODS[signal], same, same, request, metadata, answered);
        const cancel = (): void => running.cancel();
        call.signal.addEventListener('abort', cancel, { once: true });
        function answered(error: ServiceError | null, reply?: Buffer): void {
          call.signal.removeEventListener('abort', cancel);
          if (error === null) {
            readiness.set('connection', undefined);
            return done(takenAnswer(reply ?? Buffer.alloc(0)));
          }
          const [status] = error.metadata.get('grpc-status-details-bin');
          const answer = grpcFailure(error.code, error.details, Buffer.isBuffer(status) ? status : undefined);
          const why = `${address}: ${call.signal.aborted ? 'it has not answered in time' : reasonOf(error.details)}`;
          const isAway = status === undefined && (error.code === UNAVAILABLE || call.signal.aborted);
          readiness.set('connection', isAway ? why : undefined);
          if (isAway) fail(new Unavailable(why, 0, { cause: error }));
          else done(answer);
        }
      }),
    close() {
      client.close();
      return Promise.resolve();
    },
  };
}
