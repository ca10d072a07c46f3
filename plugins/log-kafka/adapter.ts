/** Messages on a Kafka topic: none lost and none twice while the broker is away, restarts or hangs. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { defineAdapter, type Host, report, type ReportEntry } from 'sluice/plugin';
import { configSchema, type KafkaConfig, tlsOptions } from './config.ts';
import { bytesOf, type Courier, type Parcel } from './courier.ts';
import { messageMaker } from './message.ts';

/** While the broker answers, what is under way arrives soon; while it does not, waiting longer brings nothing. */
const CLOSE_FLUSHES_FOR_MS = 4000;
const CLOSE_FLUSHES_WITHOUT_BROKER_FOR_MS = 500;
const CLOSE_WITHIN_MS = 500;

/** Rendered at a time, so that a batch of large reports does not hold the event loop. */
const MOST_BYTES_AT_A_TIME = 500_000;
const REFUSALS_LOGGED_A_MINUTE = 20;

export default defineAdapter({
  name: 'log-kafka',
  summary:
    'Writes each report as a message of JSON on a Kafka topic; none is lost, and one that comes twice has one id.',
  config: configSchema,
  serves: { report: { input: 'any', batch: { max: 500, maxAgeMs: 200, maxBytes: 512 * 1024 } } },
  async open(config, host) {
    const [tls, { openProducer }, { Courier }] = await Promise.all([
      tlsOptions(config, host.folder),
      import('./producer.ts'),
      import('./courier.ts'),
    ]);
    const producer = openProducer(config, tls, (isReady, why) => host.ready(isReady, why));
    const courier = new Courier({
      send: producer.send,
      unavailableAfterMs: config.unavailableAfterMs,
      onLate: producer.late,
      onRefused: refusalLog(host),
    });
    const parcelsOf = parcelMaker(config);
    producer.look();
    let closed: Promise<void> | undefined;
    return {
      ...report<string>({
        sink: ({ rule }) => rule,
        write: async (entries) => courier.deliver(await parcelsOf(entries)),
      }),
      close: () => (closed ??= close(courier, producer, host)),
    };
  },
});

async function close(
  courier: Courier,
  producer: { isWorking(): boolean; close(withinMs: number): Promise<void> },
  host: Host,
): Promise<void> {
  const left = await courier.flush(producer.isWorking() ? CLOSE_FLUSHES_FOR_MS : CLOSE_FLUSHES_WITHOUT_BROKER_FOR_MS);
  if (left.length > 0) {
    const rules: Record<string, number> = {};
    for (const { rule } of left) rules[rule] = (rules[rule] ?? 0) + 1;
    host.log.error('closed before Kafka had taken everything; what it has not acknowledged may be lost', {
      messages: left.length,
      rules,
      first: left[0]?.id,
      last: left.at(-1)?.id,
    });
  }
  await producer.close(CLOSE_WITHIN_MS);
}

function parcelMaker(config: KafkaConfig): (entries: readonly ReportEntry<string>[]) => Promise<Parcel[]> {
  const messageOf = messageMaker(config);
  return async (entries) => {
    const parcels: Parcel[] = [];
    let bytes = 0;
    for (const entry of entries) {
      const message = messageOf(entry);
      parcels.push({ id: entry.id, rule: entry.sink, message });
      bytes += bytesOf(message);
      if (bytes < MOST_BYTES_AT_A_TIME) continue;
      bytes = 0;
      await nextTurn();
    }
    return parcels;
  };
}

/** A line for each report, up to so many a minute: a broker that refuses everything must not fill the log. */
function refusalLog(host: Host): (parcel: Parcel, why: string) => void {
  let minute = -1;
  let lines = 0;
  let unlogged = 0;
  return ({ id, rule, message }, why) => {
    const now = Math.floor(host.clock.monotonicMs() / 60_000);
    if (now !== minute) [minute, lines] = [now, 0];
    if (lines >= REFUSALS_LOGGED_A_MINUTE) {
      unlogged += 1;
      return;
    }
    lines += 1;
    host.log.error('Kafka will never take this report; it is dropped', {
      report: id,
      rule,
      bytes: bytesOf(message),
      why,
      ...(unlogged > 0 ? { unlogged } : {}),
    });
    unlogged = 0;
  };
}
