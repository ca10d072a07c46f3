/** Reports as messages on a Kafka topic: none lost and none written twice while the broker is unavailable, restarts or hangs. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { defineAdapter, type Host, report, type ReportEntry, type ReportRule } from 'sluice/plugin';
import { Readiness } from '../http/readiness.ts';
import type { BatchSender } from './batch-sender.ts';
import { configSchema, type KafkaConfig, type KafkaParams, paramsSchema, tlsOptions } from './config.ts';
import { bytesOf, headersOf, type Message, messageMaker, type MessageParts } from './message.ts';

/** Time for messages in flight at the end: a broker that works accepts them within it. */
const FLUSH_MS = 4000;
const FLUSH_WITHOUT_BROKER_MS = 500;
const CLOSE_MS = 500;

/** Bytes rendered in one turn of the event loop. */
const RENDERED_BYTES_PER_TURN = 500_000;
const LOGGED_REFUSALS_PER_MINUTE = 20;

export default defineAdapter({
  name: 'log-kafka',
  summary:
    'Writes each report as a message of JSON or protobuf to a Kafka topic; none is lost, and a repeated message has the same id.',
  config: configSchema,
  serves: { report: { params: paramsSchema, input: 'any', batch: { max: 500, maxAgeMs: 200, maxBytes: 512 * 1024 } } },
  async open(config, host) {
    const readiness = new Readiness(host);
    const broker = readiness.hostFor('broker');
    const [tls, { openProducer }, { BatchSender }] = await Promise.all([
      tlsOptions(config, readiness.hostFor('certificates')),
      import('./producer.ts'),
      import('./batch-sender.ts'),
    ]);
    const producer = openProducer(config, tls, (isReady, why) => broker.ready(isReady, why));
    const sender = new BatchSender({
      send: producer.send,
      unavailableAfterMs: config.unavailableAfterMs,
      onLate: producer.late,
      onRefused: refusalLog(host),
    });
    const render = renderer(config);
    producer.probe();
    let closed: Promise<void> | undefined;
    return {
      ...report<MessageParts, KafkaParams>({
        sink: (rule) => partsOf(config, rule),
        write: async (entries) => sender.send(await render(entries)),
      }),
      close: () => (closed ??= close(sender, producer, host)),
    };
  },
});

/** Throws if a param names a field that the rule does not have. */
function partsOf(
  { key: usualKey, headers: fixed }: KafkaConfig,
  { rule, params, input }: ReportRule<KafkaParams>,
): MessageParts {
  const { key = usualKey, headers, leaveOut } = params;
  const named = [...(params.key === undefined ? [] : [params.key]), ...Object.values(headers), ...leaveOut];
  const missing = named.find((field) => !Object.hasOwn(input, field));
  if (missing !== undefined)
    throw new Error(
      `params name the field "${missing}", which the rule does not have; its fields are ${Object.keys(input).join(', ') || 'none'}`,
    );
  return {
    rule,
    key,
    headers: headersOf(fixed, headers, rule),
    leaveOut: new Set(leaveOut),
  };
}

async function close(
  sender: BatchSender,
  producer: { isWorking(): boolean; close(withinMs: number): Promise<void> },
  host: Host,
): Promise<void> {
  const left = await sender.flush(producer.isWorking() ? FLUSH_MS : FLUSH_WITHOUT_BROKER_MS);
  if (left.length > 0) {
    const rules: Record<string, number> = {};
    for (const { rule } of left) rules[rule] = (rules[rule] ?? 0) + 1;
    host.log.error('messages may be lost: the handler closed before Kafka had acknowledged them', {
      messages: left.length,
      rules,
      first: left[0]?.id,
      last: left.at(-1)?.id,
    });
  }
  await producer.close(CLOSE_MS);
}

function renderer(config: KafkaConfig): (entries: readonly ReportEntry<MessageParts>[]) => Promise<Message[]> {
  const messageFor = messageMaker(config);
  return async (entries) => {
    const batch: Message[] = [];
    let bytes = 0;
    for (const entry of entries) {
      const message = messageFor(entry);
      batch.push(message);
      bytes += bytesOf(message);
      if (bytes < RENDERED_BYTES_PER_TURN) continue;
      bytes = 0;
      await nextTurn();
    }
    return batch;
  };
}

/** One line per report, up to a bound per minute: a broker that refuses everything must not fill the log. */
function refusalLog(host: Host): (message: Message, why: string) => void {
  let minute = -1;
  let lines = 0;
  let unlogged = 0;
  return (message, why) => {
    const now = Math.floor(host.clock.monotonicMs() / 60_000);
    if (now !== minute) [minute, lines] = [now, 0];
    if (lines >= LOGGED_REFUSALS_PER_MINUTE) {
      unlogged += 1;
      return;
    }
    lines += 1;
    host.log.error('Kafka rejects this report permanently', {
      report: message.id,
      rule: message.rule,
      bytes: bytesOf(message),
      why,
      ...(unlogged > 0 ? { unlogged } : {}),
    });
    unlogged = 0;
  };
}
