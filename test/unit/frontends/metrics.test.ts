import { create, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { describe, expect, test } from 'vitest';
import { Timestamp, type Value } from '../../../src/attributes/values.ts';
import { VOCABULARY } from '../../../src/attributes/vocabulary.ts';
import { metricsMethods } from '../../../src/frontends/index.ts';
import { Status } from '../../../src/transport/transport.ts';
import { StreamMetricsMessageSchema } from '../../../gen/envoy/service/metrics/v3/metrics_service_pb.ts';
import { MetricType } from '../../../gen/io/prometheus/client/metrics_pb.ts';
import { fixedEngine } from '../../parts/fixed-engine.ts';
import { all, serve, TRANSPORTS, waitUntil } from '../transport/serving.ts';
import { readerOf, stream } from './call.ts';

type Message = MessageInitShape<typeof StreamMetricsMessageSchema>;
const encoded = (message: Message): Uint8Array =>
  toBinary(StreamMetricsMessageSchema, create(StreamMetricsMessageSchema, message));

const NODE = { id: 'edge-1', cluster: 'edge', locality: { region: 'r', zone: 'z', subZone: 's' } };

interface Sent {
  /** A reader of each call. */
  readonly calls: ((name: string) => Value | undefined)[];
  readonly refused: string[];
  readonly error: unknown;
  readonly replies: number;
}

async function send(messages: readonly Uint8Array[]): Promise<Sent> {
  const calls: Sent['calls'] = [];
  const refused: string[] = [];
  const methods = metricsMethods(
    fixedEngine({
      report: (call, wire) => {
        expect(call).toBe('envoy-metric');
        calls.push(readerOf(wire));
        return undefined;
      },
    }),
    { nowMs: () => 5000, onRefusedEntry: (why) => refused.push(why) },
  );
  async function* sent(): AsyncGenerator<Uint8Array> {
    yield* messages;
  }
  let replies = 0;
  try {
    for await (const _reply of stream(methods)(sent())) replies++;
  } catch (error) {
    return { calls, refused, error, replies };
  }
  return { calls, refused, error: undefined, replies };
}

describe('a stream of metrics', () => {
  test('is a call for each sample, with its type, labels and values; the node is sent once', async () => {
    const label = [
      { name: 'a', value: '1' },
      { name: 'b', value: 'two words' },
    ];
    const { calls, error, replies } = await send([
      encoded({
        identifier: { node: NODE },
        envoyMetrics: [
          {
            name: 'requests',
            type: MetricType.COUNTER,
            metric: [{ label, counter: { value: 3 }, timestampMs: 1500n }, { counter: {} }],
          },
          { name: 'open', type: MetricType.GAUGE, metric: [{ gauge: { value: -0.5 } }] },
          { name: 'other', type: MetricType.UNTYPED, metric: [{ untyped: { value: 1 } }] },
        ],
      }),
      encoded({
        envoyMetrics: [
          {
            name: 'took',
            type: MetricType.SUMMARY,
            metric: [
              {
                summary: {
                  sampleCount: 4n,
                  sampleSum: 2.5,
                  quantile: [
                    { quantile: 0.99, value: 2 },
                    { quantile: 1, value: Number.NaN },
                  ],
                },
              },
            ],
          },
          {
            name: 'took',
            type: MetricType.HISTOGRAM,
            metric: [
              {
                histogram: {
                  sampleCount: 9_007_199_254_740_993n,
                  sampleSum: 2.5,
                  bucket: [
                    { upperBound: 0.5, cumulativeCount: 1n },
                    { upperBound: Infinity, cumulativeCount: 4n },
                  ],
                },
              },
            ],
          },
        ],
      }),
    ]);
    expect([error, replies]).toEqual([undefined, 1]);
    const names = ['metric.name', 'metric.type', 'metric.value', 'metric.count', 'metric.sum'];
    expect(calls.map((read) => names.map(read))).toEqual([
      ['requests', 'counter', 3, undefined, undefined],
      ['requests', 'counter', 0, undefined, undefined],
      ['open', 'gauge', -0.5, undefined, undefined],
      ['other', 'untyped', 1, undefined, undefined],
      ['took', 'summary', undefined, 4, 2.5],
      ['took', 'histogram', undefined, 9_007_199_254_740_993n, 2.5],
    ]);
    expect(calls.map((read) => read('metric.labels')).slice(0, 2)).toEqual([
      new Map([
        ['a', '1'],
        ['b', 'two words'],
      ]),
      new Map(),
    ]);
    expect(calls.map((read) => [read('metric.time'), read('context.time')]).slice(0, 2)).toEqual([
      [new Timestamp(1, 500_000_000), new Timestamp(1, 500_000_000)],
      [undefined, new Timestamp(5, 0)],
    ]);
    const [, , , , summary, histogram] = calls;
    expect([summary?.('metric.quantiles'), summary?.('metric.buckets')]).toEqual([
      new Map([
        ['0.99', 2],
        ['1', Number.NaN],
      ]),
      undefined,
    ]);
    expect([histogram?.('metric.quantiles'), histogram?.('metric.buckets')]).toEqual([
      undefined,
      new Map([
        ['0.5', 1],
        ['+Inf', 4],
      ]),
    ]);
    expect(calls.map((read) => read('context.node.id'))).toEqual(Array.from({ length: 6 }, () => 'edge-1'));
  });

  test('carries every attribute that the vocabulary says', async () => {
    const { calls } = await send([
      encoded({
        identifier: { node: { ...NODE, userAgentVersionType: { case: 'userAgentVersion', value: '1.40' } } },
        envoyMetrics: [
          { name: 'a', type: MetricType.COUNTER, metric: [{ counter: { value: 1 }, timestampMs: 1n }] },
          { name: 'b', type: MetricType.SUMMARY, metric: [{ summary: {} }] },
          { name: 'c', type: MetricType.HISTOGRAM, metric: [{ histogram: {} }] },
        ],
      }),
    ]);
    const carried = VOCABULARY.filter(({ carriedBy }) => carriedBy['envoy-metric'] !== undefined);
    expect(carried.length).toBeGreaterThan(15);
    expect(carried.filter(({ name }) => calls.every((read) => read(name) === undefined))).toEqual([]);
  });

  test('a malformed sample is dropped and counted; the others are reported', async () => {
    const family = (...metrics: number[][]): number[] => {
      const inner = [0x0a, 1, 0x61, ...metrics.flatMap((metric) => [0x22, metric.length, ...metric])];
      return [0x12, inner.length, ...inner];
    };
    const good = [0x1a, 9, 0x09, ...Buffer.from(Float64Array.of(2).buffer)];
    const broken = [
      [0x0a, 0x7f], // a label that ends after its sample
      [0x0a, 2, 0x0a, 0x7f], // a label whose name does
      [0x1a, 3, 0x09, 0, 0], // a value of two bytes
      [0xff],
    ];
    const { calls, refused, error } = await send([Uint8Array.from(family(good, ...broken, good))]);
    expect([calls.map((read) => read('metric.value')), refused.length, error]).toEqual([[2, 2], 4, undefined]);
  });

  test('a malformed message ends the stream; samples before it stay reported', async () => {
    const good = encoded({ envoyMetrics: [{ name: 'a', metric: [{ counter: { value: 1 } }] }] });
    const { calls, refused, error } = await send([good, Uint8Array.of(0x12, 0x7f), good]);
    expect([calls.length, refused.length]).toEqual([1, 1]);
    expect(error).toMatchObject({ code: Status.INVALID_ARGUMENT });
  });

  test('a type that is not known is untyped', async () => {
    const { calls } = await send([
      encoded({ envoyMetrics: [{ name: 'a', type: 9 as MetricType, metric: [{ gauge: { value: 1 } }] }] }),
    ]);
    expect(calls.map((read) => read('metric.type'))).toEqual(['untyped']);
  });

  test.each(TRANSPORTS)('a drain over %s ends a stream that its client keeps open with OK', async (_, listen) => {
    let reports = 0;
    const serving = await serve(
      listen,
      Object.fromEntries(metricsMethods(fixedEngine({ report: () => void reports++ }))),
    );
    const message = encoded({ envoyMetrics: [{ name: 'a', metric: [{ counter: { value: 1 } }] }] });
    async function* messages(): AsyncGenerator<Uint8Array> {
      yield message;
      await new Promise(() => {});
    }
    const replies = all(serving.client.stream('/envoy.service.metrics.v3.MetricsService/StreamMetrics', messages()));
    await waitUntil(() => reports === 1, 'the sample is reported');
    await serving.transport.drain(2000);
    expect((await replies).map((reply) => reply.length)).toEqual([0]);
    expect(reports).toBe(1);
    await serving.stop();
  });
});
