/** Our requests are compared, byte by byte, with those that the client makes of the same messages. */
import * as client from '@platformatic/kafka';
import { expect, test } from 'vitest';
import { headersOf, messageMaker } from './message.ts';
import { type Compression, recordBatch } from './record-batch.ts';
import { produceRequest } from './record-producer.ts';
import { Sequences } from './sequences.ts';

const IDENTITY = { producerId: 4001n, producerEpoch: 3, firstSequence: 77 };
const TOPIC = 'audit';
const TEXTS = ['', 'x', 'ü'.repeat(40), '日'.repeat(63), 'y'.repeat(64), 'z'.repeat(9000), '"\\\n', '\ud800 alone'];

const inputs = TEXTS.map((text, n) => ({ text, n, user: n % 3 === 0 ? null : `user-${n}`, code: 200 + n }));
const CONFIG_HEADERS = { source: 'edge', route: 'none', 'sluice-id': 'never' };
const sink = {
  rule: 'some-rule',
  key: 'user',
  leaveOut: new Set(['user']),
  headers: headersOf(CONFIG_HEADERS, { route: 'user', code: 'code' }, 'some-rule'),
};
const SHIFTS_MS = [0, -5000, 3, 1_000_000_000];
const timeOf = (n: number): number => 1_790_000_000_000 + (SHIFTS_MS[n % SHIFTS_MS.length] ?? 0);

const ours = () => inputs.map((input, n) => maker({ sink, id: `id-${n}`, timeMs: timeOf(n), input }));
const maker = messageMaker({ value: 'json' });
const theirs = (partition: number) =>
  inputs.map(({ user, ...rest }, n) => ({
    topic: TOPIC,
    partition,
    ...(user === null ? {} : { key: Buffer.from(user) }),
    value: Buffer.from(JSON.stringify(rest)),
    timestamp: BigInt(timeOf(n)),
    headers: new Map(
      Object.entries({
        source: 'edge',
        route: user ?? 'none',
        code: String(rest.code),
        'sluice-id': `id-${n}`,
        'sluice-rule': 'some-rule',
      }).map(([name, text]) => [Buffer.from(name), Buffer.from(text)]),
    ),
  }));

const VERSIONS = [
  [3, client.produceV3],
  [4, client.produceV4],
  [5, client.produceV5],
  [6, client.produceV6],
  [7, client.produceV7],
  [8, client.produceV8],
  [9, client.produceV9],
  [10, client.produceV10],
  [11, client.produceV11],
] as const;
const COMPRESSIONS: readonly Compression[] = ['none', 'gzip', 'snappy', 'lz4', 'zstd'];

test.each(VERSIONS.flatMap(([version, api]) => COMPRESSIONS.map((compression) => ({ version, api, compression }))))(
  'a request of version $version with $compression is the same as of the client',
  async ({ version, api, compression }) => {
    const partitions = [0, 2]; // the client sorts them
    const batches = await Promise.all(partitions.map(async () => recordBatch(ours(), compression, IDENTITY)));
    const own = produceRequest(
      version,
      -1,
      5000,
      TOPIC,
      partitions.map((partition, at) => ({ partition, batch: batches[at]! })),
    );
    const expected = api.createRequest(-1, 5000, partitions.flatMap(theirs), {
      compression,
      producerId: IDENTITY.producerId,
      producerEpoch: IDENTITY.producerEpoch,
      sequences: new client.NumericMap(
        partitions.map((partition) => [`${TOPIC}:${partition}`, IDENTITY.firstSequence]),
      ),
    });
    expect(own.buffer.toString('hex')).toBe(expected.buffer.toString('hex'));
  },
);

test('a batch keeps its sequence number under a producer id, and gets another under another', () => {
  const sequences = new Sequences<readonly number[]>();
  const [first, second, third] = [[1, 2, 3], [4, 5], [6]];
  expect(sequences.firstOf(first!, 0, 7n, 0)).toBe(0);
  expect(sequences.firstOf(second!, 0, 7n, 0)).toBe(3);
  expect(sequences.firstOf(third!, 1, 7n, 0)).toBe(0); // each partition counts for itself
  expect(sequences.firstOf(second!, 0, 8n, 0)).toBe(0);
  expect(sequences.firstOf(first!, 0, 8n, 0)).toBe(2);
  expect(sequences.firstOf(second!, 0, 7n, 0)).toBe(3); // a late repetition
  expect(sequences.firstOf([7], 0, 7n, 0)).toBe(5);
});

test('sequence numbers have 31 bits, as the broker counts them', () => {
  const sequences = new Sequences<{ readonly length: number }>();
  const most = { length: 2 ** 31 - 2 };
  expect(sequences.firstOf(most, 0, 7n, 0)).toBe(0);
  expect(sequences.firstOf({ length: 5 }, 0, 7n, 0)).toBe(2 ** 31 - 2);
  expect(sequences.firstOf({ length: 1 }, 0, 7n, 0)).toBe(3);
});
