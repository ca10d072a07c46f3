/**
 * What a rule is once it is loaded: typed, compiled, read-only. Written by `core/rules`, read by match, dispatch and verdict.
 */
import type { Calendar } from '../../counting/calendar.ts';
import type { Position } from './yaml/source-text.ts';
import type { Bag } from '../../attributes/bag.ts';
import type { CallKind } from '../../attributes/carrier.ts';
import type { Algorithm, Shape } from '../../adapters/contract.ts';
import type { Value } from '../../attributes/values.ts';
import type { ErrorWord } from '../actions.ts';
import type { Compiled, CompiledText } from '../../expression/index.ts';

/** Makes an adapter's input from a bag: every part or, where a part failed, the reason. */
export type InputMaker = (
  bag: Bag,
) =>
  | { readonly ok: true; readonly values: Readonly<Record<string, unknown>> }
  | { readonly ok: false; readonly why: string };

/** Makes a report's fields: a part that failed is null (or what the loader put for it) and named in `failed`. */
export type FieldsMaker = (bag: Bag) => {
  readonly values: Readonly<Record<string, unknown>>;
  readonly failed: readonly string[];
};

/** An HTTP answer of a rule's own. */
export interface DenyAnswer {
  /** `undefined`: by the handler's code, or 429 for a quota. */
  readonly status: number | undefined;
  readonly headers: readonly (readonly [name: string, value: CompiledText])[];
  readonly body: CompiledText | undefined;
}

export interface HeaderChanges {
  readonly set: readonly (readonly [name: string, value: CompiledText])[];
  readonly append: readonly (readonly [name: string, value: CompiledText])[];
  readonly remove: readonly string[];
}
export interface Changes {
  readonly request: HeaderChanges;
  readonly response: HeaderChanges;
  readonly query: {
    readonly set: readonly (readonly [name: string, value: CompiledText])[];
    readonly remove: readonly string[];
  };
  readonly metadata: readonly (readonly [name: string, value: CompiledText])[];
}

export interface QuotaAction {
  readonly kind: 'quota';
  readonly handler: string;
  readonly params: unknown;
  readonly counter: string;
  readonly algorithm: Algorithm;
  /** About, of a calendar's. */
  readonly perMs: number;
  readonly calendar: Calendar | undefined;
  /** `month Europe/Amsterdam`; empty without a calendar. */
  readonly zone: string;
  readonly key: readonly Compiled[];
  readonly limit: Compiled;
  /** `undefined`: 1, in `limit` calls `ratelimit.hits`. */
  readonly cost: Compiled | undefined;
  /** `undefined`: as `limit`. */
  readonly burst: Compiled | undefined;
  /** What a request is known by, so that it is charged once in a period. */
  readonly once: Compiled | undefined;
  /** Less than the cost will do. */
  readonly partial: boolean;
  /** What clients know the limit by: answers then carry RateLimit-Policy and RateLimit. */
  readonly policy: string | undefined;
  /** Whether a limit in the request (RateLimitOverride) replaces limit and per. */
  readonly override: boolean;
  /** Keys of `ratelimit.descriptor` that it reads: a descriptor without one of them is not asked. */
  readonly descriptorKeys: readonly string[];
}

export interface DenyAction {
  readonly kind: 'deny';
  readonly handler?: undefined;
  /** It refuses only what no allow rule of this group let in. The group without a name is `''`. */
  readonly unlessAllowed: string | undefined;
}

/** An allow rule may ask a handler; a check asks one. */
export interface CheckAction {
  readonly kind: 'check';
  readonly handler: string;
  readonly params: unknown;
  readonly input: InputMaker;
}
export interface AllowAction {
  readonly kind: 'allow';
  readonly group: string;
  readonly handler: string | undefined;
  readonly params: unknown;
  readonly input: InputMaker | undefined;
}

export interface ReportAction {
  readonly kind: 'report';
  readonly handler: string;
  readonly params: unknown;
  readonly input: FieldsMaker;
  readonly shape: Shape;
}

export interface EnrichAction {
  readonly kind: 'enrich';
  readonly handler: string;
  readonly params: unknown;
  readonly input: InputMaker;
  readonly outputs: readonly EnrichOutput[];
}

export type Action = DenyAction | AllowAction | CheckAction | QuotaAction | ReportAction | EnrichAction;

export interface EnrichOutput {
  /** As the adapter names it. */
  readonly name: string;
  readonly slot: number;
  /** From the adapter's JavaScript value to the attribute's; `undefined` where it is not of the declared type. */
  readonly convert: (value: unknown) => Value | undefined;
}

export type Mode =
  | { readonly kind: 'enforce' }
  | { readonly kind: 'shadow' }
  | { readonly kind: 'percent'; readonly percent: number; readonly by: Compiled | undefined };

export interface Rule {
  /** Its place in the policy: the order of all rules of all files. */
  readonly index: number;
  readonly name: string;
  readonly description: string | undefined;
  readonly position: Position;
  readonly calls: ReadonlySet<CallKind>;
  /** `undefined`: always. */
  readonly match: Compiled | undefined;
  readonly action: Action | undefined;
  readonly onAllow: Changes | undefined;
  /** The HTTP answer where it refuses: of a deny its own, of check and quota `onDeny`. */
  readonly onDeny: DenyAnswer | undefined;
  /**
   * `input` is `undefined` where a quota rule does not set it; each part then has its own default (match: as if it matched;
   * key: "absent" is a value of its own; limit, cost, burst: `deny`). All other rules have a word.
   * `local`: another handler counts while the rule's own fails; `handler` applies if that fails, too.
   */
  readonly onError: { readonly input: ErrorWord | undefined; readonly handler: ErrorWord; readonly local: boolean };
  readonly mode: Mode;
  /** Of reports; `undefined`: all. */
  readonly sample: { readonly percent: number; readonly by: Compiled | undefined } | undefined;
  /** `out.*` as this rule's texts see it: names in slot order, `reason` first. */
  readonly out: {
    readonly firstSlot: number;
    readonly names: readonly string[];
    readonly converts: readonly ((value: unknown) => Value | undefined)[];
  };
}
