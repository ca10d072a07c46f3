/**
 * Recent verdicts with why: denials, failures, and a sample of the rest. A call pays for keeping a reference; what was looked
 * at is worked out again from the kept bag when somebody asks.
 */
import { RecordingBag, type RequestBag } from '../attributes/bag.ts';
import type { CallKind } from '../attributes/carrier.ts';
import { HIDDEN, SECRET_HEADERS } from '../attributes/secrets.ts';
import type { LimitVerdict, Outcome, Reason, Verdict } from './call.ts';
import { toShape } from './rules/convert.ts';
import type { Snapshot } from './snapshot/snapshot.ts';

const KEPT = 512;
/** Of all that is kept together: a client that is refused must not fill the memory with what it sends. */
const KEPT_BYTES = 8 * 1024 * 1024;
/** Of allowed calls, at most one in so long is kept: what is kept of many fills the memory that long-lived things have. */
const ALLOWED_EVERY_MS = 50;

interface Kept { readonly snapshot: Snapshot; readonly bag: RequestBag; readonly call: CallKind; readonly verdict: Verdict | LimitVerdict; readonly timeMs: number; readonly weight: number }

export interface KeptVerdict {
  readonly id: string;
  readonly timeMs: number;
  readonly call: CallKind;
  readonly outcome: Outcome;
  readonly rule: string | undefined;
  readonly reasons: readonly Reason[];
  readonly shadow: readonly string[];
  /** What the rules' matches looked at, by name; null where absent, `(secret)` where not to be shown. */
  readonly attributes: Readonly<Record<string, unknown>>;
}

export class KeptVerdicts {
  /** By a running number: the first is the oldest. */
  readonly #kept = new Map<number, Kept>();
  #weight = 0;
  #next = 0;
  #allowedAtMs = -Infinity;

  /** `atMs`: by `performance.now()`; `timeMs` tells the time of day. */
  offer(snapshot: Snapshot, bag: RequestBag | undefined, call: CallKind, verdict: Verdict | LimitVerdict, atMs: number, timeMs: () => number): void {
    if (bag === undefined) return;
    if (verdict.outcome === 'allow' && verdict.shadow.length === 0) {
      if (atMs - this.#allowedAtMs < ALLOWED_EVERY_MS) return;
      this.#allowedAtMs = atMs;
    }
    const { weight } = bag.wire;
    if (weight > KEPT_BYTES) return;
    bag.wire.keep();
    this.#kept.set(this.#next++, { snapshot, bag, call, verdict, timeMs: timeMs(), weight });
    this.#weight += weight;
    for (const [number, oldest] of this.#kept) {
      if (this.#kept.size <= KEPT && this.#weight <= KEPT_BYTES) break;
      this.#kept.delete(number);
      this.#weight -= oldest.weight;
    }
  }

  /** The newest first. */
  list(): readonly KeptVerdict[] {
    return [...this.#kept.values()].toReversed().map(({ snapshot, bag, call, verdict, timeMs }) => {
      const { id, outcome, rule, reasons, shadow } = verdict;
      return { id, timeMs, call, outcome, rule, reasons, shadow, attributes: lookedAt(snapshot, bag, call) };
    });
  }
}

function lookedAt({ candidates, attributes }: Snapshot, bag: RequestBag, call: CallKind): Record<string, unknown> {
  const recording = new RecordingBag(bag);
  for (const { rule } of [...candidates.checks(bag, call), ...candidates.quotas(bag, call)]) rule.match?.evaluate(recording);
  return Object.fromEntries([...recording.looked].map(([slot, value]) => {
    const { name, secret } = attributes.at(slot);
    return [name, value === undefined ? null : secret ? HIDDEN : withoutSecrets(toShape('any', value))];
  }));
}

function withoutSecrets(shown: unknown): unknown {
  if (typeof shown !== 'object' || shown === null || Array.isArray(shown) || shown instanceof Date) return shown;
  return Object.fromEntries(Object.entries(shown).map(([name, value]) => [name, SECRET_HEADERS.has(name) ? HIDDEN : value]));
}
