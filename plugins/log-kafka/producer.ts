/** The client: an idempotent producer that tries on as long as the broker may have a message. */
import type { ConnectionOptions as TlsOptions } from 'node:tls';
import { Producer } from '@platformatic/kafka';
import type { KafkaConfig } from './config.ts';
import type { Outcome } from './courier.ts';
import type { Message } from './message.ts';

export interface KafkaProducer {
  readonly send: (messages: readonly Message[], slice: number) => Promise<Outcome>;
  /** Looks for the broker once, so that the handler says soon whether it is there. */
  look(): void;
  /** Whether the last that was heard of the broker was an answer. */
  isWorking(): boolean;
  /** Something has waited for so long: not ready until something is written. Says why. */
  readonly late: (waitedMs: number) => string;
  close(withinMs: number): Promise<void>;
}

const CONNECT_TIMEOUT_MS = 3000;
/** Past it the same slice is sent again, on a new connection, under its old sequence number. */
const REQUEST_TIMEOUT_MS = 5000;
/** Errors of Kafka that the same message would meet again. */
const REFUSED = new Set([
  'MESSAGE_TOO_LARGE',
  'RECORD_LIST_TOO_LARGE',
  'INVALID_RECORD',
  'INVALID_TIMESTAMP',
  'CORRUPT_MESSAGE',
]);

export function openProducer(
  config: KafkaConfig,
  tls: TlsOptions | undefined,
  onReady: (isReady: boolean, why?: string) => void,
): KafkaProducer {
  const shown = `Kafka at ${config.brokers.join(', ')}`;
  let trouble: string | undefined = `${shown}: not reached yet`;
  const secrets = config.sasl === undefined ? [] : [config.sasl.password];
  const reasonOf = (error: unknown): string => withoutSecrets(innermostReason(error), secrets);
  const failing = (error: unknown): string => {
    trouble = `${shown}, topic ${config.topic}: ${reasonOf(error)}`;
    onReady(false, trouble);
    return trouble;
  };
  const working = (): void => {
    trouble = undefined;
    onReady(true);
  };
  onReady(false, trouble);

  const producer = new Producer<Buffer, Buffer, string, Buffer>({
    clientId: config.clientId,
    bootstrapBrokers: [...config.brokers],
    idempotent: true,
    acks: -1,
    retries: true,
    // The client keeps every error of a row of tries: after some time, fewer tries.
    retryDelay: (_client, _operation, attempt, _retries, error) => {
      failing(error);
      return attempt < 8 ? Math.min(50 * 2 ** attempt, 1000) : attempt < 300 ? 1000 : 5000;
    },
    connectTimeout: CONNECT_TIMEOUT_MS,
    requestTimeout: REQUEST_TIMEOUT_MS,
    timeout: REQUEST_TIMEOUT_MS,
    autocreateTopics: false,
    compression: config.compression,
    serializers: { headerKey: (name) => Buffer.from(name ?? '') },
    ...(tls === undefined ? {} : { tls }),
    ...(config.sasl === undefined ? {} : { sasl: config.sasl }),
  });

  async function send(messages: readonly Message[], slice: number): Promise<Outcome> {
    try {
      // Without a key a slice goes to one partition: fewer and larger batches. The client takes it modulo the partitions.
      await producer.send({
        messages: messages.map((message) => (message.key === undefined ? { ...message, partition: slice } : message)),
      });
      working();
      return 'written';
    } catch (error) {
      if (kafkaCodes(error).some((code) => REFUSED.has(code)))
        return { refused: `${shown}, topic ${config.topic}: ${reasonOf(error)}` };
      return { failed: failing(error) };
    }
  }

  return {
    send,
    look: () => {
      producer.metadata({ topics: [config.topic] }).then(working, failing);
    },
    isWorking: () => trouble === undefined,
    late: (waitedMs) => trouble ?? failing(new Error(`no answer for ${waitedMs} ms`)),
    async close(withinMs) {
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<void>((resolve) => {
        timer = setTimeout(resolve, withinMs);
      });
      await Promise.race([producer.close(true).catch(() => undefined), late]);
      clearTimeout(timer);
    },
  };
}

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

function innermostReason(error: unknown): string {
  const [innermost] = within(error);
  return innermost?.message ?? String(error);
}

/** A broker, and what stands before it, may repeat what it was sent. */
export const withoutSecrets = (text: string, secrets: readonly string[]): string =>
  secrets.reduce(
    (shown, secret) => shown.replaceAll(secret, '***').replaceAll(Buffer.from(secret).toString('base64'), '***'),
    text,
  );
