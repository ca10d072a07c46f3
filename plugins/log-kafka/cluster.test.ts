/** Two brokers of one cluster: leaders change, die and hang, topics go and come, rights and replicas are missing. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Base } from '@platformatic/kafka';
import kafkajs, { type Admin } from 'kafkajs';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { type ReportEntry, Unavailable } from 'sluice/plugin';
import { eventually, openForTest, testCall } from 'sluice/plugin/testing';
import { type KafkaCluster, startKafkaCluster } from '../../test/parts/kafka.ts';
import { kafkaClient, readTopic } from '../../test/parts/kafka-topic.ts';
import adapter from './adapter.ts';

const PASSWORD = 's3cret';
let cluster: KafkaCluster;
let admin: Admin;
beforeAll(async () => {
  cluster = await startKafkaCluster({ ann: PASSWORD });
  admin = kafkaClient(cluster.first.broker).admin();
  await admin.connect();
}, 120_000);
afterAll(async () => {
  await admin.disconnect();
  cluster.second.thaw();
  await cluster.stop();
});

/** `replicas`: brokers of each partition, the preferred leader first. */
const create = (topic: string, replicas: readonly number[][], config: Readonly<Record<string, string>> = {}) =>
  admin.createTopics({
    topics: [
      {
        topic,
        replicaAssignment: replicas.map((of, partition) => ({ partition, replicas: of })),
        configEntries: Object.entries(config).map(([name, value]) => ({ name, value })),
      },
    ],
  });

/** The broker that is going to fail is asked first. */
const open = async (topic: string, more: object = {}) => {
  const brokers = [cluster.second.broker, cluster.first.broker];
  const opened = await openForTest(adapter, { config: { brokers, topic, key: 'n', unavailableAfterMs: 500, ...more } });
  onTestFinished(() => opened.close());
  return opened;
};
type Opened = Awaited<ReturnType<typeof open>>;

/** They go to all partitions. */
const entriesOf = ({ handler }: Opened, from: number, count: number, timeMs = Date.now()): ReportEntry[] => {
  const sink = handler.sink?.({ rule: 'r', input: { n: 'any' }, params: { headers: {}, leaveOut: [] } });
  return Array.from({ length: count }, (_, at) => ({ sink, id: `id-${from + at}`, timeMs, input: { n: from + at } }));
};

/** Retries while the handler is unavailable, as the host does. Returns the reasons. */
const written = async (opened: Opened, from: number, count: number): Promise<string> => {
  const entries = entriesOf(opened, from, count);
  const reasons = new Set<string>();
  for (const endMs = performance.now() + 30_000; ;) {
    try {
      await opened.handler.write?.(entries, testCall(30_000));
      return [...reasons].join('\n');
    } catch (error) {
      if (!(error instanceof Unavailable)) throw error;
      reasons.add(error.message);
      if (performance.now() > endMs) throw new Error(`not written: ${[...reasons].join('\n')}`, { cause: error });
      await sleep(20);
    }
  }
};
const idsIn = async (topic: string): Promise<string[]> => {
  const ids: string[] = [];
  await readTopic(cluster.first.broker, topic, ({ headers }) => {
    ids.push(headers?.['sluice-id']?.toString() ?? '');
  });
  return ids;
};
const eachOnce = async (topic: string, count: number): Promise<void> => {
  const ids = await idsIn(topic);
  expect([ids.length, new Set(ids).size]).toEqual([count, count]);
};
/** Asks the broker that never fails. */
const untilLeaders = (topic: string, leaders: readonly number[]): Promise<void> =>
  eventually(async () => {
    const client = new Base({ clientId: 'test', bootstrapBrokers: [cluster.first.broker] });
    const { topics } = await client.metadata({ topics: [topic] });
    await client.close();
    expect(topics.get(topic)?.partitions.map(({ leader }) => leader)).toEqual(leaders);
  }, 30_000);

test('while a leader dies and leads again, one hangs, and replicas are too few, each record is written once', async () => {
  await create('led', [
    [1, 2],
    [2, 1],
    [1, 2],
    [2, 1],
  ]);
  await create('few', [[1, 2]], { 'min.insync.replicas': '2' });
  const opened = await open('led');
  const few = await open('few');
  let [next, isOver] = [0, false];
  const writing = (async () => {
    for (; !isOver; next += 50) {
      await written(opened, next, 50);
      await sleep(5);
    }
  })();
  const untilWritten = (): Promise<void> => {
    const before = next;
    return eventually(() => expect(next).toBeGreaterThan(before + 300), 20_000);
  };
  await untilWritten();
  await cluster.second.kill();
  await untilLeaders('led', [1, 1, 1, 1]);
  const writingToFew = written(few, 0, 50);
  await untilWritten();
  await eventually(
    () => expect(few.readiness().why).toMatch(/; start the missing replicas, or lower min\.insync\.replicas/),
    20_000,
  );
  await cluster.second.restart();
  await writingToFew;
  await eachOnce('few', 50);
  await untilLeaders('led', [1, 2, 1, 2]); // known leaders are stale, and those of a slice differ
  await untilWritten();
  cluster.second.freeze();
  await untilLeaders('led', [1, 1, 1, 1]);
  await untilWritten();
  cluster.second.thaw();
  isOver = true;
  await writing;
  await eachOnce('led', next);
  await untilLeaders('led', [1, 2, 1, 2]);
}, 120_000);

test('a topic that is deleted is waited for, and may come back with fewer partitions, and get more', async () => {
  await create('gone', [[1], [2], [1], [2]]);
  const opened = await open('gone');
  await written(opened, 0, 50);
  await admin.deleteTopics({ topics: ['gone'] });
  const writing = written(opened, 50, 50);
  await eventually(() => expect(opened.readiness().why).toMatch(/; create the topic, or correct its name/), 20_000);
  await create('gone', [[1], [2]]);
  await writing;
  await eachOnce('gone', 50);
  await admin.createPartitions({ topicPartitions: [{ topic: 'gone', count: 6 }] });
  await written(opened, 100, 50);
  await admin.deleteTopics({ topics: ['gone'] });
  await create('gone', [[2], [1], [2]]);
  await written(opened, 150, 50);
  await eachOnce('gone', 50);
}, 120_000);

test('without rights it waits for them, says which, and repeats no password', async () => {
  const { AclOperationTypes: operations, AclResourceTypes: resources } = kafkajs;
  const allow = (operation: number): Promise<boolean> =>
    admin.createAcls({
      acl: [
        {
          resourceType: resources.TOPIC,
          resourceName: 'closed',
          resourcePatternType: kafkajs.ResourcePatternTypes.LITERAL,
          principal: 'User:ann',
          host: '*',
          operation,
          permissionType: kafkajs.AclPermissionTypes.ALLOW,
        },
      ],
    });
  await create('closed', [[1], [2]]);
  const sasl = { mechanism: 'PLAIN', username: 'ann', password: PASSWORD };
  const opened = await open('closed', { brokers: cluster.saslBrokers, sasl });
  const writing = written(opened, 0, 50);
  const saysWhy = (why: RegExp): Promise<void> => eventually(() => expect(opened.readiness().why).toMatch(why), 20_000);
  await saysWhy(/^Kafka at .*, topic closed: Topic authorization failed\.; let the user describe the topic and write/);
  await allow(operations.DESCRIBE);
  await saysWhy(/: Cluster authorization failed\.; let the user write to the topic/);
  await allow(operations.WRITE);
  const reasons = await writing;
  expect(reasons).not.toContain(PASSWORD);
  expect(opened.readiness()).toMatchObject({ ready: true });
  await eachOnce('closed', 50);
}, 120_000);

test.each<[string, Record<string, string>, number, RegExp]>([
  ['a compacted topic', { 'cleanup.policy': 'compact' }, 0, /; name a key if the topic is compacted$/],
  ['a time', { 'message.timestamp.after.max.ms': '1000' }, 1e7, /; correct the clock, or raise message\.timestamp\./],
  ['its size', { 'max.message.bytes': '120' }, 0, /; raise max\.message\.bytes of the topic, or leave fields out$/],
])('a record that is never taken for %s is rejected, and the reason names the fix', async (what, config, ms, says) => {
  const topic = `refusing-${what.replaceAll(' ', '-')}`;
  await create(topic, [[1], [2]], config);
  const opened = await open(topic, { key: undefined, compression: 'none', headers: { long: 'x'.repeat(100) } });
  await eventually(() => expect(opened.readiness().ready).toBe(true), 20_000);
  const entries = entriesOf(opened, 0, 1, Date.now() + ms);
  await expect(opened.handler.write?.(entries, testCall(30_000))).rejects.toMatchObject({
    name: 'Rejected',
    entries: [0],
    message: expect.stringMatching(says) as string,
  });
});
