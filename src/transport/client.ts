/** A small client that sends and receives bytes, for `sluice call`, control planes and tests. */
import type { ChannelCredentials, Client, ClientDuplexStream, Metadata, ServiceError } from '@grpc/grpc-js';
import { isIP } from 'node:net';
import { asBuffer } from './byte-range.ts';
import { GrpcError } from './transport.ts';
import { withoutServerName } from './without-server-name.ts';

export interface UnaryOptions {
  /** Sent as grpc-timeout; no timeout without it. */
  readonly timeoutMs?: number;
  readonly metadata?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
}

export interface GrpcClient {
  /** Rejects with a {@link GrpcError} if the status is not OK. */
  unary(path: string, request: Uint8Array, options?: UnaryOptions): Promise<Uint8Array>;
  /**
   * Sends messages as fast as the server accepts them; ends its side after the last. Throws a {@link GrpcError} if the status is not OK.
   */
  stream(
    path: string,
    requests: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
    options?: UnaryOptions,
  ): AsyncIterable<Uint8Array>;
  close(): void;
}

/** In PEM. `serverName`: the name in the server's certificate, if it differs from the host of the address. */
export interface DialTls {
  readonly ca?: Buffer;
  readonly cert?: Buffer;
  readonly key?: Buffer;
  readonly serverName?: string;
}

const asIs = (bytes: Buffer): Buffer => bytes;

/**
 * Connects when first used; if the server is unreachable, the call fails with UNAVAILABLE. Cleartext without `tls`.
 * grpc-js is imported with the first call, so that a server that makes no calls does not load it.
 */
export function dialGrpc(address: string, { tls }: { readonly tls?: DialTls } = {}): GrpcClient {
  let opening: Promise<OpenClient> | undefined;
  const opened = (): Promise<OpenClient> => (opening ??= openClient(address, tls));
  return {
    unary: async (path, request, options = {}) => {
      const { client, metadataOf } = await opened();
      return new Promise((resolve, reject) => {
        const cancel = (): void => call.cancel();
        const call = client.makeUnaryRequest(
          path,
          asBuffer,
          asIs,
          request,
          metadataOf(options),
          deadlineOf(options),
          (error, reply) => {
            options.signal?.removeEventListener('abort', cancel);
            if (error !== null) reject(grpcError(error));
            else resolve(reply ?? new Uint8Array());
          },
        );
        options.signal?.addEventListener('abort', cancel, { once: true });
      });
    },
    stream: async function* stream(path, requests, options = {}) {
      const { client, metadataOf } = await opened();
      yield* exchange(
        client.makeBidiStreamRequest(path, asBuffer, asIs, metadataOf(options), deadlineOf(options)),
        requests,
        options,
      );
    },
    close: () => {
      void opening?.then(
        ({ client }) => client.close(),
        () => undefined,
      );
    },
  };
}

interface OpenClient {
  readonly client: Client;
  readonly metadataOf: (options: UnaryOptions) => Metadata;
}

async function openClient(address: string, tls: DialTls | undefined): Promise<OpenClient> {
  const { Client, credentials, Metadata } = await import('@grpc/grpc-js');
  const secured = ({ ca, key, cert, serverName }: DialTls): ChannelCredentials => {
    const made = credentials.createSsl(ca ?? null, key ?? null, cert ?? null);
    return isIP(serverName ?? hostOf(address)) !== 0 ? withoutServerName(made) : made;
  };
  const client = new Client(address, tls === undefined ? credentials.createInsecure() : secured(tls), {
    ...(tls?.serverName === undefined ? {} : { 'grpc.ssl_target_name_override': tls.serverName }),
    'grpc.use_local_subchannel_pool': 1,
    'grpc.enable_http_proxy': 0,
    'grpc.max_receive_message_length': -1,
  });
  return {
    client,
    metadataOf({ metadata = {} }) {
      const sent = new Metadata();
      for (const [key, value] of Object.entries(metadata)) sent.set(key, value);
      return sent;
    },
  };
}

const hostOf = (address: string): string => address.slice(0, address.lastIndexOf(':')).replace(/^\[(.*)\]$/, '$1');

async function* exchange(
  call: ClientDuplexStream<Uint8Array, Buffer>,
  requests: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
  options: UnaryOptions,
): AsyncGenerator<Uint8Array, void, undefined> {
  const cancel = (): void => call.cancel();
  options.signal?.addEventListener('abort', cancel, { once: true });
  let sendingFailed: unknown;
  send(call, requests).catch((error: unknown) => {
    sendingFailed = error;
    call.cancel();
  });
  try {
    for await (const reply of call) yield reply as Buffer;
  } catch (error) {
    throw sendingFailed ?? (isServiceError(error) ? grpcError(error) : error);
  } finally {
    call.cancel();
    options.signal?.removeEventListener('abort', cancel);
  }
}

async function send(
  call: ClientDuplexStream<Uint8Array, Buffer>,
  requests: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
): Promise<void> {
  let over = false;
  let wake = (): void => {};
  const onEnd = (): void => {
    over = true;
    wake();
  };
  call.once('status', onEnd).once('close', onEnd);
  for await (const request of requests) {
    if (over) return;
    await new Promise<void>((resolve) => {
      wake = resolve;
      call.write(request, () => resolve());
    });
  }
  call.end();
}

const deadlineOf = ({ timeoutMs }: UnaryOptions): { deadline?: number } =>
  timeoutMs === undefined ? {} : { deadline: Date.now() + timeoutMs };

const isServiceError = (error: unknown): error is ServiceError =>
  error instanceof Error && 'code' in error && typeof error.code === 'number';
const grpcError = (error: ServiceError): GrpcError => new GrpcError(error.code, error.details, { cause: error });
