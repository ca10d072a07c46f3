/** Access log entries of Envoy arrive in a real Kafka, although the broker goes away in between. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type KafkaPart, startKafka } from '../parts/kafka.ts';
import { createTopic, kafkaClient } from '../parts/kafka-topic.ts';
import { type Mesh, startMesh } from './mesh.ts';
import { until } from './sluice.ts';

const TOPIC = 'audit';
const POLICY = `
handlers:
  audit: { adapter: log-kafka, config: { brokers: [{ $env: KAFKA_BROKER }], topic: ${TOPIC} }, batch: { max: 20, maxAge: 100ms } }
rules:
  - name: no-deletes
    match: request.method == "DELETE"
    deny: { status: 403 }
  - name: audit-all
    calls: [log]
    report:
      handler: audit
      input: { method: request.method, path: request.path, code: response.code, user: 'request.headers[?"x-user"].orValue("nobody")', rule: 'verdict.?rule.orValue("none")' }
`;

interface Entry {
  readonly method: string;
  readonly path: string;
  readonly code: number;
  readonly user: string;
  readonly rule: string;
}

let kafka: KafkaPart;
let mesh: Mesh;
/** By id: a message that the client repeats has the same id. */
const arrived = new Map<string, Entry>();
let stopReading: () => Promise<void>;

beforeAll(async () => {
  kafka = await startKafka();
  await createTopic(kafka.broker, TOPIC, 3);
  const consumer = kafkaClient(kafka.broker).consumer({ groupId: 'audit-test' });
  await consumer.connect();
  await consumer.subscribe({ topic: TOPIC, fromBeginning: true });
  await consumer.run({
    eachMessage: async ({ message }) => {
      arrived.set(
        message.headers?.['sluice-id']?.toString() ?? '',
        JSON.parse(message.value?.toString() ?? '{}') as Entry,
      );
    },
  });
  stopReading = async () => {
    await consumer.disconnect();
  };
  mesh = await startMesh(POLICY, { env: { KAFKA_BROKER: kafka.broker } });
});
afterAll(async () => {
  await mesh.stop();
  await stopReading();
  await kafka.stop();
});

const of = (prefix: string): Entry[] =>
  [...arrived.values()]
    .filter(({ path }) => path.startsWith(prefix))
    .toSorted((a, b) => a.path.localeCompare(b.path, 'en', { numeric: true }));

test('each request is one message, with fields of Envoy and of the verdict', async () => {
  const sent: Entry[] = [];
  for (let number = 0; number < 12; number += 1) {
    const method = number % 3 === 0 ? 'DELETE' : 'GET';
    const { status } = await mesh.get(`/plain/${number}`, { method, headers: { 'x-user': `user-${number % 2}` } });
    sent.push({
      method,
      path: `/plain/${number}`,
      code: status,
      user: `user-${number % 2}`,
      rule: method === 'DELETE' ? 'no-deletes' : 'none',
    });
  }
  await until('all entries', () => (of('/plain/').length >= sent.length ? true : undefined), 20_000);
  expect(of('/plain/')).toEqual(sent);
});

test('nothing is lost while the broker is killed and restarted under traffic', async () => {
  let number = 0;
  const send = async (count: number): Promise<void> => {
    for (let left = count; left > 0; left -= 1, number += 1)
      expect((await mesh.get(`/killed/${number}`)).status).toBe(200);
  };
  await send(30);
  await kafka.kill();
  await send(30);
  await kafka.restart();
  await send(30);
  await until('all entries', () => (of('/killed/').length >= number ? true : undefined), 45_000);
  expect(of('/killed/').map(({ path }) => path)).toEqual(Array.from({ length: number }, (_, at) => `/killed/${at}`));
}, 90_000);
