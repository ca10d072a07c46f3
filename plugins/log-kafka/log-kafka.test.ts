import { copyFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { Kafka, logLevel, type Consumer, type KafkaMessage } from 'kafkajs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Rejected, type ReportEntry, Unavailable } from 'sluice/plugin';
import { eventually, openForTest, testAdapter, testCall } from 'sluice/plugin/testing';
import { type Authority, makeAuthority } from '../../test/parts/certificates.ts';
import { type KafkaPart, startKafka } from '../../test/parts/kafka.ts';
import adapter from './adapter.ts';
import { reportProtobuf } from './protobuf.ts';
import { withoutSecrets } from './producer.ts';

const TOPIC = 'audit';
const NO_PARAMS = { headers: {}, leaveOut: [] };
let kafka: KafkaPart;
let authority: Authority;
const PASSWORD = 's3cret-word';
let consumer: Consumer;
/** All messages of the topic, read by another client library. */
const arrived: (KafkaMessage & { partition: number })[] = [];
/** By offset: a consumer may get an offset twice, while a message that was written twice has two offsets. */
const places = new Set<string>();
const fields = (message: KafkaMessage): unknown => JSON.parse(message.value?.toString() ?? 'null');

beforeAll(async () => {
  authority = await makeAuthority();
  const { cert, key } = await authority.issue('broker', 'IP:127.0.0.1');
  const pem = readFileSync(key, 'utf8') + readFileSync(cert, 'utf8');
  kafka = await startKafka({ secure: { pem, username: 'ann', password: PASSWORD } });
  const client = new Kafka({
    brokers: [kafka.broker],
    logLevel: logLevel.NOTHING,
    retry: { initialRetryTime: 100, maxRetryTime: 500, retries: 1000 },
  });
  const admin = client.admin();
  await admin.connect();
  await admin.createTopics({ topics: [{ topic: TOPIC, numPartitions: 3 }] });
  await admin.disconnect();
  consumer = client.consumer({ groupId: 'test', maxWaitTimeInMs: 100, retry: { retries: 1000, maxRetryTime: 500 } });
  await consumer.connect();
  await consumer.subscribe({ topic: TOPIC, fromBeginning: true });
  await consumer.run({
    eachMessage: async ({ message, partition }) => {
      const place = `${partition}/${message.offset}`;
      if (places.has(place)) return;
      places.add(place);
      arrived.push({ ...message, partition });
    },
  });
});
afterAll(async () => {
  await consumer.disconnect();
  await kafka.stop();
  await authority.remove();
});

const config = (more: object = {}) => ({
  brokers: [kafka.broker],
  topic: TOPIC,
  compression: 'none',
  unavailableAfterMs: 1500,
  ...more,
});
let arrivedBefore = 0;
const bad = (of: object, says: RegExp) => ({ config: { brokers: ['127.0.0.1:1'], topic: 't', ...of }, says });

testAdapter(adapter, {
  runner: { describe, test: (name, run) => test(name, run, 90_000) },
  config: () => {
    arrivedBefore = arrived.length;
    return config({ compression: 'gzip' });
  },
  badConfigs: [
    bad({ brokers: [] }, /brokers/),
    bad({ brokers: ['http://127.0.0.1:9092'] }, /a broker is HOST:PORT/),
    bad({ topic: 'a b' }, /a topic is/),
    bad({ compression: 'best' }, /compression/),
    bad({ value: 'avro' }, /value/),
    bad({ sasl: { mechanism: 'PLAIN', username: 'a' } }, /password/),
    bad({ tls: { ca: 'not-there.pem' } }, /not-there\.pem/),
  ],
  report: {
    input: (n) => ({ n, path: `/ü/${n}` }),
    read: () => arrived.slice(arrivedBefore).map(fields),
    away: { begin: async () => kafka.freeze(), end: async () => kafka.thaw() },
  },
});

test('a reason never contains the password, plain or in base64', () => {
  expect(withoutSecrets('denied: user:s3cret (czNjcmV0)', ['s3cret'])).toBe('denied: user:*** (***)');
});

describe('log-kafka', () => {
  const open = (more: object = {}) => openForTest(adapter, { config: config(more) });
  type Opened = Awaited<ReturnType<typeof open>>;
  const entriesOf = ({ handler }: Opened, run: string, from: number, count: number): ReportEntry[] => {
    const sink = handler.sink?.({ rule: 'some-rule', input: {}, params: NO_PARAMS });
    return Array.from({ length: count }, (_, at) => ({
      sink,
      id: `${run}-${from + at}`,
      timeMs: Date.UTC(2026, 0, 1),
      input: { run, n: from + at },
    }));
  };
  const write = async ({ handler }: Opened, entries: readonly ReportEntry[]) => {
    await handler.write?.(entries, testCall(30_000));
  };
  const numbersOf = (run: string) =>
    arrived
      .map(fields)
      .filter((one) => (one as { run?: string }).run === run)
      .map((one) => (one as { n: number }).n)
      .toSorted((a, b) => a - b);
  const counted = (count: number) => Array.from({ length: count }, (_, n) => n);
  /** Retries the same entries while they are Unavailable, as the host does. */
  const writeUntilTaken = async (opened: Opened, entries: readonly ReportEntry[]): Promise<number> => {
    for (let refusals = 0; ; refusals++) {
      try {
        await write(opened, entries);
        return refusals;
      } catch (error) {
        if (!(error instanceof Unavailable)) throw error;
        await new Promise((resolve) => {
          setTimeout(resolve, 50);
        });
      }
    }
  };

  test('a message has the fields as value, id, rule and headers, the key and the time', async () => {
    const opened = await open({ key: 'user', headers: { source: 'edge' } });
    const sink = opened.handler.sink?.({ rule: 'slow-calls', input: {}, params: NO_PARAMS });
    const input = {
      run: 'form',
      user: 'ann',
      at: new Date(0),
      raw: new Uint8Array([1, 2]),
      odd: Number.NaN,
      none: null,
    };
    await write(opened, [
      { sink, id: 'id-1', timeMs: 1_767_225_600_000, input },
      { sink, id: 'id-2', timeMs: 1_767_225_600_000, input: { run: 'form', user: null } },
    ]);
    const found = () => arrived.filter((one) => (fields(one) as { run?: string }).run === 'form');
    await eventually(() => expect(found()).toHaveLength(2));
    const [first] = found().filter(({ headers }) => headers?.['sluice-id']?.toString() === 'id-1');
    expect(fields(first as KafkaMessage)).toEqual({
      run: 'form',
      user: 'ann',
      at: '1970-01-01T00:00:00.000Z',
      raw: 'AQI=',
      odd: 'NaN',
      none: null,
    });
    expect({
      key: first?.key?.toString(),
      timestamp: first?.timestamp,
      rule: first?.headers?.['sluice-rule']?.toString(),
      source: first?.headers?.['source']?.toString(),
    }).toEqual({ key: 'ann', timestamp: '1767225600000', rule: 'slow-calls', source: 'edge' });
    await opened.close();
  });

  test('a rule gives its own key and headers from fields, and leaves fields out of the value', async () => {
    const opened = await open({ key: 'user', headers: { source: 'edge', route: 'none' } });
    const sink = opened.handler.sink?.({
      rule: 'r',
      input: { run: 'any', user: 'any', tenant: 'any', code: 'any', gone: 'any' },
      params: {
        key: 'tenant',
        headers: { route: 'run', code: 'code', gone: 'gone' },
        leaveOut: ['tenant', 'code', 'gone'],
      },
    });
    const input = { run: 'parts', user: 'ann', tenant: 'acme', code: 200, gone: null };
    await write(opened, [{ sink, id: 'id-1', timeMs: 0, input }]);
    const found = () => arrived.filter((one) => (fields(one) as { run?: string }).run === 'parts');
    await eventually(() => expect(found()).toHaveLength(1));
    const [message] = found();
    expect(fields(message as KafkaMessage)).toEqual({ run: 'parts', user: 'ann' });
    expect(message?.key?.toString()).toBe('acme');
    expect(
      Object.fromEntries(Object.entries(message?.headers ?? {}).map(([name, value]) => [name, value?.toString()])),
    ).toEqual({ source: 'edge', route: 'parts', code: '200', 'sluice-id': 'id-1', 'sluice-rule': 'r' });
    expect(() => opened.handler.sink?.({ rule: 'r', input: { a: 'any' }, params: { ...NO_PARAMS, key: 'b' } })).toThrow(
      'params name the field "b", which the rule does not have; its fields are a',
    );
    await opened.close();
  });

  test.each(['PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512'])(
    'writes over TLS with credentials by %s',
    async (mechanism) => {
      const run = `sasl-${mechanism}`;
      const secure = (password: string, unavailableAfterMs = 1500) =>
        open({
          unavailableAfterMs,
          brokers: [kafka.secureBroker],
          tls: { ca: authority.ca },
          sasl: { mechanism, username: 'ann', password },
        });
      const opened = await secure(PASSWORD);
      await write(opened, entriesOf(opened, run, 0, 20));
      await eventually(() => expect(numbersOf(run)).toEqual(counted(20)));
      await opened.close();
      const wrong = await secure('wrong-word', 300);
      await expect(write(wrong, entriesOf(wrong, run, 20, 1))).rejects.toThrow(Unavailable);
      expect(wrong.readiness()).toMatchObject({ ready: false });
      expect(wrong.readiness().why).not.toContain('wrong-word');
      await wrong.close();
    },
  );

  test('a renewed file of authorities is used for the next connection', async () => {
    const other = await makeAuthority();
    const ca = join(mkdtempSync(join(tmpdir(), 'sluice-kafka-ca-')), 'ca.pem');
    copyFileSync(other.ca, ca);
    const sasl = { mechanism: 'PLAIN', username: 'ann', password: PASSWORD };
    const opened = await open({ brokers: [kafka.secureBroker], tls: { ca }, sasl, unavailableAfterMs: 300 });
    const entries = entriesOf(opened, 'renewed', 0, 3);
    await expect(write(opened, entries)).rejects.toThrow(/certificate/);
    copyFileSync(authority.ca, ca);
    await writeUntilTaken(opened, entries);
    await eventually(() => expect(numbersOf('renewed')).toEqual(counted(3)));
    await opened.close();
    rmSync(dirname(ca), { recursive: true });
    await other.remove();
  });

  test('with value: protobuf a message has a Report in place of JSON', async () => {
    const opened = await open({ value: 'protobuf', topic: 'narrow-protobuf' });
    const client = new Kafka({ brokers: [kafka.broker], logLevel: logLevel.NOTHING });
    const admin = client.admin();
    await admin.connect();
    await admin.createTopics({ topics: [{ topic: 'narrow-protobuf', numPartitions: 1 }] });
    await admin.disconnect();
    const reader = client.consumer({ groupId: 'protobuf', maxWaitTimeInMs: 100 });
    const values: (Buffer | null)[] = [];
    await reader.connect();
    await reader.subscribe({ topic: 'narrow-protobuf', fromBeginning: true });
    await reader.run({ eachMessage: async ({ message }) => void values.push(message.value) });
    const [entry] = entriesOf(opened, 'protobuf', 7, 1);
    await writeUntilTaken(opened, entry === undefined ? [] : [entry]);
    await eventually(() => expect(values).toHaveLength(1), 30_000);
    expect(values[0]).toEqual(
      reportProtobuf({ id: 'protobuf-7', timeMs: Date.UTC(2026, 0, 1) }, 'some-rule', { run: 'protobuf', n: 7 }),
    );
    await reader.disconnect();
    await opened.close();
  }, 60_000);

  test('one key goes to one partition; without a key all partitions are used', async () => {
    const [keyed, plain] = [await open({ key: 'run' }), await open()];
    for (let at = 0; at < 6; at++) {
      await write(keyed, entriesOf(keyed, 'keyed', at, 1));
      await write(plain, entriesOf(plain, 'plain', at, 1));
    }
    await eventually(() => expect([numbersOf('keyed'), numbersOf('plain')]).toEqual([counted(6), counted(6)]));
    const partitions = (run: string) =>
      new Set(arrived.filter((one) => (fields(one) as { run?: string }).run === run).map(({ partition }) => partition))
        .size;
    expect([partitions('keyed'), partitions('plain')]).toEqual([1, 3]);
    await Promise.all([keyed.close(), plain.close()]);
  });

  test('a message that the broker refuses for good does not affect others', async () => {
    const opened = await open();
    const [before, large, after] = entriesOf(opened, 'large', 0, 3);
    if (before === undefined || large === undefined || after === undefined) throw new Error('no entries');
    const refused: unknown = await write(opened, [
      before,
      { ...large, input: { run: 'large', n: 1, fill: 'x'.repeat(1_500_000) } },
      after,
    ]).catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(Rejected);
    expect((refused as Rejected).entries).toEqual([1]);
    expect((refused as Rejected).message).toMatch(
      /^the report large-1 of the rule some-rule \(1500\d\d\d bytes\): Kafka at 127\.0\.0\.1:\d+, topic audit: /,
    );
    expect(opened.logged).toMatchObject([
      {
        level: 'error',
        message: 'Kafka rejects this report permanently',
        fields: { report: 'large-1', rule: 'some-rule', bytes: expect.any(Number) as number },
      },
    ]);
    await eventually(() => expect(numbersOf('large')).toEqual([0, 2]));
    await opened.close();
  });

  test('a message that is refused doubles no messages of other partitions', async () => {
    const admin = new Kafka({ brokers: [kafka.broker], logLevel: logLevel.NOTHING }).admin();
    await admin.connect();
    await admin.createTopics({
      topics: [{ topic: 'beside', numPartitions: 3, configEntries: [{ name: 'max.message.bytes', value: '20000' }] }],
    });
    const opened = await open({ topic: 'beside', key: 'user' });
    const entries = entriesOf(opened, 'beside', 0, 30).map((entry, n) => ({
      ...entry,
      input: { user: `user-${n}`, fill: 'x'.repeat(n === 17 ? 30_000 : 100) },
    }));
    const refused: unknown = await write(opened, entries).catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(Rejected);
    expect((refused as Rejected).entries).toEqual([17]);
    const written = await admin.fetchTopicOffsets('beside');
    expect(written.reduce((sum, { offset }) => sum + Number(offset), 0)).toBe(29);
    expect(written.every(({ offset }) => Number(offset) > 0)).toBe(true);
    await admin.disconnect();
    await opened.close();
  }, 60_000);

  test('a broker with a lower limit gets smaller batches; only messages above its limit are refused', async () => {
    const admin = new Kafka({ brokers: [kafka.broker], logLevel: logLevel.NOTHING }).admin();
    await admin.connect();
    await admin.createTopics({
      topics: [{ topic: 'narrow', numPartitions: 1, configEntries: [{ name: 'max.message.bytes', value: '20000' }] }],
    });
    const opened = await open({ topic: 'narrow' });
    const fill = 'x'.repeat(3000);
    const entries = entriesOf(opened, 'narrow', 0, 40).map((entry, n) => ({
      ...entry,
      input: { n, fill: n === 17 ? fill.repeat(10) : fill },
    }));
    const refused: unknown = await write(opened, entries).catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(Rejected);
    expect((refused as Rejected).entries).toEqual([17]);
    expect((await admin.fetchTopicOffsets('narrow')).map(({ offset }) => Number(offset))).toEqual([39]);
    await write(opened, entriesOf(opened, 'narrow', 40, 1));
    await admin.disconnect();
    await opened.close();
  }, 60_000);

  test.each([
    [
      'frozen',
      async () => {
        kafka.freeze();
        await new Promise((resolve) => {
          setTimeout(resolve, 6000);
        }); // longer than the request timeout of 5 s, so that the client retries
        kafka.thaw();
      },
    ],
    [
      'killed and started again',
      async () => {
        await kafka.kill();
        await kafka.restart();
      },
    ],
  ] as const)(
    'nothing is lost, and nothing doubled but under one id, while the broker is %s',
    async (how, disturb) => {
      const opened = await open();
      const run = `run-${how}`;
      let [isOver, written, refusals, wasNotReady] = [false, 0, 0, false];
      const writing = (async () => {
        for (; !isOver; written += 400) {
          refusals += await writeUntilTaken(opened, entriesOf(opened, run, written, 400));
          await new Promise((resolve) => {
            setTimeout(resolve, 20);
          });
        }
      })();
      await eventually(() => expect(written).toBeGreaterThan(1000));
      const watching = setInterval(() => {
        wasNotReady ||= !opened.readiness().ready;
      }, 20);
      await disturb();
      const at = written;
      await eventually(() => expect(written).toBeGreaterThan(at + 1000), 30_000);
      clearInterval(watching);
      isOver = true;
      await writing;
      expect({ refused: refusals > 0, wasNotReady, ready: opened.readiness().ready }).toEqual({
        refused: true,
        wasNotReady: true,
        ready: true,
      });
      // A retry of the client after the broker has lost its sequence numbers arrives twice, with one sluice-id.
      const came = (): { lost: number[]; twiceById: number[] } => {
        const byId = new Map(
          arrived
            .filter((one) => (fields(one) as { run?: string }).run === run)
            .map((one) => [one.headers?.['sluice-id']?.toString(), (fields(one) as { n: number }).n]),
        );
        const numbers = [...byId.values()].toSorted((a, b) => a - b);
        const known = new Set(numbers);
        return {
          lost: counted(written).filter((n) => !known.has(n)),
          twiceById: numbers.filter((n, at) => n === numbers[at - 1]),
        };
      };
      await eventually(() => expect(came()).toEqual({ lost: [], twiceById: [] }), 30_000);
      await opened.close();
    },
    120_000,
  );

  test.each<[string, object, RegExp]>([
    [
      'a topic that is not there',
      { topic: 'nowhere' },
      /topic nowhere: .*; create the topic, or correct its name; Sluice creates none$/,
    ],
    [
      'SASL where the broker takes none',
      { sasl: { mechanism: 'PLAIN', username: 'ann', password: 'a' } },
      /; this listener takes no SASL: leave out sasl, or name the port of one that does$/,
    ],
    [
      'TLS where the broker speaks none',
      { tls: true },
      /; this listener speaks no TLS: leave out tls, or name the port of one that does$/,
    ],
  ])(
    'says what to do about %s',
    async (_what, more, says) => {
      const opened = await openForTest(adapter, { config: config({ unavailableAfterMs: 300, ...more }) });
      const entries = entriesOf(opened, 'misled', 0, 1);
      await expect
        .poll(
          async () => {
            await expect(write(opened, entries)).rejects.toThrow(Unavailable);
            return opened.readiness().why;
          },
          { timeout: 20_000 },
        )
        .toMatch(says);
      await opened.close();
    },
    60_000,
  );

  test('without a broker it opens at once, is not ready, and delivers once when the broker comes', async () => {
    await kafka.down();
    const beganMs = performance.now();
    const opened = await openForTest(adapter, {
      config: config({ topic: 'late', unavailableAfterMs: 300 }),
    });
    expect(performance.now() - beganMs).toBeLessThan(15_000); // the broker comes later
    const entries = entriesOf(opened, 'late', 0, 10);
    for (let times = 0; times < 3; times++) await expect(write(opened, entries)).rejects.toThrow(Unavailable);
    expect(opened.readiness()).toMatchObject({ ready: false, why: expect.stringContaining(kafka.broker) as string });
    const given = await openForTest(adapter, {
      config: config({ topic: 'late', unavailableAfterMs: 300 }),
    });
    await expect(write(given, entriesOf(given, 'given-up', 0, 7))).rejects.toThrow(Unavailable);
    const closingMs = performance.now();
    await given.close();
    expect(performance.now() - closingMs).toBeLessThan(15_000); // half a second for the broker, half a second for the client
    expect(given.logged.filter(({ level }) => level === 'error').map(({ fields: of }) => of)).toMatchObject([
      { messages: 7, rules: { 'some-rule': 7 }, first: 'given-up-0', last: 'given-up-6' },
    ]);

    await kafka.restart();
    const admin = new Kafka({ brokers: [kafka.broker], logLevel: logLevel.NOTHING }).admin();
    await admin.connect();
    await expect(write(opened, entries)).rejects.toThrow(/does not exist|does not host|UNKNOWN_TOPIC|topic/i);
    await admin.createTopics({ topics: [{ topic: 'late', numPartitions: 3 }] });
    await writeUntilTaken(opened, entries);
    expect((await admin.fetchTopicOffsets('late')).reduce((sum, { offset }) => sum + Number(offset), 0)).toBe(10);
    expect(opened.readiness().ready).toBe(true);
    await admin.disconnect();
    await opened.close();
    expect(opened.logged.filter(({ level }) => level === 'error')).toEqual([]);
  }, 90_000);
});
