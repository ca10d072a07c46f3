/**
 * Recent verdicts with their reasons, in three buffers: refusals, shadow hits, and a sample of allowed calls, which displaces neither.
 * A call only stores a reference; the attributes it read are evaluated again from the kept bag when an operator asks, or when
 * its policy is replaced, since a bag references the whole policy.
 */
import type { RequestBag } from '../../attributes/bag.ts';
import type { CallKind } from '../../attributes/carrier.ts';
import { RedactedRequest } from '../../attributes/redacted-request.ts';
import type { LimitVerdict, Verdict } from '../call.ts';
import { BriefRefusals } from './brief-refusals.ts';
import { type BufferLimits, VerdictBuffer } from './verdict-buffer.ts';
import { counter } from '../metrics/family.ts';
import type { QuotaEntry, RuleOutcome } from '../outcome.ts';
import type { Snapshot } from '../snapshot/snapshot.ts';
import { callBytes } from './verdict-size.ts';
import { passesFilter, type VerdictFilter } from './verdict-filter.ts';
import { type DecidedByRules, fieldsOf, type KeptVerdict, summaryOf } from './summary.ts';

const MIB = 1024 * 1024;
/**
 * `burst` and `perS` bound how fast a buffer fills, so that a refusal stays for at least five minutes whatever clients send. Sampling
 * allowed calls also keeps their requests out of the old generation of the heap. docs/verdicts.md has these numbers; a test compares them.
 */
export const KEEP: Readonly<Record<'refused' | 'shadow' | 'allowed', BufferLimits>> = {
  refused: { count: 4096, bytes: 32 * MIB, burst: 1024, perS: 10, forMs: 900_000 },
  shadow: { count: 512, bytes: 4 * MIB, burst: 256, perS: 1, forMs: 900_000 },
  allowed: { count: 256, bytes: 4 * MIB, burst: 1, perS: 20, forMs: 900_000 },
};
/** Detaching kept verdicts runs in slices, so that calls are answered in between. */
const SLICE_MS = 5;

/** An entry whose policy is no longer in force is kept as its summary. */
type Entry = { live: DecidedByRules; summary: undefined } | { live: undefined; summary: KeptVerdict };
/** `number` orders entries, since many calls end in one millisecond. */
type Kept = Entry & { readonly number: number };

/** `decided`: `undefined` if its policy was replaced, or if it is kept in brief. */
export interface FoundVerdict {
  readonly summary: KeptVerdict;
  readonly decided: DecidedByRules | undefined;
}

export class KeptVerdicts {
  #inForce: Snapshot | undefined;
  #next = 0;
  readonly #refused = new VerdictBuffer<Kept>(KEEP.refused);
  readonly #brief = new BriefRefusals();
  readonly #shadow = new VerdictBuffer<Kept>(KEEP.shadow);
  readonly #allowed = new VerdictBuffer<Kept>(KEEP.allowed);

  /** `atMs`: by `performance.now()`; `timeMs`: wall clock. */
  offer(
    snapshot: Snapshot,
    bag: RequestBag | undefined,
    call: CallKind,
    verdict: Verdict | LimitVerdict,
    outcomes: readonly RuleOutcome[],
    quotas: readonly QuotaEntry[],
    atMs: number,
    timeMs: () => number,
  ): void {
    if (bag === undefined) return;
    const buffer =
      verdict.outcome !== 'allow' ? this.#refused : verdict.shadow.length > 0 ? this.#shadow : this.#allowed;
    const isAdmitted = buffer.admits(atMs, bag.wire.weight, verdict.rule);
    // Most allowed calls are not admitted, so it is computed after.
    const weight = isAdmitted ? callBytes({ bags: [bag], verdict, outcomes }) : 0;
    if (!isAdmitted || !buffer.fits(weight)) {
      if (buffer === this.#refused) this.#brief.add(snapshot, call, verdict, timeMs());
      return;
    }
    bag.wire.keep();
    const live = { snapshot, bag, call, verdict, outcomes, quotas, timeMs: timeMs() };
    // A call that ended after its policy was replaced must not retain that policy.
    const number = this.#next++;
    buffer.add(
      snapshot === this.#inForce
        ? { number, live, summary: undefined }
        : { number, live: undefined, summary: summaryOf(live) },
      weight,
      atMs,
    );
  }

  readonly family = counter(
    'sluice_verdicts_skipped_total',
    'Refusals and shadow hits that /verdicts does not keep because too many came at once.',
    () => this.skipped,
  );

  /** Refusals and shadow hits that were not kept because too many came at once. */
  get skipped(): number {
    return this.#refused.skipped + this.#shadow.skipped;
  }

  /** Newest first. */
  list(filter: VerdictFilter = {}, nowMs: number = performance.now()): readonly KeptVerdict[] {
    const { limit = 100 } = filter;
    const found: KeptVerdict[] = [];
    const brief = filter.id === undefined ? undefined : this.#brief.withId(filter.id);
    if (brief !== undefined) return [brief];
    const all = [this.#refused, this.#shadow, this.#allowed].flatMap((buffer) => buffer.entries(nowMs));
    for (const kept of all.toSorted((a, b) => b.number - a.number)) {
      if (found.length >= limit) break;
      if (passes(kept, filter)) found.push(kept.live === undefined ? kept.summary : summaryOf(kept.live));
    }
    return found;
  }

  /** By the id of the verdict or the request; of several the newest refusal, else the newest. */
  find(id: string, nowMs: number = performance.now()): FoundVerdict | undefined {
    const brief = this.#brief.withId(id);
    if (brief !== undefined) return { summary: brief, decided: undefined };
    for (const buffer of [this.#refused, this.#shadow, this.#allowed]) {
      const kept = buffer.entries(nowMs).findLast((one) => passes(one, { id }));
      if (kept !== undefined)
        return kept.live === undefined
          ? { summary: kept.summary, decided: undefined }
          : { summary: summaryOf(kept.live), decided: kept.live };
    }
    return undefined;
  }

  /** Detaches entries from all policies but this one. */
  async settle(inForce: Snapshot): Promise<void> {
    this.#inForce = inForce;
    let sliceEndsAtMs = performance.now() + SLICE_MS;
    for (const buffer of [this.#refused, this.#shadow, this.#allowed]) {
      for (const kept of buffer.entries(performance.now())) {
        if (kept.live === undefined || kept.live.snapshot === inForce) continue;
        const summary = summaryOf(kept.live);
        Object.assign(kept, { live: undefined, summary });
        if (performance.now() < sliceEndsAtMs) continue;
        await new Promise((resolve) => {
          setImmediate(resolve);
        });
        sliceEndsAtMs = performance.now() + SLICE_MS;
      }
    }
  }
}

function passes({ live, summary }: Kept, filter: VerdictFilter): boolean {
  return live === undefined
    ? passesFilter(filter, summary, summary.call, () => summary.request)
    : passesFilter(filter, live.verdict, live.call, () => fieldsOf(new RedactedRequest(live.bag)));
}
