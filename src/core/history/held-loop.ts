/**
 * Which calls held the event loop, so that no other call was answered meanwhile.
 * **In**: when each call began and ended. **Out**: the calls that took long. **Fails**: never.
 *
 * It reads no clock: a call that ended long after it began, and long after the call before it had ended, has held the loop itself,
 * or has waited for a handler. Which of both, a timer that fires late tells (src/serve/policy/loop-watch.ts).
 */
import type { CallKind } from '../../attributes/carrier.ts';
import { HELD_MS, type LiveHandler } from '../handlers/live-handler.ts';
import type { QuotaEntry, RuleOutcome } from '../outcome.ts';
import type { Snapshot } from '../snapshot/snapshot.ts';

/** More in a period are not told apart. */
const MAX_KEPT = 8;

export interface HeldBy {
  readonly heldMs: number;
  /** A handler answered by promise: it may have waited, and another call may have held the loop. */
  readonly mayHaveWaited: boolean;
  /** Those in this thread that were asked; empty if none was. */
  readonly handlers: readonly string[];
  readonly rules: readonly string[];
}

export class HeldLoop {
  #endedAtMs = -Infinity;
  #kept: HeldBy[] = [];

  /** All times by `performance.now()`. */
  ended(
    snapshot: Snapshot,
    call: CallKind,
    outcomes: readonly RuleOutcome[],
    quotas: readonly QuotaEntry[],
    beganAtMs: number,
    endedAtMs: number,
  ): void {
    const heldMs = endedAtMs - Math.max(beganAtMs, this.#endedAtMs);
    this.#endedAtMs = endedAtMs;
    if (heldMs >= HELD_MS && this.#kept.length < MAX_KEPT)
      this.#kept.push(heldBy(heldMs, snapshot, call, outcomes, quotas));
  }

  /** Since the last time, the likeliest first. */
  take(): readonly HeldBy[] {
    if (this.#kept.length === 0) return NONE;
    const kept = this.#kept;
    this.#kept = [];
    return kept.toSorted(
      (one, other) => Number(one.mayHaveWaited) - Number(other.mayHaveWaited) || other.heldMs - one.heldMs,
    );
  }
}

const NONE: readonly HeldBy[] = [];

/** Calls, and handlers that wrote reports; such a time is exact. */
export function heldOf(calls: HeldLoop, handlers: readonly LiveHandler[]): readonly HeldBy[] {
  const writing: HeldBy[] = [];
  for (const handler of handlers) {
    const heldMs = handler.takeHeldMs();
    if (heldMs >= HELD_MS) writing.push({ heldMs, mayHaveWaited: false, handlers: [handler.spec.name], rules: [] });
  }
  return writing.length === 0 ? calls.take() : [...writing, ...calls.take()];
}

function heldBy(
  heldMs: number,
  snapshot: Snapshot,
  call: CallKind,
  outcomes: readonly RuleOutcome[],
  quotas: readonly QuotaEntry[],
): HeldBy {
  const rules = [...snapshot.enrich(call), ...[...outcomes, ...quotas.map(({ outcome }) => outcome)].map(preparedOf)];
  const asked = rules.filter(({ handler }) => handler !== undefined && handler.open.running === undefined);
  return {
    heldMs,
    mayHaveWaited: outcomes.some(({ handlerUs }) => handlerUs > 0),
    handlers: [...new Set(asked.map(({ handler }) => handler?.spec.name ?? ''))],
    rules: [...new Set((asked.length > 0 ? asked : rules).map(({ rule }) => rule.name))],
  };
}

const preparedOf = ({ prepared }: RuleOutcome): RuleOutcome['prepared'] => prepared;
