/** Files of rate limits, as they are looked through. */
import type { JsonObject, Unit } from '../call.ts';
import type { Pattern } from './wildcard.ts';
import type { Window } from './window.ts';
import type { Position } from '../../core/rules/yaml/source-text.ts';

/** Algorithms without windows; as the plugin contract means them. */
export const ALGORITHMS = ['gcra', 'log', 'concurrency'] as const;
export type Algorithm = (typeof ALGORITHMS)[number];

export const OUTAGES = ['error', 'open', 'closed', 'local'] as const;
export type Outage = (typeof OUTAGES)[number];

/** `rate_limit` of a descriptor. */
export interface Limit {
  /** `domain.key1_value1.key2`, as /rlconfig and the metrics name it. */
  readonly fullKey: string;
  readonly requestsPerUnit: number;
  /** `undefined` where it has a period of its own. */
  readonly unit: Unit | undefined;
  readonly unlimited: boolean;
  /** '' where it has none. */
  readonly name: string;
  readonly replaces: readonly string[];
  readonly shadow: boolean;
  readonly quota: boolean;
  readonly metadata: JsonObject | undefined;
  /** Its unit, or the period under `sluice`. */
  readonly window: Window;
  /** `sliding`: the window before counts in part. `fixed` where nothing is said. */
  readonly algorithm: 'fixed' | 'sliding' | Algorithm;
  /** Of `gcra`: what may come at once. */
  readonly burst: number;
  /** Of `concurrency`: a descriptor that comes here ends the lease. */
  readonly endsLease: boolean;
  /** What to answer when the store cannot be asked; `undefined`: as the settings say. Ours: the reference refuses a file that has it. */
  readonly outage: Outage | undefined;
  /** Further limits of the same descriptor, each of another period: all of them are charged, or none. They have none of their own. */
  readonly also: readonly Limit[];
  readonly position: Position;
}

export interface Node {
  /** As in the file: `key`, `key_value`, or `key_pattern`. */
  readonly text: string;
  readonly limit: Limit | undefined;
  /** By `key_value` or `key`; patterns stand here too, under their own text. */
  readonly children: Map<string, Node>;
  /** Those with a `*`, in the order of the file. */
  readonly patterns: Node[];
  readonly pattern: Pattern | undefined;
  readonly isDetailed: boolean;
  readonly hasValueInMetric: boolean;
  /** All values of the pattern share a counter. */
  readonly isShared: boolean;
}

/** By domain; the root of each has no limit. */
export type Domains = ReadonlyMap<string, Node>;
