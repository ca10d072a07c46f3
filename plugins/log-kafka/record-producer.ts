/**
 * The client's producer with batches of our own encoding (docs/decisions/0002-kafka-client.md). The client finds leaders, connects, gets
 * producer ids and repeats requests; its "message" is all records of one partition in a slice.
 */
import {
  type API,
  type Callback,
  type CallbackWithPromise,
  type Connection,
  kGetApi,
  kPerformWithRetry,
  Producer,
  type ProducerOptions,
  Writer,
} from '@platformatic/kafka';
import { forgetOlder } from './acknowledged.ts';
import { type Compression, type RecordBody, recordBatch } from './record-batch.ts';
import { Sequences } from './sequences.ts';

/** All records of one partition in a slice. */
export type PartitionRecords = readonly RecordBody[];

/** As the client gives the messages for one broker to the API of a version. */
interface PartitionMessage {
  readonly topic: string;
  readonly partition: number;
  readonly value: PartitionRecords;
}
interface Identity {
  readonly producerId: bigint;
  readonly producerEpoch: number;
}
type Arguments = [acks: number, timeoutMs: number, messages: readonly PartitionMessage[], producer: Identity];

/** Of the API's versions, the first whose strings and arrays are compact. */
const FIRST_COMPACT = 9;

export class RecordProducer extends Producer<Buffer, PartitionRecords, string, Buffer> {
  readonly #compression: Compression;
  readonly #sequences = new Sequences<PartitionRecords>();

  constructor(options: ProducerOptions<Buffer, PartitionRecords, string, Buffer>, compression: Compression) {
    super(options);
    this.#compression = compression;
  }

  override [kGetApi]<A extends unknown[], Reply>(name: string, callback: Callback<API<A, Reply>>): void {
    if (name !== 'Produce') {
      super[kGetApi](name, callback);
      return;
    }
    super[kGetApi]<Arguments, Reply>(name, (error, api) => {
      callback(error, api && (this.#withOwnRequest(api) as unknown as API<A, Reply>));
    });
  }

  /** The client keeps the errors of all attempts, some 10 KB for each broker, and an outage has no end. */
  override [kPerformWithRetry]<Result>(
    operationId: string,
    operation: (callback: Callback<Result>, attempt: number) => void,
    callback: CallbackWithPromise<Result>,
    attempt?: number,
    errors: Error[] = [],
    shouldSkipRetry?: (error: Error) => boolean,
    retryLimit?: number,
  ): void | Promise<Result> {
    forgetOlder(errors);
    return super[kPerformWithRetry](operationId, operation, callback, attempt, errors, shouldSkipRetry, retryLimit);
  }

  /** The client's API of a version, whose request is written by us: its connection swaps the request. */
  #withOwnRequest<Reply>(api: API<Arguments, Reply>) {
    return (
      connection: Connection,
      ...[acks, timeoutMs, messages, producer, callback]: [...Arguments, Callback<Reply>]
    ) => {
      const sendOwn: Pick<Connection, 'send'> = {
        send: (key, version, _request, ...rest) => {
          connection.send(key, version, () => this.#request(version, acks, timeoutMs, messages, producer), ...rest);
        },
      };
      api(sendOwn as Connection, acks, timeoutMs, messages, producer, callback);
    };
  }

  #request(
    version: number,
    acks: number,
    timeoutMs: number,
    messages: readonly PartitionMessage[],
    { producerId, producerEpoch }: Identity,
  ): Writer | Promise<Writer> {
    const batches = messages.map(({ partition, value }) => {
      const firstSequence = this.#sequences.firstOf(value, partition, producerId, producerEpoch);
      return recordBatch(value, this.#compression, { producerId, producerEpoch, firstSequence });
    });
    const ofBatches = (all: readonly Buffer[]): Writer =>
      produceRequest(
        version,
        acks,
        timeoutMs,
        messages[0]?.topic ?? '',
        messages.map(({ partition }, at) => ({ partition, batch: all[at] as Buffer })),
      );
    return batches.every((batch) => Buffer.isBuffer(batch))
      ? ofBatches(batches)
      : Promise.all(batches.map(async (batch) => batch)).then(ofBatches);
  }
}

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
