/**
 * Sends the records of a slice to the leaders of their partitions, until each partition has taken or refused them.
 * **In**: records by partition. **Out**: the error of each partition that did not take them. **Fails**: never; while a leader is away,
 * changes or lacks replicas it is tried again without end, with the same sequence numbers, so that nothing is written twice.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { ProtocolError } from '@platformatic/kafka';
import type { Identity, Leader, PartitionRecords, RecordProducer, Topic } from './record-producer.ts';

/** Kafka's permanent errors; a retry of the same records would fail again. */
const REFUSED = new Set([
  'MESSAGE_TOO_LARGE',
  'RECORD_LIST_TOO_LARGE',
  'INVALID_RECORD',
  'INVALID_TIMESTAMP',
  'CORRUPT_MESSAGE',
]);
/** The broker has lost the producer's sequence numbers; the records are sent under a new producer id. */
const PRODUCER_LOST = new Set([
  'OUT_OF_ORDER_SEQUENCE_NUMBER',
  'UNKNOWN_PRODUCER_ID',
  'INVALID_PRODUCER_EPOCH',
  'INVALID_PRODUCER_ID_MAPPING',
]);
const LONGEST_PAUSE_MS = 1000;

export type PartitionErrors = ReadonlyMap<number, { readonly isRefused: boolean; readonly error: Error }>;

export class PartitionSender {
  readonly #producer: RecordProducer;
  readonly #onProblem: (error: Error) => void;
  readonly #closed = new AbortController();
  #identity: Identity | undefined;

  /** `onProblem`: called with each error after which it tries again. */
  constructor(producer: RecordProducer, onProblem: (error: Error) => void) {
    this.#producer = producer;
    this.#onProblem = onProblem;
  }

  /** One slice at a time. */
  async send(slice: ReadonlyMap<number, PartitionRecords>): Promise<PartitionErrors> {
    const left = new Map(slice);
    const ended = new Map<number, { isRefused: boolean; error: Error }>();
    for (let attempt = 0; left.size > 0; attempt++) {
      try {
        const topic = await this.#producer.topic(attempt > 0);
        for (const partition of left.keys()) {
          if (partition < topic.partitions) continue;
          ended.set(partition, {
            isRefused: false,
            error: new Error(`the topic has no partition ${partition} any more`),
          });
          left.delete(partition);
        }
        this.#identity ??= await this.#producer.initIdempotentProducer({});
        await this.#sendOnce(topic, this.#identity, left, ended);
      } catch (error) {
        this.#onProblem(error as Error);
      }
      if (left.size > 0 && !this.#closed.signal.aborted) await this.#pause(attempt);
      if (!this.#closed.signal.aborted) continue;
      for (const partition of left.keys()) ended.set(partition, { isRefused: false, error: new Error('closed') });
      break;
    }
    if (ended.size > 0) this.#identity = undefined; // its sequence numbers have a gap now
    return ended;
  }

  /** A slice that is not taken ends; with the producer's connections closed, at once. */
  close(): void {
    this.#closed.abort();
  }

  /** Rejects with an error of one leader, when all have answered or failed. */
  async #sendOnce(
    topic: Topic,
    identity: Identity,
    left: Map<number, PartitionRecords>,
    ended: Map<number, { isRefused: boolean; error: Error }>,
  ): Promise<void> {
    const byLeader = Map.groupBy(left, ([partition]) => topic.leaderOf(partition));
    let problem: Error | undefined;
    await Promise.all(
      Array.from(byLeader, async ([leader, records]) => {
        try {
          if (leader === undefined) throw new ProtocolError('LEADER_NOT_AVAILABLE');
          const errors = await this.#producer.produce(leader, new Map(records), identity);
          for (const [partition] of records) {
            const error = errors.get(partition);
            const code = error === undefined ? '' : String((error as { readonly apiId?: unknown }).apiId);
            if (REFUSED.has(code)) ended.set(partition, { isRefused: true, error: error as Error });
            if (error === undefined || code === 'DUPLICATE_SEQUENCE_NUMBER' || REFUSED.has(code))
              left.delete(partition);
            else problem = error as Error;
            if (PRODUCER_LOST.has(code)) this.#identity = undefined;
          }
        } catch (error) {
          problem = leader === undefined ? (error as Error) : new BrokerError(leader, error);
        }
      }),
    );
    if (problem !== undefined) throw problem;
  }

  async #pause(attempt: number): Promise<void> {
    await sleep(Math.min(50 * 2 ** attempt, LONGEST_PAUSE_MS), undefined, { signal: this.#closed.signal }).catch(
      () => undefined,
    );
  }
}

/** Names the broker, of which a cluster has several. */
export class BrokerError extends Error {
  readonly broker: string;

  constructor({ host, port }: Leader, cause: unknown) {
    super(`the broker ${host}:${port} failed`, { cause });
    this.broker = `${host}:${port}`;
  }
}
