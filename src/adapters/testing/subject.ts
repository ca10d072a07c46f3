/** What an author says of the adapter under test. */
import type { ReportEntry, Shape } from '../contract.ts';
import type { FakeClock } from './fake-clock.ts';
import type { OpenedForTest } from './open-for-test.ts';

type Values = Readonly<Record<string, unknown>>;

/** vitest's and node:test's `describe` and `test` both do. */
export interface Runner {
  readonly describe: (name: string, declare: () => void) => unknown;
  readonly test: (name: string, run: () => Promise<void>) => unknown;
}

export interface AdapterSubject {
  readonly runner: Runner;
  /** As an operator writes it, or a function that makes it (an address known once a server runs). */
  readonly config: unknown;
  /** Relative paths of the config are resolved against it. */
  readonly folder?: string;
  /** Configs that must be refused, by the schema or by `open`, and what the message says. */
  readonly badConfigs?: readonly { readonly config: unknown; readonly says: RegExp }[];
  /** A config whose backend nobody can reach, for adapters that have one. */
  readonly unreachable?: unknown;
  /** Makes the clock of each handler: where the backend has a clock of its own, one that starts now. */
  readonly clock?: () => FakeClock;
  readonly check?: CheckSubject;
  readonly quota?: QuotaSubject;
  readonly report?: ReportSubject;
  readonly enrich?: EnrichSubject;
  /** Sentences that do not hold, each with the reason. A sentence that is not in the list is an error. */
  readonly skip?: Readonly<Record<string, string>>;
}

export interface CheckSubject {
  readonly params?: unknown;
  readonly allowed: readonly Values[];
  readonly denied: readonly Values[];
}

export interface QuotaSubject {
  readonly params?: unknown;
}

export interface ReportSubject {
  readonly params?: unknown;
  /** The names and types of `input`; each is `any` where absent. */
  readonly shape?: Shape;
  /** The input of entry `n`; different for each `n`. */
  readonly input: (n: number) => Values;
  /** What has arrived at the backend since this handler was opened, in any order. Asked again until it fits, for some seconds. */
  readonly read: (opened: OpenedForTest) => readonly unknown[] | Promise<readonly unknown[]>;
  /** What `read` must come to for these entries; their inputs where absent. */
  readonly expected?: (entries: readonly ReportEntry[]) => readonly unknown[];
  /** Takes the backend away, and brings it back. */
  readonly away?: { readonly begin: () => Promise<void>; readonly end: () => Promise<void> };
}

export interface EnrichSubject {
  readonly params?: unknown;
  readonly known: readonly { readonly input: Values; readonly output: Values }[];
  readonly unknown: readonly Values[];
}
