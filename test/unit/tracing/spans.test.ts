import { ROOT_CONTEXT } from '@opentelemetry/api';
import { InMemorySpanExporter, SimpleSpanProcessor, TracerProvider } from '@opentelemetry/sdk-trace';
import { expect, test } from 'vitest';
import { type CountAsk, EscrowCounts, MemoryCounts, WindowCounts } from '../counting/window-counts.ts';
import { ActiveContext } from '../../../src/tracing/active-context.ts';
import { tracedMethods } from '../../../src/tracing/grpc-spans.ts';
import { TracedStore } from '../../../src/tracing/store-spans.ts';
import { type CallContext, GrpcError, Status, type Method } from '../../../src/transport/transport.ts';
import { rangeOf, viewOf } from '../../../src/transport/byte-range.ts';

function tracing() {
  const exporter = new InMemorySpanExporter();
  const tracer = new TracerProvider({ spanProcessors: [new SimpleSpanProcessor({ exporter })] }).getTracer('test');
  return {
    exporter,
    tracer,
    active: new ActiveContext(),
    names: () => exporter.getFinishedSpans().map(({ name }) => name),
  };
}

const NEVER = new AbortController().signal;
const call = (peer: string): CallContext => ({
  remainingMs: undefined,
  arrivedAtMs: 0,
  signal: NEVER,
  draining: NEVER,
  ending: NEVER,
  metadata: () => undefined,
  peer,
});
const ask = (hits: number): CountAsk => ({ key: 'k', hits, limit: 100, keptS: 60, endsAtS: 60, usedUntilS: 60 });

test('a round trip of a call has a span with its number of commands; others have none', async () => {
  const { exporter, tracer, active } = tracing();
  const { pool } = new MemoryCounts({ maxKeys: 10, nowMs: () => 0 });
  const store = new WindowCounts(new TracedStore(pool, { tracer, active, isPerSecond: false }));
  await store.add([ask(1)]);
  expect(exporter.getFinishedSpans()).toEqual([]);
  await active.within(tracer.startSpan('call'), ROOT_CONTEXT, async () => {
    await store.add([ask(1), ask(1)]);
    await store.look(['k', 'l', 'm']);
    await store.addIfAllFit([ask(1), ask(1)]);
    await store.giveBack('k', 1);
  });
  expect(exporter.getFinishedSpans().map(({ name, attributes }) => [name, attributes['pipeline length']])).toEqual([
    ['Redis Pipeline Execution', 4],
    ['Redis Pipeline Execution', 3],
    ['Redis Pipeline Execution', 1],
    ['call', undefined],
  ]);
});

test('spending leased units makes no span', async () => {
  const { tracer, active, names } = tracing();
  const { pool } = new MemoryCounts({ maxKeys: 10, nowMs: () => 0 });
  const escrow = new EscrowCounts(new WindowCounts(new TracedStore(pool, { tracer, active, isPerSecond: false })), {
    nowMs: () => 0,
  });
  const spend = async (): Promise<readonly number[]> =>
    active.within(tracer.startSpan('call'), ROOT_CONTEXT, () => escrow.add([ask(1)]));
  for (let call = 0; call < 2; call++) await spend();
  expect(escrow.held).toBe(1);
  const before = names().length;
  await spend();
  expect(names().slice(before)).toEqual(['call']);
  await escrow.close();
});

test.each([
  ['10.1.2.3:4000', { 'net.sock.peer.addr': '10.1.2.3', 'net.sock.peer.port': 4000 }],
  ['[::1]:4000', { 'net.sock.peer.addr': '::1', 'net.sock.peer.port': 4000 }],
  ['unix:/run/a.sock', {}],
])('who calls: %s', (peer, attributes) => {
  const { exporter, tracer, active } = tracing();
  const methods = tracedMethods(new Map([['/a.B/C', { kind: 'unary', handle: viewOf }]]), tracer, active);
  const method = methods.get('/a.B/C');
  expect(method?.kind === 'unary' && method.handle(rangeOf(new Uint8Array([7])), call(peer))).toEqual(
    new Uint8Array([7]),
  );
  expect(exporter.getFinishedSpans().map((span) => [span.name, span.attributes])).toEqual([
    [
      'a.B/C',
      { 'rpc.system': 'grpc', 'rpc.service': 'a.B', 'rpc.method': 'C', 'rpc.grpc.status_code': 0, ...attributes },
    ],
  ]);
});

test.each([
  ["a caller's fault", new GrpcError(Status.INVALID_ARGUMENT, 'no'), { code: 0 }, 3],
  ["a server's", new GrpcError(Status.UNAVAILABLE, 'away'), { code: 2, message: 'away' }, 14],
  ['our own', new TypeError('secret'), { code: 2, message: 'internal error; see the log of the server' }, 13],
])('how a call failed: %s', async (_whose, error, status, code) => {
  const { exporter, tracer, active } = tracing();
  const kinds: Method[] = [
    {
      kind: 'unary',
      handle: () => {
        throw error;
      },
    },
    { kind: 'unary', handle: () => Promise.reject(error) },
    {
      kind: 'stream',
      handle: async function* (requests) {
        yield* requests;
        throw error;
      },
    },
  ];
  for (const kind of kinds) {
    const method = tracedMethods(new Map([['/a.B/C', kind]]), tracer, active).get('/a.B/C');
    const failing = async (): Promise<void> => {
      if (method?.kind === 'unary') await method.handle(rangeOf(new Uint8Array()), call('x'));
      else for await (const _ of method?.handle(only(new Uint8Array()), call('x')) ?? []);
    };
    await expect(failing()).rejects.toBe(error);
  }
  expect(exporter.getFinishedSpans().map((span) => [span.status, span.attributes['rpc.grpc.status_code']])).toEqual([
    [status, code],
    [status, code],
    [status, code],
  ]);
});

async function* only(message: Uint8Array): AsyncGenerator<Uint8Array> {
  yield message;
}
