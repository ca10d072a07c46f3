/**
 * Decides recorded calls by a policy, one after the other.
 * **In**: a policy; calls, in order. **Out**: their verdicts, synchronously if every handler answers so. **Fails**: with a
 * SnapshotError if the policy cannot be opened; never for a call.
 */
import { RequestBag } from '../../attributes/bag.ts';
import { type Caller, type LimitVerdict, NO_CALLER, type Verdict } from '../../core/call.ts';
import { createEngine } from '../../core/engine.ts';
import type { CallObserver } from '../../core/history/observers.ts';
import type { Policy } from '../../core/rules/policy.ts';
import type { RunningEngine } from '../../core/running-engine.ts';
import type { RecordedCall } from '../format.ts';
import { wiresOf, type RecordedWire } from '../recorded-wire.ts';
import { RecordedAnswers } from './recorded-answers.ts';
import { replayHandlers, type ReplayHandlers } from './replay-handlers.ts';
import { replayPolicy } from './replay-policy.ts';

export interface Unanswered {
  readonly rule: string;
  readonly handler: string;
  calls: number;
}

/** Never goes back, although records of several workers may lie a little out of order. */
class Clock {
  #nowMs = 0;
  readonly nowMs = (): number => this.#nowMs;
  readonly monotonicMs = (): number => this.#nowMs;
  set(ms: number): void {
    if (ms > this.#nowMs) this.#nowMs = ms;
  }
}

export class Replay {
  /** As it is replayed: without reports. */
  readonly policy: Policy;
  readonly #engine: RunningEngine;
  readonly #clock = new Clock();
  readonly #answers: RecordedAnswers;
  readonly #unanswered = new Map<string, Unanswered>();
  #id = '';
  #isExplaining = false;
  #wires: readonly RecordedWire[] = [];

  private constructor(policy: Policy, handlers: ReplayHandlers) {
    this.policy = replayPolicy(policy, () => this.#id);
    this.#answers = new RecordedAnswers(this.policy);
    this.#engine = createEngine({
      clock: this.#clock,
      keepsVerdicts: false,
      openHandlers: replayHandlers(handlers, {
        clock: this.#clock,
        answers: this.#answers,
        unanswered: (rule, handler) => {
          if (this.#isExplaining) return;
          const known = this.#unanswered.get(rule);
          if (known === undefined) this.#unanswered.set(rule, { rule, handler, calls: 1 });
          else known.calls++;
        },
      }),
    });
  }

  static async open(policy: Policy, handlers: ReplayHandlers): Promise<Replay> {
    const replay = new Replay(policy, handlers);
    try {
      await replay.#engine.use(replay.policy);
    } catch (error) {
      await replay.close();
      throw error;
    }
    return replay;
  }

  /** The next call; the last one must have its verdict. */
  decide(call: RecordedCall): Verdict | LimitVerdict | Promise<Verdict | LimitVerdict> {
    this.#clock.set(call.timeMs);
    this.#id = call.id;
    this.#wires = wiresOf(call);
    this.#answers.begin(this.#wires);
    const caller: Caller = call.id === '' ? NO_CALLER : { ...NO_CALLER, id: call.id };
    return call.call === 'limit'
      ? this.#engine.limit(this.#wires, caller)
      : this.#engine.check(call.call, this.#wires[0] as RecordedWire, caller);
  }

  /** The requests of a call as rules see them, enriched; for explanations. */
  async bags(call: RecordedCall): Promise<readonly RequestBag[]> {
    const bags: RequestBag[] = [];
    this.#isExplaining = true;
    for (const wire of wiresOf(call)) {
      this.#answers.begin([wire]);
      bags.push((await this.#engine.bagOf(call.call, wire)) ?? new RequestBag(this.policy.attributes, wire));
    }
    this.#isExplaining = false;
    return bags;
  }

  /** Shows it each decided call. */
  observe(observer: CallObserver): void {
    this.#engine.observe(observer);
  }

  /** Rules whose handler was asked without a recorded answer, with the number of asks. */
  get unanswered(): readonly Unanswered[] {
    return [...this.#unanswered.values()];
  }

  async close(): Promise<void> {
    await this.#engine.drain();
  }
}
