import type { Attributes } from '../../attributes/attributes.ts';
import { RequestBag, type Wire } from '../../attributes/bag.ts';
import type { CallKind } from '../../attributes/carrier.ts';
import type { Candidates } from '../match/candidates.ts';
import { TimeSlice } from '../../time/time-slice.ts';
import { startInSlices } from './start-in-slices.ts';
import type { Policy } from '../rules/policy.ts';
import type { LiveHandler } from '../handlers/live-handler.ts';
import type { PreparedLookup, PreparedQuota } from '../outcome.ts';
import type { Preparations } from './preparations.ts';

/** A policy in force: rules prepared, handlers open. Immutable; replaced as a whole. */
export class Snapshot {
  readonly policy: Policy;
  readonly handlers: ReadonlyMap<string, LiveHandler>;
  readonly candidates: Candidates;
  /** In rule order. */
  readonly quotas: readonly PreparedQuota[];
  /** The largest percentage of allowed calls that a rule of decision calls reports; `undefined`: there is no such rule. */
  readonly decisionPercent: number | undefined;
  /** Of `verdict.id`; `undefined`: no text of a rule reads it. */
  readonly #verdictIdSlot: number | undefined;
  readonly #enrich: Readonly<Record<CallKind, readonly PreparedLookup[]>>;
  readonly #preparations: Preparations;
  /** Slots of `ratelimit.*` attributes. */
  readonly slots: {
    readonly descriptor: number | undefined;
    readonly hits: number | undefined;
    readonly override: number | undefined;
  };
  /** Milliseconds since 1970. */
  readonly nowMs: () => number;
  #calls = 0;
  #isRetired = false;
  #whenFree: (() => void) | undefined;

  constructor(
    policy: Policy,
    handlers: ReadonlyMap<string, LiveHandler>,
    candidates: Candidates,
    quotas: readonly PreparedQuota[],
    enrich: Readonly<Record<CallKind, readonly PreparedLookup[]>>,
    preparations: Preparations,
    nowMs: () => number,
  ) {
    this.policy = policy;
    this.nowMs = nowMs;
    this.handlers = handlers;
    this.candidates = candidates;
    this.quotas = quotas;
    this.#enrich = enrich;
    this.#preparations = preparations;
    this.decisionPercent = decisionPercentOf(policy);
    this.#verdictIdSlot = policy.sendsVerdictId ? policy.attributes.slotOf('verdict.id') : undefined;
    const slotOf = (name: string): number | undefined => policy.attributes.slotOf(name);
    this.slots = {
      descriptor: slotOf('ratelimit.descriptor'),
      hits: slotOf('ratelimit.hits'),
      override: slotOf('ratelimit.override'),
    };
  }

  get attributes(): Attributes {
    return this.policy.attributes;
  }

  /** Of a request that is to be decided; `id` is that of its verdict. */
  bagOf(wire: Wire, id: string): RequestBag {
    const bag = new RequestBag(this.policy.attributes, wire);
    if (this.#verdictIdSlot !== undefined) bag.fill(this.#verdictIdSlot, id);
    return bag;
  }

  enrich(call: CallKind): readonly PreparedLookup[] {
    return this.#enrich[call];
  }

  /** Keeps the handlers open until `value` settles, if it is a promise. */
  hold<V>(value: V): V {
    if (!(value instanceof Promise)) return value;
    this.#calls++;
    return value.finally(() => this.#leave()) as V;
  }

  #leave(): void {
    this.#calls--;
    if (this.#isRetired && this.#calls === 0) this.#whenFree?.();
  }

  /** Waits for the last call, then closes the handlers that no other snapshot uses; the others forget what its rules prepared. */
  async retire(): Promise<void> {
    this.#isRetired = true;
    if (this.#calls > 0)
      await new Promise<void>((resolve) => {
        this.#whenFree = resolve;
      });
    const released = await startInSlices(this.handlers.values(), (handler) => handler.release(), new TimeSlice());
    await Promise.all([...released, this.#preparations.forget()]);
  }
}

/** A percentage with `by` depends on the call, so each is looked at. */
function decisionPercentOf({ rules, decisions }: Policy): number | undefined {
  const percentages = rules
    .filter(({ calls, action }) => calls.has('decision') && action?.kind === 'report')
    .map(({ sample }) => (sample?.keyExpression === undefined ? (sample?.percent ?? decisions.sample) : 100));
  return percentages.reduce<number | undefined>((most, percent) => Math.max(most ?? 0, percent), undefined);
}
