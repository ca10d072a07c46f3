/** Sluice and a real Kafka, killed at any moment under load: every confirmed entry is in the topic, in the order of its stream. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { type KafkaPart, startKafka } from '../parts/kafka.ts';
import { createTopic, readTopic } from '../parts/kafka-topic.ts';
import { missing, outOfOrder, PER_STREAM, sendStreams, Streams } from '../parts/numbered-streams.ts';
import { type Serving, serving } from './command.ts';
import { until } from './sluice.ts';

const TOPIC = 'no-loss';
const SENDERS = 3;
const PER_SECOND = 8000;

let kafka: KafkaPart;
beforeAll(async () => {
  kafka = await startKafka();
  await createTopic(kafka.broker, TOPIC, 3);
});
afterAll(() => kafka.stop());

const policyOf = (broker: string): string => `
settings: { spool: { folder: spool } }
handlers:
  kafka:
    adapter: log-kafka
    config: { brokers: ["${broker}"], topic: ${TOPIC}, key: stream, unavailableAfterMs: 500 }
    spool: disk
    batch: { max: 200, maxAge: 20ms }
rules:
  - { name: all, report: { handler: kafka, input: { path: request.path, stream: request.host } } }
`;

/** Settles when the sink has acknowledged everything. */
const drained = ({ admin }: Serving): Promise<true> =>
  until('an empty spool', async () => {
    const page = (await (await fetch(`http://${admin}/handlers`)).json()) as { handlers: { queued: number }[] };
    return page.handlers.every(({ queued }) => queued === 0) ? true : undefined;
  });

test('no confirmed entry is lost, and none comes twice unless Sluice or Kafka was killed', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-no-loss-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const policy = join(folder, 'policy.yaml');
  writeFileSync(policy, policyOf(kafka.broker));
  let running = await serving([policy]);
  onTestFinished(() => running.signal('SIGKILL'));
  const streams = new Streams();
  const calm: [number, number][] = [];
  const withoutKills = async (): Promise<void> => {
    const first = streams.next;
    const load = sendStreams(running.grpc, streams, SENDERS, PER_SECOND);
    await until('streams', () => (streams.next - first > 2 * SENDERS ? true : undefined));
    await load.stop();
    await drained(running);
    calm.push([first, streams.next]);
  };
  /** Sends until Sluice is killed after `ms`, then starts it again; `disturb` runs meanwhile. */
  const killedAfter = async (ms: number, disturb: () => unknown = () => undefined): Promise<void> => {
    const load = sendStreams(running.grpc, streams, SENDERS, PER_SECOND);
    await Promise.all([sleep(ms), disturb()]);
    running.signal('SIGKILL');
    await running.ended;
    await load.stop();
    running = await serving([policy]);
  };

  await withoutKills();
  expect(await running.stop()).toBe(0); // saves the cursor; a kill within a second of a delivery repeats it
  running = await serving([policy]);
  // The cursor is saved once a second, so also while entries wait that Kafka never had.
  await killedAfter(1411, () => kafka.kill());
  await killedAfter(97, () => kafka.restart());
  await killedAfter(233);
  const load = sendStreams(running.grpc, streams, SENDERS, PER_SECOND);
  await sleep(200);
  await kafka.kill();
  await kafka.restart();
  await load.stop();
  await drained(running);
  await withoutKills();
  expect(await running.stop()).toBe(0);

  const arrived: number[] = [];
  const ids = new Map<number, Set<string>>();
  await readTopic(kafka.broker, TOPIC, ({ value, headers }) => {
    const number = Number((JSON.parse(value?.toString() ?? '{}') as { path: string }).path.slice(1));
    arrived.push(number);
    ids.set(number, (ids.get(number) ?? new Set()).add(headers?.['sluice-id']?.toString() ?? ''));
  });
  expect(missing(streams, arrived)).toEqual([]);
  expect(outOfOrder(arrived)).toEqual([]);
  expect([...ids].filter(([, { size }]) => size > 1)).toEqual([]);
  expect(new Set([...ids.values()].flatMap((of) => [...of])).size).toBe(ids.size);
  for (const [first, end] of calm) {
    const numbers = arrived.filter((number) => number >= first * PER_STREAM && number < end * PER_STREAM);
    expect(numbers.length).toBe((end - first) * PER_STREAM);
    expect(new Set(numbers).size).toBe(numbers.length);
  }
}, 240_000);
