/**
 * **In**: gRPC methods. **Out**: the methods with a server span for each call in the caller's trace (names and attributes of the RPC
 * conventions 1.17, as otelgrpc writes them for the reference). **Fails**: as the methods do.
 */
import { isIP } from 'node:net';
import { type Attributes, type Context, type Span, SpanKind, SpanStatusCode, type Tracer } from '@opentelemetry/api';
import { statusOf } from '../transport/grpc/status.ts';
import {
  type CallContext,
  type Method,
  type Methods,
  Status,
  type StreamHandler,
  type UnaryHandler,
} from '../transport/transport.ts';
import { type ActiveContext, callerOf } from './active-context.ts';

export function tracedMethods(methods: Methods, tracer: Tracer, active: ActiveContext): Methods {
  return new Map([...methods].map(([path, method]) => [path, traced(path, method, tracer, active)]));
}

function traced(path: string, method: Method, tracer: Tracer, active: ActiveContext): Method {
  const name = path.slice(1);
  const [service = '', rpc = ''] = name.split('/');
  const begin = (call: CallContext): { readonly span: Span; readonly caller: Context } => {
    const caller = callerOf((header) => call.metadata(header));
    return {
      caller,
      span: tracer.startSpan(
        name,
        {
          kind: SpanKind.SERVER,
          attributes: { 'rpc.system': 'grpc', 'rpc.service': service, 'rpc.method': rpc, ...peerOf(call) },
        },
        caller,
      ),
    };
  };
  if (method.kind === 'stream') return { kind: 'stream', handle: tracedStream(method.handle, begin) };
  const handle: UnaryHandler = (request, call) => {
    const { span, caller } = begin(call);
    return active.within(span, caller, () => method.handle(request, call), {
      succeeded: () => ended(span, Status.OK, ''),
      failed: (error) => endedBy(span, error),
    });
  };
  return { kind: 'unary', handle };
}

function tracedStream(handle: StreamHandler, begin: (call: CallContext) => { readonly span: Span }): StreamHandler {
  return async function* (requests, call) {
    const { span } = begin(call);
    try {
      yield* handle(requests, call);
      ended(span, Status.OK, '');
    } catch (error) {
      endedBy(span, error);
      throw error;
    } finally {
      span.end();
    }
  };
}

function peerOf({ peer }: CallContext): Attributes {
  const [, host = '', port = ''] = /^\[?([^\]]*)\]?:(\d+)$/.exec(peer) ?? [];
  return isIP(host) === 0 ? {} : { 'net.sock.peer.addr': host, 'net.sock.peer.port': Number(port) };
}

/** Values of google.rpc.Code that are the server's fault, not the caller's. */
const FAULTS: ReadonlySet<number> = new Set([
  Status.UNKNOWN,
  Status.DEADLINE_EXCEEDED,
  Status.UNIMPLEMENTED,
  Status.INTERNAL,
  Status.UNAVAILABLE,
  15,
]);

function ended(span: Span, code: number, details: string): void {
  span.setAttribute('rpc.grpc.status_code', code);
  if (FAULTS.has(code)) span.setStatus({ code: SpanStatusCode.ERROR, message: details });
}

function endedBy(span: Span, error: unknown): void {
  const { code, details } = statusOf(error);
  ended(span, code, details);
}
