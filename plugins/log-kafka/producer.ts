/** The Kafka client: an idempotent producer that retries while the broker may have a message. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { ConnectionOptions as TlsOptions } from 'node:tls';
import { murmur2 } from '@platformatic/kafka';
import { acknowledged } from './acknowledged.ts';
import type { KafkaConfig } from './config.ts';
import type { Outcome } from './batch-sender.ts';
import type { Message } from './message.ts';
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
/** Kafka's permanent errors; a retry of the same message would fail again. */
const REFUSED = new Set([
  'MESSAGE_TOO_LARGE',
  'RECORD_LIST_TOO_LARGE',
  'INVALID_RECORD',
  'INVALID_TIMESTAMP',
  'CORRUPT_MESSAGE',
]);

/** What to do about an error that lasts until somebody does it; its own text does not say. */
const ADVICE: ReadonlyMap<string, string> = new Map([
  ['UNKNOWN_TOPIC_OR_PARTITION', 'create the topic, or correct its name; Sluice creates none'],
  ['TOPIC_AUTHORIZATION_FAILED', 'let the user describe the topic and write to it'],
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
  let problem: string | undefined = `${shown}: not reached yet`;
  const secrets = config.sasl === undefined ? [] : [config.sasl.password];
  const reasonOf = (error: unknown): string => withoutSecrets(innermostReason(error), secrets);
  const failing = (error: unknown): string => {
    problem = `${shown}, topic ${config.topic}: ${reasonOf(error)}${adviceFor(error)}`;
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
    config.compression,
  );

  async function send(messages: readonly Message[], slice: number): Promise<Outcome | readonly Outcome[]> {
    let byPartition: ReadonlyMap<number, readonly Message[]> = new Map();
    try {
      const { topics } = await producer.metadata({ topics: [config.topic] });
      byPartition = Map.groupBy(messages, partitionOf(slice, topics.get(config.topic)?.partitionsCount ?? 1));
      await producer.send({
        messages: Array.from(byPartition, ([partition, value]) => ({ topic: config.topic, partition, value })),
      });
      working();
      return 'written';
    } catch (error) {
      const outcome = kafkaCodes(error).some((code) => REFUSED.has(code))
        ? { refused: `${shown}, topic ${config.topic}: ${reasonOf(error)}` }
        : { failed: failing(error) };
      const written = new Set([...acknowledged(error)].flatMap((partition) => byPartition.get(partition) ?? []));
      return written.size === 0 ? outcome : messages.map((message) => (written.has(message) ? 'written' : outcome));
    }
  }

  return {
    send,
    probe: () => {
      producer.metadata({ topics: [config.topic] }).then(working, failing);
    },
    isWorking: () => problem === undefined,
    late: (waitedMs) => problem ?? failing(new Error(`no answer for ${waitedMs} ms`)),
    async close(withinMs) {
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
  return innermost?.message ?? String(error);
}

/** Error texts of a broker or a proxy before it may repeat credentials. */
export const withoutSecrets = (text: string, secrets: readonly string[]): string =>
  secrets.reduce(
    (shown, secret) => shown.replaceAll(secret, '***').replaceAll(Buffer.from(secret).toString('base64'), '***'),
    text,
  );
