/** Calls as Envoy makes them, by third-party code: grpc-js with the protos of grpc-js-xds. */
import { dirname, join } from 'node:path';
import { createRequire } from 'node:module';
import {
  credentials,
  loadPackageDefinition,
  type Client,
  type GrpcObject,
  type ServiceClientConstructor,
  type ServiceError,
} from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';

const DEPS = join(dirname(createRequire(import.meta.url).resolve('@grpc/grpc-js-xds/package.json')), 'deps');
const definitions = loadSync(
  [
    'envoy/service/auth/v3/external_auth.proto',
    'envoy/service/ratelimit/v3/rls.proto',
    'envoy/service/accesslog/v3/als.proto',
  ],
  {
    includeDirs: ['envoy-api', 'googleapis', 'protoc-gen-validate', 'xds'].map((folder) => join(DEPS, folder)),
    keepCase: true,
    longs: Number,
    enums: String,
    defaults: true,
    oneofs: true,
  },
);
const services = loadPackageDefinition(definitions);

function service(name: string): ServiceClientConstructor {
  const found = name.split('.').reduce<unknown>((within, part) => (within as GrpcObject)[part], services);
  return found as ServiceClientConstructor;
}

export interface CheckAnswer {
  readonly status: { readonly code: number; readonly message: string } | null;
  readonly http_response?: 'denied_response' | 'ok_response';
  readonly denied_response?: { readonly status: { readonly code: string }; readonly body: string };
  readonly ok_response?: {
    readonly headers: readonly {
      readonly header: { readonly key: string; readonly value: string; readonly raw_value: Buffer };
    }[];
  };
}
export interface LimitAnswer {
  readonly overall_code: string;
  readonly statuses: readonly { readonly code: string; readonly limit_remaining: number }[];
}

export interface PeerClient extends Disposable {
  check(http: Readonly<Record<string, unknown>>, deadlineMs?: number, principal?: string): Promise<CheckAnswer>;
  limit(domain: string, entries: Readonly<Record<string, string>>): Promise<LimitAnswer>;
  /** Sends any bytes to any path; resolves with the gRPC status code. */
  raw(path: string, bytes: Buffer): Promise<number>;
  /** Opens an access log stream, sends entries, and resets the connection. */
  breakOffLog(): Promise<void>;
  close(): void;
}

/** Each client has its own connection. */
export function peerClient(address: string): PeerClient {
  const options = { 'grpc.use_local_subchannel_pool': 1 };
  const make = (name: string): Client => new (service(name))(address, credentials.createInsecure(), options);
  const authorization = make('envoy.service.auth.v3.Authorization');
  const limits = make('envoy.service.ratelimit.v3.RateLimitService');
  const logs = make('envoy.service.accesslog.v3.AccessLogService');

  function call<A>(client: Client, method: string, request: object, deadlineMs: number): Promise<A> {
    return new Promise((resolve, reject) => {
      const invoke = (
        client as unknown as Record<
          string,
          (request: object, options: object, done: (error: ServiceError | null, answer: A) => void) => void
        >
      )[method];
      invoke?.call(client, request, { deadline: Date.now() + deadlineMs }, (error, answer) =>
        error === null ? resolve(answer) : reject(error),
      );
    });
  }

  const close = (): void => {
    for (const client of [authorization, limits, logs]) client.close();
  };
  return {
    close,
    [Symbol.dispose]: close,
    check: (http, deadlineMs = 5000, principal = '') =>
      call<CheckAnswer>(
        authorization,
        'Check',
        {
          attributes: {
            source: { address: { socket_address: { address: '127.0.0.1', port_value: 1 } }, principal },
            destination: { address: { socket_address: { address: '127.0.0.1', port_value: 2 } } },
            request: {
              time: { seconds: 1 },
              http: { id: '1', method: 'GET', protocol: 'HTTP/1.1', host: 'h', scheme: 'http', headers: {}, ...http },
            },
          },
        },
        deadlineMs,
      ),
    limit: (domain, entries) =>
      call<LimitAnswer>(
        limits,
        'ShouldRateLimit',
        {
          domain,
          descriptors: [{ entries: Object.entries(entries).map(([key, value]) => ({ key, value })) }],
          hits_addend: 0,
        },
        5000,
      ),
    raw: (path, bytes) =>
      new Promise((resolve) => {
        authorization.makeUnaryRequest(
          path,
          (value: Buffer) => value,
          (value: Buffer) => value,
          bytes,
          { deadline: Date.now() + 5000 },
          (error) => resolve(error === null ? 0 : error.code),
        );
      }),
    breakOffLog: () =>
      new Promise((resolve) => {
        const stream = logs.makeClientStreamRequest(
          '/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs',
          (value: Buffer) => value,
          (value: Buffer) => value,
          () => resolve(),
        );
        stream.on('error', () => undefined);
        stream.write(Buffer.from([0x12, 0x00]), () => stream.cancel()); // an empty http_logs, then a cancel
      }),
  };
}
