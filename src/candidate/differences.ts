/**
 * Differences by rule and outcome, with samples.
 * **In**: pairs of verdicts that differ. **Out**: a row for each kind of difference, and the latest calls of each.
 * **Fails**: never; kinds beyond the bound are counted together.
 */
import type { Outcome } from '../core/call.ts';

/** Kinds of difference; each is a series of sluice_candidate_differences_total. */
export const MAX_KINDS = 200;
/** Calls that are kept whole. A larger one is not kept. */
export const MAX_SAMPLES = { ofKind: 5, count: 100, bytes: 1024 * 1024, ofOneBytes: 64 * 1024 };
/** After the first calls of a kind, one in this time is kept. */
const SAMPLE_EVERY_MS = 100;

/** Rules are null where none decided. */
export interface DifferenceKind {
  readonly ruleNow: string | null;
  readonly ruleThen: string | null;
  readonly outcomeNow: Outcome;
  readonly outcomeThen: Outcome;
}
export interface DifferenceRow extends DifferenceKind {
  readonly count: number;
}

interface Counted<S> {
  readonly kind: DifferenceKind;
  count: number;
  sampledAtMs: number;
  readonly samples: S[];
}

export class Differences<S extends { readonly weight: number }> {
  readonly #kinds = new Map<string, Counted<S>>();
  /** In order of time. */
  #samples: S[] = [];
  #bytes = 0;
  /** Of kinds beyond the bound. */
  others = 0;

  /** `atMs`: by `performance.now()`. */
  add(kind: DifferenceKind, sample: S, atMs: number): void {
    const key = keyOf(kind);
    let counted = this.#kinds.get(key);
    if (counted === undefined) {
      if (this.#kinds.size >= MAX_KINDS) {
        this.others++;
        return;
      }
      counted = { kind, count: 0, sampledAtMs: -Infinity, samples: [] };
      this.#kinds.set(key, counted);
    }
    counted.count++;
    const { samples, sampledAtMs } = counted;
    if (sample.weight > MAX_SAMPLES.ofOneBytes) return;
    if (samples.length >= MAX_SAMPLES.ofKind && atMs - sampledAtMs < SAMPLE_EVERY_MS) return;
    counted.sampledAtMs = atMs;
    samples.push(sample);
    this.#samples.push(sample);
    this.#bytes += sample.weight;
    if (samples.length > MAX_SAMPLES.ofKind) this.#drop(samples[0]);
    while (this.#samples.length > MAX_SAMPLES.count || this.#bytes > MAX_SAMPLES.bytes) this.#drop(this.#samples[0]);
  }

  rows(): DifferenceRow[] {
    return [...this.#kinds.values()].map(({ kind, count }) => ({ ...kind, count }));
  }

  /** The newest first. */
  samples(): readonly S[] {
    return this.#samples.toReversed();
  }

  #drop(sample: S | undefined): void {
    if (sample === undefined) return;
    this.#bytes -= sample.weight;
    this.#samples = this.#samples.filter((other) => other !== sample);
    for (const { samples } of this.#kinds.values()) {
      const at = samples.indexOf(sample);
      if (at >= 0) samples.splice(at, 1);
    }
  }
}

export const keyOf = ({ ruleNow, ruleThen, outcomeNow, outcomeThen }: DifferenceKind): string =>
  JSON.stringify([ruleNow, ruleThen, outcomeNow, outcomeThen]);
