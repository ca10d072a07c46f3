/** An author's description of the adapter under test. */
import type { ReportEntry, Shape } from '../contract.ts';
import type { FakeClock } from './fake-clock.ts';
import type { OpenedForTest } from './open-for-test.ts';
import type { PlaceName } from './places.ts';

type Values = Readonly<Record<string, unknown>>;

/** A subject in one of its places. */
export interface PlacedSubject extends AdapterSubject {
  readonly place: PlaceName;
}

/** Both vitest and node:test fit. */
export interface Runner {
  readonly describe: (name: string, declare: () => void) => unknown;
  readonly test: (name: string, run: () => Promise<void>) => unknown;
}

export interface AdapterSubject {
  readonly runner: Runner;
  /** Where the behaviours are tested; default: in the process of the test. */
  readonly in?: readonly PlaceName[];
  /** URL of the module that exports the adapter, for `worker`. */
  readonly module?: URL;
  /** As an operator writes it, or a function that returns it (for an address known only when a server runs). */
  readonly config: unknown;
  /** Base of relative paths in the config. */
  readonly folder?: string;
  /** Configs that the schema or `open` must reject, with the expected message. */
  readonly badConfigs?: readonly { readonly config: unknown; readonly says: RegExp }[];
  /** A config with an unreachable backend, for adapters that have one. */
  readonly unreachable?: unknown;
  /** Creates the clock of each handler; if the backend has its own clock, one that starts now. */
  readonly clock?: () => FakeClock;
  readonly check?: CheckSubject;
  readonly quota?: QuotaSubject;
  readonly report?: ReportSubject;
  readonly enrich?: EnrichSubject;
  /** Behaviours that do not hold, each with the reason. An unknown sentence is an error. */
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
  /** Names and types of `input`; default: `any`. */
  readonly shape?: Shape;
  /** The input of entry `n`; distinct for each `n`. */
  readonly input: (n: number) => Values;
  /** Entries at the backend since this handler was opened, in any order. Polled for some seconds. */
  readonly read: (opened: OpenedForTest) => readonly unknown[] | Promise<readonly unknown[]>;
  /** The expected result of `read` for these entries; default: their inputs. */
  readonly expected?: (entries: readonly ReportEntry[]) => readonly unknown[];
  /** Stops the backend, and starts it again. */
  readonly away?: { readonly begin: () => Promise<void>; readonly end: () => Promise<void> };
}

export interface EnrichSubject {
  readonly params?: unknown;
  readonly known: readonly { readonly input: Values; readonly output: Values }[];
  readonly unknown: readonly Values[];
}
