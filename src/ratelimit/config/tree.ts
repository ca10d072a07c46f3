/** Limit files as a tree in which descriptors are looked up. */
import type { JsonObject, Unit } from '../call.ts';
import type { Pattern } from './wildcard.ts';
import type { Window } from './window.ts';
import type { Position } from '../../yaml/source-text.ts';

/** Algorithms without windows, as in the plugin contract. */
export const ALGORITHMS = ['gcra', 'log', 'concurrency'] as const;
export type Algorithm = (typeof ALGORITHMS)[number];

export const OUTAGES = ['error', 'open', 'closed', 'local'] as const;
export type Outage = (typeof OUTAGES)[number];

/** `rate_limit` of a descriptor. */
export interface Limit {
  /** `domain.key1_value1.key2`, as /rlconfig and the metrics name it. */
  readonly fullKey: string;
  readonly requestsPerUnit: number;
  /** `undefined` if the period is not a unit. */
  readonly unit: Unit | undefined;
  readonly unlimited: boolean;
  /** Empty if it has none. */
  readonly name: string;
  readonly replaces: readonly string[];
  readonly shadow: boolean;
  readonly quota: boolean;
  readonly metadata: JsonObject | undefined;
  /** Of the unit, or of `per` under `sluice`. */
  readonly window: Window;
  /** By default `fixed`; `sliding` counts the previous window in part. */
  readonly algorithm: 'fixed' | 'sliding' | Algorithm;
  /** `gcra`: how many hits may come at once. */
  readonly burst: number;
  /** `concurrency`: a descriptor that matches here ends the lease. */
  readonly endsLease: boolean;
  /** The answer while the store is away; `undefined`: SLUICE_OUTAGE. */
  readonly outage: Outage | undefined;
  /** Further limits of the same descriptor, each with another period; charged all or none. They cannot have `also`. */
  readonly also: readonly Limit[];
  readonly position: Position;
}

export interface Node {
  /** As in the file: `key`, `key_value`, or `key_pattern`. */
  readonly text: string;
  readonly limit: Limit | undefined;
  /** By `key_value`, `key`, or the text of a pattern. */
  readonly children: Map<string, Node>;
  /** Children with a `*`, in file order. */
  readonly patterns: Node[];
  readonly pattern: Pattern | undefined;
  readonly isDetailed: boolean;
  readonly hasValueInMetric: boolean;
  /** All values that match the pattern share one counter (share_threshold). */
  readonly isShared: boolean;
}

/** By domain; a root has no limit. */
export type Domains = ReadonlyMap<string, Node>;
