/**
 * Writes batches to streams, all commands of a batch in one write to each server.
 * **In**: batches; one that failed is retried with the same ids. **Out**: settles when Redis has answered for each entry.
 * **Fails**: as Rejected with the indexes that Redis refuses for themselves (too large); as Unavailable for all else, and remembers which
 * entries were written, so that the retry sends the others only.
 *
 * A lost reply leaves open whether its entry was written. Redis 8.6 drops the repetition by producer and id (XADD IDMP,
 * redis.io/docs: Idempotent message processing); it keeps 100 ids unless told otherwise, fewer than a batch may have.
 */
import { Rejected, type Host, type ReportEntry, Unavailable } from 'sluice/plugin';
import type { Connection } from 'sluice/counting';
import { OrderedBatches } from '../batches/ordered-batches.ts';
import { type EntryOptions, fieldsOf, keyOf } from './entry.ts';

export interface StreamWriterOptions extends EntryOptions {
  readonly maxLength?: number | undefined;
  readonly maxAgeMs?: number | undefined;
  readonly idempotent: boolean;
  readonly producer: string;
  readonly nowMs: () => number;
  readonly host: Pick<Host, 'log' | 'ready'>;
}

const RETRY_AFTER_MS = 200;
/** For a stream of another type or without ids left: someone has to mend it. */
const RETRY_BROKEN_STREAM_MS = 5000;
/** The largest number of ids that Redis documents, and an hour in seconds. */
const KEPT_IDS = 10_000;
const KEPT_IDS_S = 3600;

type Outcome = 'written' | Rejected | Unavailable;

export class StreamWriter {
  readonly #connection: Connection;
  readonly #options: StreamWriterOptions;
  readonly #batches = new OrderedBatches();
  /** Whether the server has XADD IDMP; asked anew on each connection, since servers are upgraded. */
  #idempotence: { readonly connection: number; readonly isThere: boolean } | undefined;
  /** Streams whose number of kept ids is large enough, on this connection. */
  #configured = new Set<string>();
  #isBroken = false;

  constructor(connection: Connection, options: StreamWriterOptions) {
    this.#connection = connection;
    this.#options = options;
  }

  write(entries: readonly ReportEntry<string>[]): Promise<void> {
    return this.#batches.run(entries, (batch, written) => this.#writeBatch(batch, written));
  }

  async #writeBatch(entries: readonly ReportEntry<string>[], written: Set<string>): Promise<void> {
    const isIdempotent = await this.#hasIdempotence();
    const outcomes = await Promise.all(
      entries.map(async (entry): Promise<Outcome> => {
        if (written.has(entry.id)) return 'written';
        return this.#add(entry, isIdempotent);
      }),
    );
    for (const [at, outcome] of outcomes.entries()) if (outcome === 'written') written.add(entries[at]?.id ?? '');
    const failed = outcomes.find((outcome) => outcome instanceof Unavailable);
    if (failed !== undefined) throw failed;
    if (this.#isBroken) {
      this.#isBroken = false;
      this.#options.host.ready(true);
    }
    if (isIdempotent) await this.#keepIds(entries);
    const rejected = [...outcomes.entries()].filter(([, outcome]) => outcome instanceof Rejected);
    const [first] = rejected;
    if (first === undefined) return;
    throw new Rejected(
      `the report ${entries[first[0]]?.id}: ${(first[1] as Rejected).message}${rejected.length > 1 ? `; and ${rejected.length - 1} more` : ''}`,
      rejected.map(([at]) => at),
    );
  }

  async #add(entry: ReportEntry<string>, isIdempotent: boolean): Promise<Outcome> {
    const { maxLength, maxAgeMs, producer, nowMs } = this.#options;
    const key = keyOf(this.#options, entry);
    const words: string[] = [];
    if (isIdempotent) words.push('IDMP', producer, entry.id);
    if (maxLength !== undefined) words.push('MAXLEN', '~', String(maxLength));
    else if (maxAgeMs !== undefined) words.push('MINID', '~', String(Math.max(0, Math.trunc(nowMs() - maxAgeMs))));
    try {
      await this.#connection.ask(
        async (redis) => redis.call('XADD', key, ...words, '*', ...fieldsOf(this.#options, entry)),
        (reply) => {
          if (!/^\d+-\d+$/.test(String(reply))) throw new Error('the reply to XADD is no id of an entry');
        },
      );
      return 'written';
    } catch (error) {
      if (error instanceof Unavailable) return new Unavailable(error.message, RETRY_AFTER_MS, { cause: error });
      if (!(error instanceof Rejected)) throw error;
      return this.#refusal(key, error, isIdempotent);
    }
  }

  /** A refusal of the whole stream is for someone to mend, and its reports wait; one of this entry is final. */
  #refusal(key: string, error: Rejected, isIdempotent: boolean): Outcome {
    if (isIdempotent && /syntax error|Invalid stream ID/i.test(error.message)) {
      this.#idempotence = { connection: this.#connection.connections.total, isThere: false };
      return new Unavailable(`${error.message}; entries are sent without IDMP`, 1);
    }
    if (!/WRONGTYPE|exhausted the last possible ID/.test(error.message)) return error;
    const why = `the stream ${key}: ${error.message}; delete the key, or name another stream`;
    this.#isBroken = true;
    this.#options.host.ready(false, why);
    return new Unavailable(why, RETRY_BROKEN_STREAM_MS, { cause: error });
  }

  /** XCFGSET came with XADD IDMP. */
  async #hasIdempotence(): Promise<boolean> {
    if (!this.#options.idempotent) return false;
    const connection = this.#connection.connections.total;
    if (this.#idempotence?.connection === connection) return this.#idempotence.isThere;
    try {
      const isThere = await this.#connection.ask(
        async (redis) => redis.call('COMMAND', 'INFO', 'XCFGSET'),
        (reply) => Array.isArray(reply) && Array.isArray(reply[0]),
      );
      this.#configured = new Set();
      this.#idempotence = { connection, isThere };
      return isThere;
    } catch {
      return false; // XADD finds out why Redis cannot be asked; COMMAND alone may be forbidden
    }
  }

  /** Lets Redis keep the ids of more than a batch. Only if it keeps fewer, since a change forgets all of them. */
  async #keepIds(entries: readonly ReportEntry<string>[]): Promise<void> {
    for (const key of new Set(entries.map((entry) => keyOf(this.#options, entry)))) {
      if (this.#configured.has(key)) continue;
      this.#configured.add(key);
      try {
        const kept = await this.#connection.ask(
          async (redis) => redis.call('XINFO', 'STREAM', key),
          (reply) => (Array.isArray(reply) ? Number(reply[reply.indexOf('idmp-maxsize') + 1]) : Number.NaN),
        );
        if (kept >= KEPT_IDS) continue;
        await this.#connection.ask(async (redis) =>
          redis.call('XCFGSET', key, 'IDMP-DURATION', KEPT_IDS_S, 'IDMP-MAXSIZE', KEPT_IDS),
        );
      } catch (error) {
        this.#options.host.log.warn(
          'Redis keeps its default number of ids for idempotent entries; a retry of a large batch may repeat some',
          { stream: key, why: String(error) },
        );
      }
    }
  }
}
