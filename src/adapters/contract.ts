/**
 * The plugin contract. An adapter is one value: its name, the schema of its config, what it serves, and `open`.
 * What it serves decides, by type, which methods `open` must return. Plugins import this as `sluice/plugin`.
 */
import type { z } from 'zod';

// ---------------------------------------------------------------- shapes: what a rule hands an adapter

/** The types of inputs and outputs, and what JavaScript sees for each. */
export interface ShapeValues {
  string: string;
  /** Exact: beyond 2^53 the input has failed before the adapter is asked. */
  int: number;
  double: number;
  bool: boolean;
  bytes: Uint8Array;
  timestamp: Date;
  /** Milliseconds. */
  duration: number;
  /** Canonical text (RFC 5952). */
  ip: string;
  'list<string>': readonly string[];
  'map<string>': Readonly<Record<string, string>>;
  /** Anything: text, number, boolean, null, Date, or lists and objects of them; a duration is text like `1.5s`. */
  any: unknown;
}
export type ShapeType = keyof ShapeValues;
/** Names and types; a type that ends in `?` may be absent. */
export type Shape = Readonly<Record<string, ShapeType | `${ShapeType}?`>>;

type ValueOf<T> = T extends `${infer V extends ShapeType}?`
  ? ShapeValues[V]
  : T extends ShapeType
    ? ShapeValues[T]
    : never;
type OptionalKeys<S> = { [K in keyof S]: S[K] extends `${string}?` ? K : never }[keyof S];
type Flat<T> = { [K in keyof T]: T[K] } & {};
export type ValuesOf<S> = S extends Shape
  ? Flat<
      { readonly [K in Exclude<keyof S, OptionalKeys<S>>]: ValueOf<S[K]> } & {
        readonly [K in OptionalKeys<S>]?: ValueOf<S[K]>;
      }
    >
  : Readonly<Record<string, unknown>>;

/**
 * A shape; `'any'`, where any names may stand (log fields); or a function of config and params (labels, columns).
 * A dot in a name nests it in YAML: `'labels.method'` is written `labels: { method: ... }` and reaches the plugin as `input['labels.method']`.
 */
export type ShapeSpec<C = unknown, P = unknown> = Shape | 'any' | ((config: C, params: P) => Shape);

// ---------------------------------------------------------------- answers

/** gRPC status codes that a check may deny with (google.rpc.Code). */
export const UNAUTHENTICATED = 16;
export const PERMISSION_DENIED = 7;
export const RESOURCE_EXHAUSTED = 8;
export const FAILED_PRECONDITION = 9;
export const NOT_FOUND = 5;
export const INVALID_ARGUMENT = 3;

export interface Allow {
  readonly kind: 'allow';
  /** How long the answer stays right for the same input; 0: not known. Sluice keeps no answers: each call is asked. */
  readonly validForMs: number;
  /** How often it may be used within that time. */
  readonly uses: number;
  readonly output: Readonly<Record<string, unknown>> | undefined;
}
export interface Deny {
  readonly kind: 'deny';
  /** A gRPC status code other than 0. */
  readonly code: number;
  /** For operators; it goes to the client only where the rule's onDeny says `out.reason`. */
  readonly reason: string;
  readonly validForMs: number;
  readonly output: Readonly<Record<string, unknown>> | undefined;
}
export type CheckAnswer = Allow | Deny;

export function allow(
  options: { validForMs?: number; uses?: number; output?: Readonly<Record<string, unknown>> } = {},
): Allow {
  return {
    kind: 'allow',
    validForMs: options.validForMs ?? 0,
    uses: options.uses ?? Number.MAX_SAFE_INTEGER,
    output: options.output,
  };
}

export function deny(
  code: number,
  reason: string,
  options: { validForMs?: number; output?: Readonly<Record<string, unknown>> } = {},
): Deny {
  return { kind: 'deny', code, reason, validForMs: options.validForMs ?? 0, output: options.output };
}

/** What every ask of a quota handler names: one counter, and its limit. */
interface AskOfCounter<B> {
  readonly bucket: B;
  /** The typed values of the rule's `key`, as one canonical text; unlike keys never make the same text. */
  readonly key: string;
  readonly limit: number;
  /** Bucket size of `gcra`; equals `limit` where the rule says nothing. */
  readonly burst: number;
  /** The period; the rule's, unless the request overrides it (RateLimitOverride). */
  readonly perMs: number;
  /**
   * `fixed`: end of the window in ms since 1970, where that is no multiple of `perMs` (a month). `giveBack`, also of `sliding`: the window that
   * was charged; a later window is not credited.
   */
  readonly endsAtMs?: number;
  /**
   * A repeated ask with the same key within a period of the first charge is granted without a charge. Asks of one call are each charged.
   * The key is forgotten
   * - after the period;
   * - when all of the charge is given back, or the lease is released;
   * - of `log` and `concurrency`, by a reset, and where a debt above the limit drops the oldest entries.
   */
  readonly idempotencyKey?: string;
}

/** Charges `cost`, or is refused. */
export interface Spend<B = unknown> extends AskOfCounter<B> {
  readonly kind: 'spend';
  /** More than 0. */
  readonly cost: number;
  /** Best effort: if less than `cost` is left, charges what is left, at least 1. Not with an idempotency key. */
  readonly partial?: boolean;
}
/** Says what is left; changes nothing. Granted unless the counter is in debt. */
export interface Look<B = unknown> extends AskOfCounter<B> {
  readonly kind: 'look';
}
/** Gives back `cost` of what was charged; always granted. */
export interface GiveBack<B = unknown> extends AskOfCounter<B> {
  readonly kind: 'giveBack';
  /** More than 0. */
  readonly cost: number;
}
/** `concurrency`: ends the lease that was taken with this idempotency key; always granted. */
export interface Release<B = unknown> extends AskOfCounter<B> {
  readonly kind: 'release';
}
/** Charges what has happened already: beyond the limit too; always granted. */
export interface Owe<B = unknown> extends AskOfCounter<B> {
  readonly kind: 'owe';
  /** At least 0. */
  readonly cost: number;
}
/** One ask of a quota handler. All asks of one call are granted, or none is charged. */
export type QuotaAsk<B = unknown> = Spend<B> | Look<B> | GiveBack<B> | Release<B> | Owe<B>;

export interface QuotaAnswer {
  /** Whether this ask could pass. Nothing is charged unless every ask of the call could, so the first that is false names the refusal. */
  readonly granted: boolean;
  readonly limit: number;
  /** What is left after this ask, at least 0; where refused, what is left uncharged. */
  readonly remaining: number;
  /** At least 0: until the counter is full again (`fixed`: the window's end; `sliding`: the end of the next), or, where refused, at least 1: until this ask could pass. */
  readonly resetMs: number;
  /** Of a partial spend that was granted: how much of its cost was charged. */
  readonly charged?: number;
}

/** One report, as a sink of this handler gets it. */
export interface ReportEntry<K = unknown> {
  readonly sink: K;
  /** Stable over retries. */
  readonly id: string;
  /** Milliseconds since 1970. */
  readonly timeMs: number;
  readonly input: Readonly<Record<string, unknown>>;
}

// ---------------------------------------------------------------- failures, in the adapter's words

/** The backend cannot be asked now. A report is tried again, after `retryAfterMs` where that is over 0. */
export class Unavailable extends Error {
  readonly retryAfterMs: number;
  constructor(why: string, retryAfterMs = 0, options?: ErrorOptions) {
    super(why, options);
    this.name = 'Unavailable';
    this.retryAfterMs = retryAfterMs;
  }
}

/** The same input would fail again: a report is not tried again. `entries`: the indexes of those refused, all if absent. */
export class Rejected extends Error {
  readonly entries: readonly number[] | undefined;
  constructor(why: string, entries?: readonly number[], options?: ErrorOptions) {
    super(why, options);
    this.name = 'Rejected';
    this.entries = entries;
  }
}

// ---------------------------------------------------------------- what the host gives

export interface Call {
  /** Aborted when the call's time is over or its caller is gone. Made when first read. */
  readonly signal: AbortSignal;
  /** Milliseconds left for this call. */
  readonly remainingMs: number;
  /** Of the request, the same in every log line about it. */
  readonly id: string;
}

export type LogFields = Readonly<Record<string, unknown>>;
export interface Log {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
}

export interface Counter {
  add(amount?: number): void;
}

export interface Host {
  /** Bound to the handler's name already. */
  readonly log: Log;
  /** The time of day, in ms since 1970; and ms of a clock that is never set, to tell spans by. */
  readonly clock: { nowMs(): number; monotonicMs(): number };
  /** Aborted before `close` is called. */
  readonly signal: AbortSignal;
  /** The folder of the file that names this handler: relative paths of the config are resolved against it. */
  readonly folder: string;
  /** Work that goes on beside calls; its failure is logged with the handler's name, and the handler is not ready until it works again. */
  background(name: string, work: (signal: AbortSignal) => Promise<void>): void;
  /** Says whether the backend can be asked now, and why not; shown by the admin port. A handler is ready until it says otherwise. */
  ready(isReady: boolean, why?: string): void;
  readonly metrics: {
    /** A counter on Sluice's own page, as `sluice_plugin_<name>_total` with the handler's name as label. */
    counter(name: string, help: string): Counter;
    /** A page in Prometheus text format, appended to Sluice's own at /metrics. */
    page(render: () => string | Promise<string>): void;
  };
  /** `serve --workers` runs one handler of this name in each worker; `number` is from 1. `count` 1: it is alone. */
  readonly worker: { readonly number: number; readonly count: number };
  /** Memory of that name and size that every worker's handler of this name sees; zeroed when first asked for. Its first 32 bits are for a `SharedLock`, or 0. */
  shared(name: string, bytes: number): SharedArrayBuffer;
}

// ---------------------------------------------------------------- what an adapter serves

export interface CheckServes {
  readonly params?: z.ZodType;
  readonly input: ShapeSpec<never, never>;
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
}
export interface EnrichServes {
  readonly params?: z.ZodType;
  readonly input: ShapeSpec<never, never>;
  readonly output: Shape | ((config: never, params: never) => Shape);
}

/**
 * `sliding`: the window before counts for the part of it that is within a period of now. `log`: each charge counts for a period, so that
 * in no period more than the limit passes; it keeps them all, so it is for small limits. `concurrency`: the same, but a charge is a lease
 * that ends when it is released, at the latest after a period.
 */
export type Algorithm = 'fixed' | 'gcra' | 'sliding' | 'log' | 'concurrency';
/** When a batch of reports is handed over: at `max` entries, after `maxAgeMs`, or at about `maxBytes`, whichever is first. */
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

/** What a rule says, once, when the policy loads. */
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
  /** The names that this rule's entries have, with their types. */
  readonly input: Shape;
}

export type CheckFunction<I = Readonly<Record<string, unknown>>> = (
  input: I,
  call: Call,
) => CheckAnswer | Promise<CheckAnswer>;
export type LookupFunction<I = Readonly<Record<string, unknown>>, O = Readonly<Record<string, unknown>>> = (
  input: I,
  call: Call,
) => O | undefined | Promise<O | undefined>;

interface QuotaParts<B, P> {
  bucket(rule: QuotaRule<P>): B;
  charge(asks: readonly QuotaAsk<B>[], call: Call): readonly QuotaAnswer[] | Promise<readonly QuotaAnswer[]>;
  /** Forgets what the counters of these asks were charged. For operators; without it they cannot. */
  reset?(asks: readonly QuotaAsk<B>[]): void | Promise<void>;
  /** Where the counters of these asks are, ask by ask. For operators. */
  look?(asks: readonly QuotaAsk<B>[]): readonly QuotaPlace[] | Promise<readonly QuotaPlace[]>;
}

/** Where a counter is, for people. */
export interface QuotaPlace {
  /** As the backend names it: a key of Redis. */
  readonly counter: string;
  /** Who has taken units of it that are not spent yet, where units are taken ahead. */
  readonly holders?: readonly { readonly who: string; readonly units: number }[];
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

/** What `open` returns: the methods of what is served, and `close`, called once after the last call has ended. */
export type Handler<S, B = unknown, K = unknown> = CheckMethods<S> &
  QuotaMethods<S, B> &
  ReportMethods<S, K> &
  EnrichMethods<S> & { close?(): void | Promise<void> };

/** A handler as the host holds it, whatever its adapter. */
export interface AnyHandler {
  check?(rule: RuleParams): CheckFunction;
  bucket?(rule: QuotaRule): unknown;
  charge?(asks: readonly QuotaAsk[], call: Call): readonly QuotaAnswer[] | Promise<readonly QuotaAnswer[]>;
  reset?(asks: readonly QuotaAsk[]): void | Promise<void>;
  look?(asks: readonly QuotaAsk[]): readonly QuotaPlace[] | Promise<readonly QuotaPlace[]>;
  sink?(rule: ReportRule): unknown;
  write?(entries: readonly ReportEntry[], call: Call): void | Promise<void>;
  lookup?(rule: RuleParams): LookupFunction;
  close?(): void | Promise<void>;
}

/** An adapter as the host holds it. */
export interface Adapter {
  /** What it serves, then where: `quota-redis`. */
  readonly name: string;
  /** One sentence. */
  readonly summary: string;
  /** Written by people: types, defaults, messages, JSON Schema and docs come from it. `.meta({ secret: true })` hides a field everywhere. */
  readonly config: z.ZodType;
  readonly serves: Serves;
  /** True where it needs nothing outside the process: cases run it as it is. */
  readonly selfContained: boolean;
  /** Checks the config; must not need its backend. */
  open(config: unknown, host: Host): Promise<AnyHandler>;
}

interface AdapterDefinition<C extends z.ZodType, S, B, K> {
  readonly name: string;
  readonly summary: string;
  readonly config: C;
  readonly serves: S & { [N in Exclude<keyof S, Capability>]: never };
  readonly selfContained?: boolean;
  open(config: z.output<C>, host: Host): Promise<Handler<S, B, K>>;
}

/** Makes an adapter; types alone, it checks nothing at run time (the registry does). */
export function defineAdapter<C extends z.ZodType, const S extends Serves, B = unknown, K = unknown>(
  definition: AdapterDefinition<C, S, B, K>,
): Adapter {
  return Object.freeze({ selfContained: false, ...definition }) as unknown as Adapter;
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
