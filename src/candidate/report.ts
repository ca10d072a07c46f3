/**
 * What a comparison has found, as plain data.
 * **In**: the reports of workers. **Out**: one of all. **Fails**: never.
 */
import { type DifferenceRow, keyOf, MAX_SAMPLES } from './differences.ts';
import type { NotCompared } from './comparable-counters.ts';
import type { SampleRow } from './sample.ts';

export interface ComparisonReport {
  /** Of the candidate. */
  readonly revision: string;
  /** Of the policy in force that it is compared with. */
  readonly against: string;
  readonly sinceMs: number;
  /** Calls that both policies decided. */
  readonly compared: number;
  readonly differing: number;
  /** Calls with the same outcome, rule and status, but other headers or texts. */
  readonly otherHeaders: number;
  /** Calls that were not compared, since too many waited. */
  readonly skipped: number;
  /** Calls that wait to be compared. */
  readonly waiting: number;
  /** The most frequent first. */
  readonly differences: readonly DifferenceRow[];
  /** Differences of kinds beyond the bound. */
  readonly otherDifferences: number;
  /** The newest first. */
  readonly samples: readonly SampleRow[];
  /** Rules whose differences mean nothing, with the reason. */
  readonly notCompared: readonly NotCompared[];
}

/** Reports of the same pair of policies; those of workers that are behind are left out. */
export function mergedReports(all: readonly ComparisonReport[]): ComparisonReport | undefined {
  const newest = all.toSorted((a, b) => b.sinceMs - a.sinceMs)[0];
  if (newest === undefined) return undefined;
  const { revision, against, notCompared } = newest;
  const same = all.filter((one) => one.revision === revision && one.against === against);
  const sum = (of: (one: ComparisonReport) => number): number => same.reduce((total, one) => total + of(one), 0);
  const rows = new Map<string, DifferenceRow>();
  for (const row of same.flatMap(({ differences }) => differences)) {
    const count = row.count + (rows.get(keyOf(row))?.count ?? 0);
    rows.set(keyOf(row), { ...row, count });
  }
  return {
    revision,
    against,
    sinceMs: Math.min(...same.map(({ sinceMs }) => sinceMs)),
    compared: sum(({ compared }) => compared),
    differing: sum(({ differing }) => differing),
    otherHeaders: sum(({ otherHeaders }) => otherHeaders),
    skipped: sum(({ skipped }) => skipped),
    waiting: sum(({ waiting }) => waiting),
    differences: [...rows.values()].toSorted((a, b) => b.count - a.count),
    otherDifferences: sum(({ otherDifferences }) => otherDifferences),
    samples: same
      .flatMap(({ samples }) => samples)
      .toSorted((a, b) => b.timeMs - a.timeMs)
      .slice(0, MAX_SAMPLES.count),
    notCompared,
  };
}
