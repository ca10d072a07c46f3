/** The server on @grpc/grpc-js. Paths are registered with raw bytes: grpc-js neither decodes nor encodes. */
import { logVerbosity, Server, ServerCredentials, setLogVerbosity } from '@grpc/grpc-js';
import { asBuffer, asBytes } from './bytes.ts';
import { streamCall } from './stream.ts';
import type { Listen, Method, Transport, TransportOptions } from './transport.ts';
import { unaryCall } from './unary.ts';

/** Of the grace: what busy streams may use before they are ended, so that their handlers have the rest. */
const STREAMS_SHARE = 0.8;

// What grpc-js would print, we say ourselves. GRPC_VERBOSITY still turns it on.
if (process.env['GRPC_VERBOSITY'] === undefined) setLogVerbosity(logVerbosity.NONE);

export const listen: Listen = async (methods, options) => {
  const server = new Server({ 'grpc.max_receive_message_length': options.maxMessageBytes, 'grpc.max_send_message_length': -1, 'grpc.enable_channelz': 0 });
  const draining = new AbortController();
  const endStreams = new AbortController();
  for (const [path, method] of methods) register(server, path, method, draining.signal, endStreams.signal, options);
  const port = await bind(server, options);
  return running(server, { host: options.host, port }, draining, endStreams);
};

function register(server: Server, path: string, method: Method, draining: AbortSignal, endStreams: AbortSignal, options: TransportOptions): void {
  const onFault = (error: unknown): void => options.onFault(path, error);
  const fresh = method.kind === 'unary'
    ? server.register<Buffer, Uint8Array>(path, unaryCall(method.handle, draining, onFault), asBuffer, asBytes, 'unary')
    : server.register<Buffer, Uint8Array>(path, streamCall(method.handle, { draining, endStreams, onFault }), asBuffer, asBytes, 'bidi');
  if (!fresh) throw new Error(`${path} is registered twice`);
}

function bind(server: Server, { host, port }: TransportOptions): Promise<number> {
  const address = addressText(host, port);
  return new Promise((resolve, reject) => {
    server.bindAsync(address, ServerCredentials.createInsecure(), (error, bound) => {
      if (error === null) resolve(bound);
      else reject(new Error(whyNot(address, error.message), { cause: error }));
    });
  });
}

function whyNot(address: string, cause: string): string {
  if (cause.includes('EADDRINUSE')) return `${address} is taken by another process: stop it, or choose another port`;
  if (cause.includes('EADDRNOTAVAIL')) return `${address} is no address of this machine: listen at 127.0.0.1, 0.0.0.0 or one that it has`;
  if (cause.includes('EACCES')) return `${address} is not allowed to this user: choose a port above 1023`;
  return `cannot listen at ${address}: ${cause}`;
}

const addressText = (host: string, port: number): string => (host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`);

function running(server: Server, at: { readonly host: string; readonly port: number }, draining: AbortController, endStreams: AbortController): Transport {
  let drained: Promise<void> | undefined;
  const drain = async (graceMs: number): Promise<void> => {
    const endTimer = setTimeout(() => endStreams.abort(), graceMs * STREAMS_SHARE);
    draining.abort();
    // Not forceShutdown: without channelz it leaves the connections open.
    server.drain(addressText(at.host, at.port), graceMs);
    await new Promise<void>((resolve) => {
      server.tryShutdown(() => resolve());
    });
    clearTimeout(endTimer);
  };
  return { ...at, drain: (graceMs) => drained ??= drain(graceMs) };
}
