/**
 * **In**: the report rules of a call, in one bag. **Out**: entries in the queues of their handlers.
 * **Fails**: never; a rule that fails is counted, and a report that finds a full queue makes its call wait or is dropped.
 */
import type { Log } from '../../adapters/contract.ts';
import type { RequestBag } from '../../attributes/bag.ts';
import { type CallKind, isRecord } from '../../attributes/carrier.ts';
import { messageOf } from '../../text/message-of.ts';
import { nextId } from '../call-id.ts';
import { frameOf, ThrottledLine } from '../handlers/throttled-line.ts';
import { isDrawn, isEnforced, isSampled, matchOf } from '../match/applies.ts';
import type { PreparedReport } from '../outcome.ts';
import type { Snapshot } from '../snapshot/snapshot.ts';

export class ReportWriter {
  readonly #samples: boolean;
  readonly #nowMs: () => number;
  readonly #errors: ThrottledLine;
  readonly #drops: ThrottledLine;
  /** The last reading of the wall clock (`#timeMs`), and when it was taken by `performance.now()`. */
  #readAtMs = Number.NaN;
  #timeMs = 0;

  /** `samples` false: every report is written, whatever its rule says. */
  constructor(log: Log, samples: boolean, nowMs: () => number) {
    this.#samples = samples;
    this.#nowMs = nowMs;
    this.#errors = new ThrottledLine(log, 'error', 'internal error while making a report');
    this.#drops = new ThrottledLine(log, 'warn', 'reports dropped: the queue of their handler is full');
  }

  /**
   * A promise for room if a queue is full. Checks and limits never wait for room: their reports are dropped, and counted. `atMs`: by
   * `performance.now()`.
   */
  write(snapshot: Snapshot, call: CallKind, bag: RequestBag, atMs: number): Promise<void> | undefined {
    const isLog = isRecord(call);
    let room: Promise<void> | undefined;
    for (const prepared of snapshot.candidates.reports(bag, call))
      room = this.#tryOne(snapshot, prepared, bag, isLog, BY_RULE, atMs) ?? room;
    return isLog ? room : undefined;
  }

  /** `drawn`: see {@link isDrawn}; `undefined`: every rule that matches writes. Never waits for room. */
  writeDecision(snapshot: Snapshot, bag: RequestBag, drawn: number | undefined, atMs: number): void {
    for (const prepared of snapshot.candidates.reports(bag, 'decision'))
      void this.#tryOne(snapshot, prepared, bag, false, drawn, atMs);
  }

  #tryOne(
    snapshot: Snapshot,
    prepared: PreparedReport,
    bag: RequestBag,
    mayWait: boolean,
    drawn: number | undefined,
    atMs: number,
  ): Promise<void> | undefined {
    try {
      return this.#writeOne(snapshot, prepared, bag, mayWait, drawn, atMs);
    } catch (error) {
      prepared.meters.failed++;
      this.#errors.write(() => ({ rule: prepared.rule.name, error: messageOf(error), at: frameOf(error) }));
      return undefined;
    }
  }

  #writeOne(
    snapshot: Snapshot,
    prepared: PreparedReport,
    bag: RequestBag,
    mayWait: boolean,
    drawn: number | undefined,
    atMs: number,
  ): Promise<void> | undefined {
    const { rule, action, handler, sink, meters } = prepared;
    const { reports } = handler;
    const match = matchOf(prepared, bag);
    if (match === 'does not apply') return undefined;
    meters.lastAtMs = atMs;
    if (match === 'failed') {
      meters.failed++;
      return undefined;
    }
    meters.matched++;
    if (!isEnforced(prepared, bag)) {
      meters.shadow++;
      return undefined;
    }
    if (!this.#isInSample(snapshot, prepared, bag, drawn)) return undefined;
    if (!mayWait && reports.isFull) {
      meters.dropped++;
      this.#drops.write(() => ({ rule: rule.name, handler: handler.gate.label }));
      return undefined;
    }
    const { values, failed } = action.input(bag);
    meters.texts += failed.length;
    return reports.push({ sink, id: nextId(), timeMs: this.#timeOf(atMs), input: values }, rule);
  }

  /** Milliseconds since 1970. The clock is read once in {@link SAME_TIME_MS}, which many calls share. */
  #timeOf(atMs: number): number {
    const isRead = atMs >= this.#readAtMs && atMs < this.#readAtMs + SAME_TIME_MS;
    if (!isRead) {
      this.#readAtMs = atMs;
      this.#timeMs = this.#nowMs();
    }
    return this.#timeMs;
  }

  #isInSample(snapshot: Snapshot, prepared: PreparedReport, bag: RequestBag, drawn: number | undefined): boolean {
    if (drawn === BY_RULE) return !this.#samples || isSampled(prepared, bag);
    return drawn === undefined || isDrawn(prepared, bag, drawn, snapshot.policy.decisions.sample);
  }
}

const SAME_TIME_MS = 0.5;

/** In place of a number that was drawn: each rule samples by itself. */
const BY_RULE = -1;
