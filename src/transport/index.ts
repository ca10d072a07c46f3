/**
 * The transport's public entry.
 * **In**: methods by path, and an address. **Out**: a server that calls them, and a client.
 * **Fails**: calls end with a gRPC status, never with an empty OK; {@link listen} rejects if the address cannot be bound.
 */
export { listen } from './socket/listen.ts';
export { listenHttp2 } from './node-http2/listen.ts';
export { type Address, addressText, socketPath } from './address.ts';
export { dialGrpc, type DialTls, type GrpcClient, type UnaryOptions } from './client.ts';
export { connectStreams, type OutgoingStream, type StreamEvents, type StreamsClient } from './streams-client.ts';
export { requestBody } from './request-body.ts';
export {
  GrpcError,
  Status,
  statusName,
  type CallContext,
  type Listen,
  type Method,
  type Methods,
  type StreamHandler,
  type Stranger,
  type StrangerKind,
  type TlsOptions,
  type Transport,
  type TransportOptions,
  type UnaryHandler,
} from './transport.ts';
