/**
 * A loaded rule: typed, compiled, read-only. Written by `core/rules`, read by match, dispatch and verdict.
 */
import type { Calendar } from '../../counting/calendar.ts';
import type { Position } from '../../yaml/source-text.ts';
import type { Bag } from '../../attributes/bag.ts';
import type { RuleCall } from '../../attributes/carrier.ts';
import type { Algorithm, Shape } from '../../adapters/contract.ts';
import type { Value } from '../../attributes/values.ts';
import type { ErrorWord } from '../actions.ts';
import type { Compiled, CompiledText } from '../../expression/index.ts';

/** Evaluates an adapter's input in a bag: all parts or, if one failed, the reason. */
export type InputMaker = (
  bag: Bag,
) =>
  | { readonly ok: true; readonly values: Readonly<Record<string, unknown>> }
  | { readonly ok: false; readonly why: string };

/** Evaluates the fields of a report; a failed field is null and named in `failed`. */
export type FieldsMaker = (bag: Bag) => {
  readonly values: Readonly<Record<string, unknown>>;
  readonly failed: readonly string[];
};

/** The HTTP answer of a denial. */
export interface DenyAnswer {
  /** `undefined`: from the handler's gRPC code, or 429 for a quota. */
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
  /** Approximate for calendar periods. */
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
  /** Idempotency key: a request is charged once per period. */
  readonly once: Compiled | undefined;
  /** Best effort: charges what is left if that is less than the cost. */
  readonly partial: boolean;
  /** Name of the limit in the headers RateLimit-Policy and RateLimit; `undefined`: not advertised. */
  readonly policy: string | undefined;
  /** Whether a limit in the request (RateLimitOverride) replaces limit and per. */
  readonly override: boolean;
  /** Keys of `ratelimit.descriptor` that it reads; a descriptor without one of them is skipped. */
  readonly descriptorKeys: readonly string[];
}

export interface DenyAction {
  readonly kind: 'deny';
  readonly handler?: undefined;
  /** Refuses only calls that no allow rule of this group allowed. The unnamed group is `''`. */
  readonly unlessAllowed: string | undefined;
}

/** An allow rule may ask a handler; a check asks one. */
export interface CheckAction {
  readonly kind: 'check';
  readonly handler: string;
  readonly params: unknown;
  readonly input: InputMaker;
  /** The expressions of `input`, to find the attributes that a rule reads. */
  readonly inputs: readonly Compiled[];
  /** Of its handler. */
  readonly output: Shape;
}
export interface AllowAction {
  readonly kind: 'allow';
  readonly group: string;
  readonly handler: string | undefined;
  readonly params: unknown;
  readonly input: InputMaker | undefined;
  readonly inputs: readonly Compiled[];
  readonly output: Shape;
}

export interface ReportAction {
  readonly kind: 'report';
  readonly handler: string;
  readonly params: unknown;
  readonly input: FieldsMaker;
  readonly inputs: readonly Compiled[];
  readonly shape: Shape;
  /** Names of inputs that read a secret in the clear. */
  readonly reveals: readonly string[];
  /** Names of params that are secret. */
  readonly secretParams: readonly string[];
}

export interface EnrichAction {
  readonly kind: 'enrich';
  readonly handler: string;
  readonly params: unknown;
  readonly input: InputMaker;
  readonly inputs: readonly Compiled[];
  readonly outputs: readonly EnrichOutput[];
}

export type Action = DenyAction | AllowAction | CheckAction | QuotaAction | ReportAction | EnrichAction;

export interface EnrichOutput {
  /** As the adapter names it. */
  readonly name: string;
  readonly slot: number;
  /** Converts the adapter's value; `undefined` if it is not of the declared type. */
  readonly convert: (value: unknown) => Value | undefined;
}

export type Mode =
  | { readonly kind: 'enforce' }
  | { readonly kind: 'shadow' }
  | { readonly kind: 'percent'; readonly percent: number; readonly keyExpression: Compiled | undefined };

export interface Rule {
  /** Position among all rules of all files. */
  readonly index: number;
  readonly name: string;
  readonly description: string | undefined;
  readonly position: Position;
  readonly calls: ReadonlySet<RuleCall>;
  /** `undefined`: always. */
  readonly match: Compiled | undefined;
  readonly action: Action | undefined;
  readonly onAllow: Changes | undefined;
  /** The HTTP answer of a refusal: a deny's own, or `onDeny` of check and quota. */
  readonly onDeny: DenyAnswer | undefined;
  /**
   * `input` is `undefined` if a quota rule does not set it; each part then has its own default (match: as if it matched;
   * key: "absent" is a value of its own; limit, cost, burst: `deny`). All other rules have a word.
   * `local`: another handler counts while the rule's own fails; `handler` applies if that fails, too.
   */
  readonly onError: { readonly input: ErrorWord | undefined; readonly handler: ErrorWord; readonly local: boolean };
  readonly mode: Mode;
  /** Sampling of reports; `undefined`: all are written. */
  readonly sample: { readonly percent: number; readonly keyExpression: Compiled | undefined } | undefined;
  /** `out.*` as this rule's texts see it: names in slot order, `reason` first. */
  readonly out: {
    readonly firstSlot: number;
    readonly names: readonly string[];
    readonly converts: readonly ((value: unknown) => Value | undefined)[];
  };
}

/** Fields of its reports that may have a secret in the clear. */
export const revealedBy = ({ action }: Rule): readonly string[] => (action?.kind === 'report' ? action.reveals : []);

/** How many headers, parameters and metadata it adds to one answer. */
export const addedBy = ({ request, response, query, metadata }: Changes): number =>
  headersAddedBy(request) + headersAddedBy(response) + query.set.length + metadata.length;

/** Values appended to a header that the rule sets or removes are joined into one header, except for set-cookie. */
function headersAddedBy({ set, append, remove }: HeaderChanges): number {
  const setNames = new Set(set.map(([name]) => name));
  const replaced = new Set([...setNames, ...remove]);
  const apart = append.filter(([name]) => name === 'set-cookie' || !replaced.has(name));
  const joined = append.filter(([name]) => name !== 'set-cookie' && replaced.has(name) && !setNames.has(name));
  return set.length + apart.length + new Set(joined.map(([name]) => name)).size;
}

/** The texts that its refusal or its changes render. */
export function textsOf({ onAllow, onDeny }: Pick<Rule, 'onAllow' | 'onDeny'>): CompiledText[] {
  const pairs = [...(onDeny?.headers ?? [])];
  if (onAllow !== undefined)
    for (const { set, append } of [onAllow.request, onAllow.response, { ...onAllow.query, append: [] }])
      pairs.push(...set, ...append);
  const texts = [...pairs, ...(onAllow?.metadata ?? [])].map(([, text]) => text);
  return onDeny?.body === undefined ? texts : [...texts, onDeny.body];
}
