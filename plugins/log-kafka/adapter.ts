/** Messages on a Kafka topic: none lost and none twice while the broker is away, restarts or hangs. */
import { defineAdapter, report } from 'sluice/plugin';
import { configSchema, tlsOptions } from './config.ts';
import { messageMaker } from './message.ts';

const CLOSE_FLUSHES_FOR_MS = 4000;
const CLOSE_WITHIN_MS = 500;

export default defineAdapter({
  name: 'log-kafka',
  summary: 'Writes each report as a message of JSON on a Kafka topic; none is lost, and one that comes twice has one id.',
  config: configSchema,
  serves: { report: { input: 'any', batch: { max: 500, maxAgeMs: 200, maxBytes: 512 * 1024 } } },
  async open(config, host) {
    const [tls, { openProducer }, { Courier }] = await Promise.all([tlsOptions(config, host.folder), import('./producer.ts'), import('./courier.ts')]);
    const producer = openProducer(config, tls, (isReady, why) => host.ready(isReady, why));
    const courier = new Courier({ send: producer.send, unavailableAfterMs: config.unavailableAfterMs, onLate: producer.late });
    const messageOf = messageMaker(config);
    producer.look();
    let closed: Promise<void> | undefined;
    async function close(): Promise<void> {
      const left = await courier.flush(CLOSE_FLUSHES_FOR_MS);
      if (left > 0) host.log.error('closed before Kafka had taken everything; what it has not acknowledged may be lost', { messages: left });
      await producer.close(CLOSE_WITHIN_MS);
    }
    return {
      ...report<string>({
        sink: ({ rule }) => rule,
        write: (entries) => courier.deliver(entries.map((entry) => ({ id: entry.id, message: messageOf(entry) }))),
      }),
      close: () => closed ??= close(),
    };
  },
});
