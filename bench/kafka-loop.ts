/**
 * The loop beside bench/kafka.ts: the Kafka client alone sends messages as log-kafka makes them. `node bench/kafka-loop.ts BROKER TOPIC
 * SECONDS`
 */
import { Producer } from '@platformatic/kafka';
import { randomUUID } from 'node:crypto';

const SLICE = 150;
const [broker = '', topic = '', seconds = '5'] = process.argv.slice(2);
const producer = new Producer<Buffer, Buffer, string, Buffer>({
  clientId: 'loop',
  bootstrapBrokers: [broker],
  idempotent: true,
  acks: -1,
  compression: 'lz4', // as log-kafka
  serializers: { headerKey: (name) => Buffer.from(name ?? '') },
});
const id = randomUUID();

async function sendFor(forMs: number): Promise<number> {
  const endsAtMs = performance.now() + forMs;
  let sent = 0;
  for (let slice = 0; performance.now() < endsAtMs; slice++, sent += SLICE)
    await producer.send({
      messages: Array.from({ length: SLICE }, (_, at) => ({
        topic,
        partition: slice,
        value: Buffer.from(JSON.stringify({ path: `/ratings/${at}`, code: 200, user: 'ann', took: 0.007 })),
        headers: { id: Buffer.from(`${id}-${sent + at}`), rule: Buffer.from('all') },
        timestamp: BigInt(Date.now()),
      })),
    });
  return sent;
}

await sendFor(3000); // warm-up
const [cpu, beganAtMs] = [process.cpuUsage(), performance.now()];
const sent = await sendFor(Number(seconds) * 1000);
const { user, system } = process.cpuUsage(cpu);
console.log(
  `sent ${sent} in ${(performance.now() - beganAtMs).toFixed(0)} ms, ${(user + system).toFixed(0)} us of CPU`,
);
await producer.close();
