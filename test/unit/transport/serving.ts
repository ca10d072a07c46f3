/** A real server with methods that misbehave on purpose, and a real client. */
import {
  dialGrpc,
  GrpcError,
  listen,
  listenHttp2,
  type Listen,
  Status,
  type GrpcClient,
  type Method,
  type TlsOptions,
  type Transport,
} from '../../../src/transport/index.ts';

export interface Serving {
  readonly transport: Transport;
  readonly client: GrpcClient;
  readonly address: string;
  readonly faults: { readonly path: string; readonly error: unknown }[];
  stop(): Promise<void>;
}

/** Both transports, for tests of what they share. */
export const TRANSPORTS: readonly (readonly [name: string, listen: Listen])[] = [
  ['our own HTTP/2', listen],
  ['node:http2', listenHttp2],
];

export async function serve(
  listenAt: Listen,
  methods: Readonly<Record<string, Method>>,
  maxMessageBytes = 64 * 1024,
  tls?: TlsOptions,
): Promise<Serving> {
  const faults: Serving['faults'] = [];
  const transport = await listenAt(new Map(Object.entries(methods)), {
    host: '127.0.0.1',
    port: 0,
    maxMessageBytes,
    ...(tls === undefined ? {} : { tls }),
    onFault: (path, error) => void faults.push({ path, error }),
  });
  const address = `127.0.0.1:${transport.port}`;
  const client = dialGrpc(address, tls === undefined ? {} : { tls: { ca: Buffer.from(tls.cert) } });
  return {
    transport,
    client,
    address,
    faults,
    stop: async () => {
      client.close();
      await transport.drain(0);
    },
  };
}

export const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString();
export const bytes = (said: string): Uint8Array => new TextEncoder().encode(said);

/** The GrpcError that ended a call; any other end fails the test. */
export async function failureOf(call: Promise<unknown>): Promise<GrpcError> {
  try {
    await call;
  } catch (error) {
    if (error instanceof GrpcError) return error;
    throw error;
  }
  throw new Error('the call ended with OK');
}

/** What a hostile peer must not hinder: another client's call of `/t.T/Echo`. */
export async function expectOthersServed({ client }: Serving): Promise<void> {
  const answer = text(await client.unary('/t.T/Echo', bytes('served'), { timeoutMs: 20_000 }));
  if (answer !== 'served') throw new Error(`/t.T/Echo answered ${answer}`);
}

export async function all(replies: AsyncIterable<Uint8Array>): Promise<string[]> {
  const seen: string[] = [];
  for await (const reply of replies) seen.push(text(reply));
  return seen;
}

export const waitUntil = async (holds: () => boolean, what: string, withinMs = 3000): Promise<void> => {
  const end = Date.now() + withinMs;
  while (!holds()) {
    if (Date.now() > end) throw new Error(`waited ${withinMs} ms in vain until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
};

/** Waits until what `read` returns has been the same for 100 ms. */
export const settled = async (read: () => number, withinMs = 5000): Promise<number> => {
  const end = Date.now() + withinMs;
  let value = read();
  for (let sinceMs = Date.now(); Date.now() - sinceMs < 100;) {
    if (Date.now() > end) throw new Error(`after ${withinMs} ms it still changes: ${value}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
    if (read() === value) continue;
    value = read();
    sinceMs = Date.now();
  }
  return value;
};

export { GrpcError, Status };
