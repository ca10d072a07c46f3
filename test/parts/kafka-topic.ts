/** Topics of a Kafka of the tests, created and read by another client library than that of the plugin. */
import { randomUUID } from 'node:crypto';
import kafkajs, { type Kafka, type KafkaMessage } from 'kafkajs';

export const kafkaClient = (broker: string): Kafka =>
  new kafkajs.Kafka({
    clientId: 'test',
    brokers: [broker],
    logLevel: kafkajs.logLevel.NOTHING,
    retry: { initialRetryTime: 50, maxRetryTime: 500, retries: 1000 },
  });

export async function createTopic(broker: string, topic: string, partitions: number): Promise<void> {
  const admin = kafkaClient(broker).admin();
  await admin.connect();
  try {
    await admin.createTopics({ topics: [{ topic, numPartitions: partitions }], waitForLeaders: true });
  } finally {
    await admin.disconnect();
  }
}

/** The messages that the topic has now, in the order of each partition. Rejects if one cannot be read. */
export async function readTopic(
  broker: string,
  topic: string,
  onMessage: (message: KafkaMessage, partition: number) => void,
): Promise<void> {
  const client = kafkaClient(broker);
  const left = await endOffsets(client, topic);
  if (left.size === 0) return;
  const { promise: isRead, resolve, reject } = Promise.withResolvers<void>();
  const consumer = client.consumer({ groupId: `reader-${randomUUID()}`, maxWaitTimeInMs: 100 });
  // Without this a message that kafkajs cannot decode looks like an empty topic.
  consumer.on('consumer.crash', ({ payload }) => {
    if (!payload.restart) reject(payload.error);
  });
  await consumer.connect();
  try {
    await consumer.subscribe({ topic, fromBeginning: true });
    const offsets = new Map<number, bigint>();
    await consumer.run({
      eachMessage: ({ message, partition }) => {
        const offset = BigInt(message.offset);
        if (offset <= (offsets.get(partition) ?? -1n)) return Promise.resolve(); // read again after a rebalance
        offsets.set(partition, offset);
        onMessage(message, partition);
        if (offset + 1n >= (left.get(partition) ?? 0n)) left.delete(partition);
        if (left.size === 0) resolve();
        return Promise.resolve();
      },
    });
    await isRead;
  } finally {
    await consumer.disconnect();
  }
}

/** Of the partitions that have messages. */
async function endOffsets(client: Kafka, topic: string): Promise<Map<number, bigint>> {
  const admin = client.admin();
  await admin.connect();
  try {
    const found = await admin.fetchTopicOffsets(topic);
    return new Map(
      found.filter(({ high, low }) => high !== low).map(({ partition, high }) => [partition, BigInt(high)]),
    );
  } finally {
    await admin.disconnect();
  }
}
