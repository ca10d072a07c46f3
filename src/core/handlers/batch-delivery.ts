/**
 * Delivers batches of reports to a handler.
 * **In**: a batch. **Out**: which of its entries the backend refused. **Fails**: never; a batch is retried without end, with jittered
 * back-off, while the backend is unavailable.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Call, ReportEntry } from '../../adapters/contract.ts';
import { kindOf } from '../../text/kind-of.ts';
import { LONGEST_TIMER_MS } from '../../time/timer-wheel.ts';
import { deadlinesOf } from '../actions.ts';
import { nextId } from '../call-id.ts';
import type { HandlerSpec } from '../rules/policy.ts';
import { BatchSecrets } from './batch-secrets.ts';
import { batchScope } from './call-scope.ts';
import { Failure } from './failure.ts';
import type { Gate } from './gate.ts';

export type Write = (entries: readonly ReportEntry[], call: Call) => void | Promise<void>;

export interface Delivered {
  /** Indexes of the entries that the same handler would refuse again. */
  readonly refused: readonly number[];
  readonly why: string;
}

const FIRST_RETRY_MS = 100;
const LONGEST_RETRY_MS = 10_000;
const ALL_WRITTEN: Delivered = { refused: [], why: '' };

export class BatchDelivery {
  readonly gate: Gate;
  readonly #write: Write;
  #deadlineMs: number;
  /** Aborts the back-off before a retry. */
  #retry = new AbortController();
  lastWhy = 'it has not answered';

  constructor(gate: Gate, write: Write, spec: HandlerSpec) {
    this.gate = gate;
    this.#write = write;
    this.#deadlineMs = deadlinesOf(spec.deadlineMs).report;
  }

  configure(spec: HandlerSpec): void {
    this.#deadlineMs = deadlinesOf(spec.deadlineMs).report;
  }

  /** A retry that waits is made now. */
  hurry(): void {
    this.#retry.abort();
  }

  /**
   * `undefined` if `stop` was aborted before the backend took or refused the batch. The last attempt is waited for. `reveals`: names of
   * fields of an entry that may have a secret.
   */
  async deliver(
    entries: readonly ReportEntry[],
    stop: AbortSignal,
    reveals: (at: number) => readonly string[],
  ): Promise<Delivered | undefined> {
    const id = nextId();
    const secrets = new BatchSecrets(entries, reveals);
    for (let tries = 0; !stop.aborted; tries++) {
      const answer = await this.gate.ask<readonly ReportEntry[], void>(
        this.#write,
        entries,
        batchScope(id, secrets),
        this.#deadlineMs,
        () => undefined,
      );
      if (!(answer instanceof Failure)) return ALL_WRITTEN;
      const { kind, why } = answer;
      this.lastWhy = why;
      if (kind === 'rejected' || kind === 'fault') return refusedBy(answer, entries.length);
      if (kind === 'late' || (kind === 'unavailable' && !answer.isLogged)) this.gate.health.untaken(why);
      if (stop.aborted) break;
      this.gate.health.meters.retried += 1;
      await this.#pause(
        Math.max(answer.retryAfterMs, Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** Math.min(tries, 10))),
        stop,
      );
    }
    return undefined;
  }

  /** Spread by a quarter, so that replicas do not return together. */
  async #pause(ms: number, stop: AbortSignal): Promise<void> {
    this.#retry = new AbortController();
    await sleep(Math.min(ms * (0.75 + Math.random() / 2), LONGEST_TIMER_MS), undefined, {
      signal: AbortSignal.any([this.#retry.signal, stop]),
    }).catch(() => undefined);
  }
}

/**
 * The list is the plugin's own. One that names no entry, or what the batch does not have, tells nobody which entries were written:
 * all are put aside, since a replay may write one twice, but a wrong guess would lose it.
 */
function refusedBy({ why, entries: named }: Failure, count: number): Delivered {
  if (named === undefined) return { refused: [...Array(count).keys()], why };
  const refused = Array.isArray(named) ? [...new Set<unknown>(named)] : [];
  const isIndex = (one: unknown): one is number => Number.isInteger(one) && Number(one) >= 0 && Number(one) < count;
  if (refused.length > 0 && refused.every(isIndex)) return { refused, why };
  const wrong = refused.find((one) => !isIndex(one));
  const found = !Array.isArray(named) ? kindOf(named) : refused.length === 0 ? 'empty' : `[${shown(wrong)}]`;
  return {
    refused: [...Array(count).keys()],
    why: `${why} (the list of its entries is ${found}; expected indexes from 0 to ${count - 1}; all count as refused)`,
  };
}

const shown = (value: unknown): string => (typeof value === 'number' ? String(value) : kindOf(value));
