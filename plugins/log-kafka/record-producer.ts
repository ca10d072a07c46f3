/**
 * The client's producer with requests of our own (docs/decisions/0002-kafka-client.md). The client connects, keeps the metadata of the
 * cluster and gets producer ids; to whom a batch is sent, and again, is decided by `partition-sender.ts`.
 */
import {
  type API,
  type Callback,
  type CallbackWithPromise,
  type Connection,
  kGetApi,
  kGetBootstrapConnection,
  kGetConnection,
  kPerformWithRetry,
  type produceV11,
  Producer,
  type ProducerOptions,
  ProtocolError,
  protocolErrorsCodesById,
  Writer,
} from '@platformatic/kafka';
import { type Compression, type RecordBody, recordBatch } from './record-batch.ts';
import { Sequences } from './sequences.ts';

/** All records of one partition in a slice. */
export type PartitionRecords = readonly RecordBody[];

export interface Identity {
  readonly producerId: bigint;
  readonly producerEpoch: number;
}

/** Partitions by number, and the brokers that lead them; no broker: the partition has no leader now. */
export interface Topic {
  readonly partitions: number;
  leaderOf(partition: number): Leader | undefined;
}
export type Leader = Parameters<Producer[typeof kGetConnection]>[0];

type ProduceApi = API<[acks: number, timeoutMs: number, messages: readonly never[], producer: object], Reply>;
type Reply = Pick<produceV11.ProduceResponse, 'responses'>;

/** Of the API's versions, the first whose strings and arrays are compact. */
const FIRST_COMPACT = 9;
/** All replicas that are in sync. */
const ACKS = -1;

export class RecordProducer extends Producer<Buffer, PartitionRecords, string, Buffer> {
  readonly #topic: string;
  readonly #compression: Compression;
  readonly #timeoutMs: number;
  readonly #sequences = new Sequences<PartitionRecords>();
  #failures = 0;

  constructor(
    options: ProducerOptions<Buffer, PartitionRecords, string, Buffer> & { readonly timeout: number },
    topic: string,
    compression: Compression,
  ) {
    super(options);
    this.#topic = topic;
    this.#compression = compression;
    this.#timeoutMs = options.timeout;
  }

  /** `isStale`: a broker said, or did, what contradicts what is known. */
  async topic(isStale = false): Promise<Topic> {
    const { brokers, topics } = await this.metadata({ topics: [this.#topic], forceUpdate: isStale });
    const { partitions = [], partitionsCount = 0 } = topics.get(this.#topic) ?? {};
    return {
      partitions: partitionsCount,
      leaderOf: (partition) => brokers.get(partitions[partition]?.leader ?? -1),
    };
  }

  /** One request to a leader. The broker's errors by partition, `undefined` where it has the records. Rejects if it does not answer. */
  async produce(
    leader: Leader,
    batches: ReadonlyMap<number, PartitionRecords>,
    identity: Identity,
  ): Promise<ReadonlyMap<number, ProtocolError | undefined>> {
    const api = await promised<ProduceApi>((done) => this[kGetApi](PRODUCE, done as never));
    const connection = await promised<Connection>((done) => this[kGetConnection](leader, done));
    const { responses } = await promised<Reply>((done) => {
      const own: Pick<Connection, 'send'> = {
        send: (key, version, _request, ...rest) => {
          connection.send(key, version, () => this.#request(version, batches, identity), ...rest);
        },
      };
      api(own as Connection, ACKS, this.#timeoutMs, [], {}, (error, reply) => {
        const inError = error instanceof Error && 'response' in error ? (error.response as Reply) : undefined;
        if (inError === undefined) done(error, reply);
        else done(null, inError);
      });
    });
    const errors = new Map<number, ProtocolError | undefined>();
    for (const { partitionResponses } of responses)
      for (const { index, errorCode, errorMessage } of partitionResponses)
        errors.set(index, errorOf(errorCode, errorMessage));
    return errors;
  }

  /** A broker that hangs accepts connections, so after a failure the next one is asked for metadata, until that one fails. */
  override [kGetBootstrapConnection](callback: CallbackWithPromise<Connection>): void {
    super[kGetBootstrapConnection](callback, this.#failures);
  }

  /** The client keeps the errors of all attempts, some 10 KB for each broker, and an outage has no end: of them the last one is kept. */
  override [kPerformWithRetry]<Result>(
    operationId: string,
    operation: (callback: Callback<Result>, attempt: number) => void,
    callback: CallbackWithPromise<Result>,
    attempt?: number,
    errors: Error[] = [],
    shouldSkipRetry?: (error: Error) => boolean,
    retryLimit?: number,
  ): void | Promise<Result> {
    if (errors.length > 0) this.#failures++;
    errors.splice(0, errors.length - 1);
    return super[kPerformWithRetry](operationId, operation, callback, attempt, errors, shouldSkipRetry, retryLimit);
  }

  #request(
    version: number,
    batches: ReadonlyMap<number, PartitionRecords>,
    { producerId, producerEpoch }: Identity,
  ): Writer | Promise<Writer> {
    const partitions = [...batches.keys()];
    const encoded = Array.from(batches, ([partition, records]) => {
      const firstSequence = this.#sequences.firstOf(records, partition, producerId, producerEpoch);
      return recordBatch(records, this.#compression, { producerId, producerEpoch, firstSequence });
    });
    const ofBatches = (all: readonly Buffer[]): Writer =>
      produceRequest(
        version,
        ACKS,
        this.#timeoutMs,
        this.#topic,
        partitions.map((partition, at) => ({ partition, batch: all[at] as Buffer })),
      );
    return encoded.every((batch) => Buffer.isBuffer(batch))
      ? ofBatches(encoded)
      : Promise.all(encoded.map(async (batch) => batch)).then(ofBatches);
  }
}

const PRODUCE = 'Produce';

function errorOf(code: number, message: string | null | undefined): ProtocolError | undefined {
  if (code === 0) return undefined;
  return new ProtocolError(protocolErrorsCodesById[code] ?? 'UNKNOWN_SERVER_ERROR', message ?? null);
}

const promised = <T>(begin: (done: Callback<T>) => void): Promise<T> =>
  new Promise((resolve, reject) => {
    begin((error, result) => {
      if (error) reject(error);
      else resolve(result as T);
    });
  });

/** A request of API 0 for one topic (kafka.apache.org/protocol#The_Messages_Produce), without a transaction. */
export function produceRequest(
  version: number,
  acks: number,
  timeoutMs: number,
  topic: string,
  partitions: readonly { readonly partition: number; readonly batch: Buffer }[],
): Writer {
  const isCompact = version >= FIRST_COMPACT;
  const request = Writer.create()
    .appendString(undefined, isCompact)
    .appendInt16(acks)
    .appendInt32(timeoutMs)
    .appendArray(
      [topic],
      (ofTopic, name) => {
        ofTopic.appendString(name, isCompact).appendArray(
          [...partitions],
          (ofPartition, { partition, batch }) => {
            ofPartition.appendInt32(partition).appendBytes(batch, isCompact);
          },
          isCompact,
          isCompact,
        );
      },
      isCompact,
      isCompact,
    );
  return isCompact ? request.appendTaggedFields() : request;
}
