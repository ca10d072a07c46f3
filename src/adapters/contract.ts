/**
 * The plugin contract. An adapter is one value: its name, the schema of its config, what it serves, and `open`.
 * What it serves decides, by type, which methods `open` must return. Plugins import this as `sluice/plugin`.
 */
import type { z } from 'zod';
import type { CheckAnswer, Found } from './contract/answers.ts';
import type { Call, Host } from './contract/host.ts';
import type { Algorithm, LeasePage, QuotaAnswer, QuotaAsk, QuotaPlace } from './contract/quota.ts';
import type { Shape, ShapeSpec, ValuesOf } from './contract/shapes.ts';
import { CONTRACT, CONTRACT_VERSION } from './contract/version.ts';

export * from './contract/answers.ts';
export * from './contract/host.ts';
export * from './contract/quota.ts';
export * from './contract/shapes.ts';

/** Expressions of inputs for a rule that leaves them out, by name; checked as if the rule had them. */
export type InputDefaults =
  | Readonly<Record<string, string>>
  | ((config: never, params: never) => Readonly<Record<string, string>>);

export interface CheckServes {
  readonly params?: z.ZodType;
  readonly input: ShapeSpec<never, never>;
  readonly defaults?: InputDefaults;
  readonly output?: Shape;
}
export interface QuotaServes {
  readonly params?: z.ZodType;
  readonly algorithms: readonly Algorithm[];
}
export interface ReportServes {
  readonly params?: z.ZodType;
  readonly input: ShapeSpec<never, never>;
  readonly batch?: BatchDefaults;
  /**
   * Entries are counted in this process as they are written; one that is written again is counted again, so they are never spooled on disk.
   */
  readonly counts?: boolean;
}
export interface EnrichServes {
  readonly params?: z.ZodType;
  readonly input: ShapeSpec<never, never>;
  readonly defaults?: InputDefaults;
  readonly output: Shape | ((config: never, params: never) => Shape);
}

/** A batch of reports is written at `max` entries, after `maxAgeMs`, or at about `maxBytes`, whichever comes first. */
export interface BatchDefaults {
  readonly max?: number;
  readonly maxAgeMs?: number;
  readonly maxBytes?: number;
}

export interface Serves {
  readonly check?: CheckServes;
  readonly quota?: QuotaServes;
  readonly report?: ReportServes;
  readonly enrich?: EnrichServes;
}
export type Capability = keyof Serves;
export const CAPABILITIES: readonly Capability[] = ['enrich', 'check', 'quota', 'report'];

type ParamsOf<S> = S extends { readonly params: infer P extends z.ZodType } ? z.output<P> : undefined;
type InputOf<S> = S extends { readonly input: infer I } ? ValuesOf<I> : never;
type OutputOf<S> = S extends { readonly output: infer O } ? Partial<ValuesOf<O>> : never;

/** One report. */
export interface ReportEntry<K = unknown> {
  readonly sink: K;
  /** Stable over retries. */
  readonly id: string;
  /** Milliseconds since 1970. */
  readonly timeMs: number;
  readonly input: Readonly<Record<string, unknown>>;
}

/** A rule as its handler sees it once, when the policy loads. */
export interface RuleParams<P = unknown> {
  /** The rule's name. */
  readonly rule: string;
  readonly params: P;
}
export interface QuotaRule<P = unknown> extends RuleParams<P> {
  /** The counter's name: rules with equal names share their counts. */
  readonly counter: string;
  readonly algorithm: Algorithm;
  readonly perMs: number;
}
export interface ReportRule<P = unknown> extends RuleParams<P> {
  /** Names and types of the entries of this rule. */
  readonly input: Shape;
}

export type CheckFunction<I = Readonly<Record<string, unknown>>> = (
  input: I,
  call: Call,
) => CheckAnswer | Promise<CheckAnswer>;
export type LookupFunction<I = Readonly<Record<string, unknown>>, O = Readonly<Record<string, unknown>>> = (
  input: I,
  call: Call,
) => LookupAnswer<O> | Promise<LookupAnswer<O>>;
/** Values by name of the output, or nothing; with {@link Found} also how long they stay valid. */
export type LookupAnswer<O = Readonly<Record<string, unknown>>> = O | Found<O> | undefined;

interface QuotaParts<B, P> {
  bucket(rule: QuotaRule<P>): B;
  charge(asks: readonly QuotaAsk<B>[], call: Call): readonly QuotaAnswer[] | Promise<readonly QuotaAnswer[]>;
  /** Clears the counters of these asks, for operators. Optional; without it they cannot be reset. */
  reset?(asks: readonly QuotaAsk<B>[]): void | Promise<void>;
  /**
   * Where the counters of these asks are and who holds their units, one place per ask. For operators, never for a call; changes nothing.
   */
  look?(asks: readonly QuotaAsk<B>[], leases?: LeasePage): readonly QuotaPlace[] | Promise<readonly QuotaPlace[]>;
}

type CheckMethods<S> = S extends { readonly check: infer D }
  ? { check(rule: RuleParams<ParamsOf<D>>): CheckFunction<InputOf<D>> }
  : { readonly check?: never };
type QuotaMethods<S, B> = S extends { readonly quota: infer D }
  ? QuotaParts<B, ParamsOf<D>>
  : { readonly bucket?: never; readonly charge?: never; readonly reset?: never; readonly look?: never };
type ReportMethods<S, K> = S extends { readonly report: infer D }
  ? {
      sink(rule: ReportRule<ParamsOf<D>>): K;
      write(entries: readonly ReportEntry<K>[], call: Call): void | Promise<void>;
    }
  : { readonly sink?: never; readonly write?: never };
type EnrichMethods<S> = S extends { readonly enrich: infer D }
  ? { lookup(rule: RuleParams<ParamsOf<D>>): LookupFunction<InputOf<D>, OutputOf<D>> }
  : { readonly lookup?: never };

/** What `open` returns: the methods of each served capability, and `close`, called once after the last call has ended. */
export type Handler<S, B = unknown, K = unknown> = CheckMethods<S> &
  QuotaMethods<S, B> &
  ReportMethods<S, K> &
  EnrichMethods<S> & {
    /**
     * No policy uses any more what `check`, `bucket`, `sink` or `lookup` returned for a rule. Called once per rule, so a value that was
     * returned for several rules is in use until it was called as often. Optional, for handlers that keep something for each.
     */
    forget?(made: NoInfer<B | K> | CheckFunction | LookupFunction): void;
    close?(): void | Promise<void>;
  };

/** {@link Handler} without the types of its adapter, as the host uses it. */
export interface AnyHandler {
  check?(rule: RuleParams): CheckFunction;
  bucket?(rule: QuotaRule): unknown;
  charge?(asks: readonly QuotaAsk[], call: Call): readonly QuotaAnswer[] | Promise<readonly QuotaAnswer[]>;
  reset?(asks: readonly QuotaAsk[]): void | Promise<void>;
  look?(asks: readonly QuotaAsk[], leases?: LeasePage): readonly QuotaPlace[] | Promise<readonly QuotaPlace[]>;
  sink?(rule: ReportRule): unknown;
  write?(entries: readonly ReportEntry[], call: Call): void | Promise<void>;
  lookup?(rule: RuleParams): LookupFunction;
  forget?(made: unknown): void;
  close?(): void | Promise<void>;
}

export interface PageMetric {
  readonly name: string;
  /** Where the config names it, for errors. */
  readonly path: readonly (string | number)[];
}

/** An adapter without the types of its config, as the host uses it. */
export interface Adapter {
  /** Capability, then backend: `quota-redis`. */
  readonly name: string;
  /** One sentence. */
  readonly summary: string;
  /**
   * Parses what operators write; defaults, messages, JSON Schema and docs come from it. `.meta({ secret: true })` hides a field everywhere.
   */
  readonly config: z.ZodType;
  readonly serves: Serves;
  /** It needs nothing outside the process, so cases run it instead of a fake; a function if that depends on its config. */
  readonly selfContained: boolean | ((config: never) => boolean);
  /**
   * The metrics on the page of a handler with this config. Two handlers of a policy must not have the same one, since a page has it once.
   */
  metrics?(config: never): readonly PageMetric[];
  /** Checks the config; must not need its backend. */
  open(config: unknown, host: Host): Promise<AnyHandler>;
}

interface AdapterDefinition<C extends z.ZodType, S, B, K> {
  readonly name: string;
  readonly summary: string;
  readonly config: C;
  readonly serves: S & { [N in Exclude<keyof S, Capability>]: never };
  readonly selfContained?: boolean | ((config: z.output<C>) => boolean);
  readonly metrics?: (config: z.output<C>) => readonly PageMetric[];
  open(config: z.output<C>, host: Host): Promise<Handler<S, B, K>>;
}

/** Defines an adapter: infers types, and marks it with the version of this contract. Its description is checked when it is loaded. */
export function defineAdapter<C extends z.ZodType, const S extends Serves, B = unknown, K = unknown>(
  definition: AdapterDefinition<C, S, B, K>,
): Adapter {
  return Object.freeze({ selfContained: false, ...definition, [CONTRACT]: CONTRACT_VERSION }) as unknown as Adapter;
}

/** Carries the bucket's type from `bucket` to `charge`. */
export function quota<B, P = unknown>(methods: QuotaParts<B, P>): typeof methods {
  return methods;
}

/** Carries the sink's type from `sink` to `write`. */
export function report<K, P = unknown>(methods: {
  sink(rule: ReportRule<P>): K;
  write(entries: readonly ReportEntry<K>[], call: Call): void | Promise<void>;
}): typeof methods {
  return methods;
}
