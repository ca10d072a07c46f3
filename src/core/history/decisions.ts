/**
 * `decision` calls: verdicts, for the report rules that name them.
 * **In**: verdicts. **Out**: reports of denials, failures and a sample of the rest, written after the answer.
 * **Fails**: never; decisions beyond the bounds are dropped, and counted.
 */
import type { Log } from '../../adapters/contract.ts';
import type { RequestBag } from '../../attributes/bag.ts';
import type { CallKind } from '../../attributes/carrier.ts';
import { messageOf } from '../../text/message-of.ts';
import { TimeSlice } from '../../time/time-slice.ts';
import type { LimitVerdict, Verdict } from '../call.ts';
import type { ReportWriter } from '../dispatch/write-reports.ts';
import { frameOf, ThrottledLine } from '../handlers/throttled-line.ts';
import { counter } from '../metrics/family.ts';
import type { Snapshot } from '../snapshot/snapshot.ts';
import { decisionBag } from './decision-wire.ts';
import type { Decided } from './summary.ts';
import { verdictBytes } from './verdict-size.ts';

/** Decisions that wait for their reports to be made; these wait in the queues of their handlers. */
export const MAX_WAITING = { count: 10_000, bytes: 16 * 1024 * 1024 };

interface Waiting extends Decided {
  /** From 0 to 100: an allowed call is reported by rules whose percentage is above. `undefined`: by all. */
  readonly drawn: number | undefined;
  /** Of its request and verdict. */
  readonly bytes: number;
}

export class Decisions {
  /** Decisions that were dropped unreported, since too many waited. */
  dropped = 0;
  readonly #reports: ReportWriter;
  readonly #samples: boolean;
  readonly #drops: ThrottledLine;
  readonly #errors: ThrottledLine;
  #waiting: Waiting[] = [];
  #count = 0;
  #bytes = 0;
  /** The last snapshot that waits for `#written`. */
  #held: Snapshot | undefined;
  #written: Promise<void> | undefined;

  /** `samples` false: each rule that samples reports all allowed calls. */
  constructor(reports: ReportWriter, log: Log, samples: boolean) {
    this.#reports = reports;
    this.#samples = samples;
    this.#drops = new ThrottledLine(log, 'warn', 'decisions dropped: too many wait to be reported');
    this.#errors = new ThrottledLine(log, 'error', 'internal error while reporting a decision');
  }

  readonly family = counter(
    'sluice_decisions_dropped_total',
    'Decisions that no rule reported because too many waited.',
    () => this.dropped,
  );

  /** Called with each verdict, before its answer leaves; all else comes after. `timeMs`: wall clock. */
  offer(
    percent: number,
    snapshot: Snapshot,
    bag: RequestBag | undefined,
    call: CallKind,
    verdict: Verdict | LimitVerdict,
    timeMs: () => number,
  ): void {
    let drawn: number | undefined;
    if (verdict.outcome === 'allow') {
      drawn = this.#samples ? Math.random() * 100 : 0;
      if (drawn >= percent) return;
    }
    if (bag === undefined) return;
    const { wire } = bag;
    const bytes = wire.weight + verdictBytes(verdict);
    if (this.#count >= MAX_WAITING.count || this.#bytes + bytes > MAX_WAITING.bytes) {
      this.dropped++;
      this.#drops.write(() => ({ waiting: this.#count, bytes: this.#bytes }));
      return;
    }
    wire.keep();
    this.#count++;
    this.#bytes += bytes;
    this.#waiting.push({ snapshot, bag, call, verdict, timeMs: timeMs(), drawn, bytes });
    this.#written ??= this.#writeAll();
    if (this.#held === snapshot) return;
    this.#held = snapshot;
    void snapshot.hold(this.#written);
  }

  /** Settles when the reports of all decisions so far are in the queues of their handlers. */
  async written(): Promise<void> {
    await this.#written;
  }

  #write(decided: Waiting, atMs: number): void {
    try {
      this.#reports.writeDecision(decided.snapshot, decisionBag(decided), decided.drawn, atMs);
    } catch (error) {
      this.#errors.write(() => ({ verdict: decided.verdict.id, error: messageOf(error), at: frameOf(error) }));
    }
  }

  async #writeAll(): Promise<void> {
    const slice = new TimeSlice();
    await slice.next();
    while (this.#waiting.length > 0) {
      const batch = this.#waiting;
      this.#waiting = [];
      const atMs = performance.now();
      for (const decided of batch) {
        this.#count--;
        this.#bytes -= decided.bytes;
        this.#write(decided, atMs);
        if (slice.isOver) await slice.next();
      }
    }
    this.#written = undefined;
    this.#held = undefined;
  }
}
