/** The Kafka client: an idempotent producer that retries while the broker may have a message. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { ConnectionOptions as TlsOptions } from 'node:tls';
import { murmur2 } from '@platformatic/kafka';
import type { KafkaConfig } from './config.ts';
import type { Outcome } from './batch-sender.ts';
import type { Message } from './message.ts';
import { BrokerError, PartitionSender } from './partition-sender.ts';
import { RecordProducer } from './record-producer.ts';

export interface KafkaProducer {
  readonly send: (messages: readonly Message[], slice: number) => Promise<Outcome | readonly Outcome[]>;
  /** Asks the broker for the topic once, so that the handler's readiness is known before the first report. */
  probe(): void;
  /** Whether the last exchange with the broker succeeded. */
  isWorking(): boolean;
  /** A message has waited this long: the handler is not ready until one is written. Returns the reason. */
  readonly late: (waitedMs: number) => string;
  close(withinMs: number): Promise<void>;
}

const CONNECT_TIMEOUT_MS = 3000;
/** After this the slice is sent again on a new connection, with its old sequence number. */
const REQUEST_TIMEOUT_MS = 5000;
const REPLICAS = 'start the missing replicas, or lower min.insync.replicas of the topic';
/** What to do about an error that lasts until somebody does it; its own text does not say. */
const ADVICE: ReadonlyMap<string, string> = new Map([
  ['UNKNOWN_TOPIC_OR_PARTITION', 'create the topic, or correct its name; Sluice creates none'],
  ['TOPIC_AUTHORIZATION_FAILED', 'let the user describe the topic and write to it'],
  [
    'CLUSTER_AUTHORIZATION_FAILED',
    'let the user write to the topic, before Kafka 2.8 also IdempotentWrite on the cluster',
  ],
  ['NOT_ENOUGH_REPLICAS', REPLICAS],
  ['NOT_ENOUGH_REPLICAS_AFTER_APPEND', REPLICAS],
  ['LEADER_NOT_AVAILABLE', 'start the brokers that have the partition'],
  ['KAFKA_STORAGE_ERROR', 'see to the disk of the broker'],
  ['UNSUPPORTED_COMPRESSION_TYPE', 'choose another compression'],
  ['MESSAGE_TOO_LARGE', 'raise max.message.bytes of the topic, or leave fields out'],
  ['RECORD_LIST_TOO_LARGE', 'raise segment.bytes of the topic'],
  ['INVALID_RECORD', 'name a key if the topic is compacted'],
  ['INVALID_TIMESTAMP', 'correct the clock, or raise message.timestamp.before.max.ms and .after.max.ms of the topic'],
  ['SASL_AUTHENTICATION_FAILED', 'correct username, password or mechanism of sasl'],
  ['ILLEGAL_SASL_STATE', 'this listener takes no SASL: leave out sasl, or name the port of one that does'],
  ['UNSUPPORTED_SASL_MECHANISM', 'choose a mechanism of sasl that the listener offers'],
]);
const NO_TLS = /before secure TLS connection was established|wrong version number/;

export function openProducer(
  config: KafkaConfig,
  tls: TlsOptions | undefined,
  onReady: (isReady: boolean, why?: string) => void,
): KafkaProducer {
  const shown = `Kafka at ${config.brokers.join(', ')}`;
  const shownTopic = `${shown}, topic ${config.topic}`;
  let problem: string | undefined = `${shown}: not reached yet`;
  const secrets = config.sasl === undefined ? [] : [config.sasl.password];
  const reasonOf = (error: unknown): string => withoutSecrets(innermostReason(error), secrets);
  const failing = (error: unknown): string => {
    problem = `${shownTopic}: ${reasonOf(error)}${adviceFor(error)}`;
    onReady(false, problem);
    return problem;
  };
  const working = (): void => {
    problem = undefined;
    onReady(true);
  };
  onReady(false, problem);

  const producer = new RecordProducer(
    {
      clientId: config.clientId,
      bootstrapBrokers: [...config.brokers],
      idempotent: true,
      acks: -1,
      retries: true,
      retryDelay: (_client, _operation, attempt, _retries, error) => {
        failing(error);
        return Math.min(50 * 2 ** attempt, 1000);
      },
      connectTimeout: CONNECT_TIMEOUT_MS,
      requestTimeout: REQUEST_TIMEOUT_MS,
      timeout: REQUEST_TIMEOUT_MS,
      autocreateTopics: false,
      ...(tls === undefined ? {} : { tls }),
      ...(config.sasl === undefined ? {} : { sasl: config.sasl }),
    },
    config.topic,
    config.compression,
  );

  const sender = new PartitionSender(producer, failing);

  async function send(messages: readonly Message[], slice: number): Promise<Outcome | readonly Outcome[]> {
    let partitionFor: (message: Message) => number;
    try {
      const { partitions } = await producer.topic();
      partitionFor = partitionOf(slice, partitions);
    } catch (error) {
      return { failed: failing(error) };
    }
    const ended = await sender.send(Map.groupBy(messages, partitionFor));
    const outcomes = new Map<number, Outcome>();
    for (const [partition, { isRefused, error }] of ended)
      outcomes.set(
        partition,
        isRefused ? { refused: `${shownTopic}: ${reasonOf(error)}${adviceFor(error)}` } : { failed: failing(error) },
      );
    if (outcomes.size === 0) {
      working();
      return 'written';
    }
    return messages.map((message) => outcomes.get(partitionFor(message)) ?? 'written');
  }

  return {
    send,
    probe: () => {
      producer.topic().then(working, failing);
    },
    isWorking: () => problem === undefined,
    late: (waitedMs) => problem ?? failing(new Error(`no answer for ${waitedMs} ms`)),
    async close(withinMs) {
      sender.close();
      const closed = new AbortController();
      await Promise.race([
        producer.close(true).catch(() => undefined),
        sleep(withinMs, undefined, { signal: closed.signal }),
      ]);
      closed.abort();
    },
  };
}

/** Without a key a whole slice goes to one partition: fewer and larger batches. */
const partitionOf =
  (slice: number, partitions: number) =>
  ({ key }: Message): number =>
    (key === undefined ? slice : murmur2(key) >>> 0) % partitions;

/** The errors within an error, innermost first. */
function* within(error: unknown): Generator<Error> {
  if (!(error instanceof Error)) return;
  if (error instanceof AggregateError) yield* within(error.errors.at(-1));
  if (error.cause !== undefined) yield* within(error.cause);
  yield error;
}

function kafkaCodes(error: unknown): string[] {
  return [...within(error)].flatMap((one) => ('apiId' in one && typeof one.apiId === 'string' ? [one.apiId] : []));
}

function adviceFor(error: unknown): string {
  const known = kafkaCodes(error).find((code) => ADVICE.has(code));
  if (known !== undefined) return `; ${ADVICE.get(known)}`;
  const text = innermostReason(error);
  if (text.startsWith('Unknown topic ')) return `; ${ADVICE.get('UNKNOWN_TOPIC_OR_PARTITION')}`;
  return NO_TLS.test(text) ? '; this listener speaks no TLS: leave out tls, or name the port of one that does' : '';
}

function innermostReason(error: unknown): string {
  const [innermost] = within(error);
  const broker = error instanceof BrokerError ? `${error.broker}: ` : '';
  return broker + (innermost?.message ?? String(error));
}

/** Error texts of a broker or a proxy before it may repeat credentials. */
export const withoutSecrets = (text: string, secrets: readonly string[]): string =>
  secrets.reduce(
    (shown, secret) => shown.replaceAll(secret, '***').replaceAll(Buffer.from(secret).toString('base64'), '***'),
    text,
  );
