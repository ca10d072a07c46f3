/**
 * Explains, inspects and resets the limit of one descriptor.
 * **In**: a domain and entries. **Out**: an object for people and programs. **Fails**: with a ServiceError if the store is unavailable.
 */
import type { LeasePage, QuotaPlace } from '../../adapters/contract.ts';
import { allHolders, type Holder } from '../../counting/store.ts';
import type { CounterAsk, PoolOf } from '../charge/store.ts';
import { type AskedLimit, type Explained, explained, type ExplainOptions, type Explanation } from './explanation.ts';

export interface Inspection extends Explanation, Pick<QuotaPlace, 'leases' | 'leaseCount'> {
  /** The counter, without the units that this process holds (units held by others count as spent); `undefined` without a counter. */
  readonly count: number | undefined;
  readonly heldHere: number | undefined;
  /** Processes that hold unspent units: this one now, others as of their last chunk. */
  readonly holders: readonly Holder[] | undefined;
  readonly remaining: number | undefined;
  readonly also?: readonly Inspection[];
}

export interface InspectionOptions extends ExplainOptions {
  readonly poolOf: PoolOf;
  /** Name of this process among the holders. */
  readonly replica: string;
  /** Drops this thread's cache of a counter. */
  readonly forget: (ask: CounterAsk) => void;
}

export interface LimitInspector {
  explain(asked: AskedLimit): Explanation | Promise<Explanation>;
  inspect(asked: AskedLimit & { readonly leases?: LeasePage | undefined }): Promise<Inspection>;
  /** Deletes the current counter; returns its state before. */
  reset(asked: AskedLimit): Promise<Inspection>;
}

/** The inspector of one thread. */
export interface ThreadLimitInspector extends LimitInspector {
  /** Drops this thread's leases and cache of a counter that another thread has reset. */
  forget(asked: AskedLimit): void;
}

export function limitInspector(options: InspectionOptions): ThreadLimitInspector {
  const { poolOf, replica, forget } = options;
  const withFurther = (one: Explained): readonly Explained[] => [one, ...(one.also ?? [])];

  async function inspect(one: Explained, leases?: LeasePage): Promise<Inspection> {
    const inspected = await inspectLimit(one, leases);
    const further = await Promise.all((one.also ?? []).map(async (another) => inspectLimit(another, leases)));
    return one.also === undefined ? inspected : { ...inspected, also: further };
  }

  async function inspectLimit({ explanation, unit, ask }: Explained, page?: LeasePage): Promise<Inspection> {
    if (ask === undefined)
      return { ...explanation, count: undefined, heldHere: undefined, holders: undefined, remaining: undefined };
    const pool = poolOf(unit);
    const [{ counter = explanation.counter, holders = [], ...leases } = {}] = await pool.look([ask], page);
    const [answer] = await pool.charge([ask]); // read last: the count includes held units
    const { used = 0, remaining = 0, resetMs = 0, held: heldHere = 0 } = answer ?? {};
    const others = holders.filter(({ who }) => who !== replica);
    return {
      ...explanation,
      ...leases,
      counter,
      heldHere,
      holders: allHolders({ who: replica, units: heldHere }, others),
      remaining,
      ...(ask.bucket.algorithm === 'window'
        ? { count: used }
        : { count: (explanation.limit?.burst ?? ask.limit) - remaining, resetS: Math.ceil(resetMs / 1000) }),
    };
  }

  function forgetAll(one: Explained): void {
    for (const { unit, ask } of withFurther(one)) {
      if (ask === undefined) continue;
      poolOf(unit).dropHeld?.(ask);
      forget(ask);
    }
  }

  return {
    explain(asked) {
      const { explanation, also } = explained(options, asked);
      return also === undefined ? explanation : { ...explanation, also: also.map((one) => one.explanation) };
    },
    inspect: async (asked) => inspect(explained(options, asked), asked.leases),
    async reset(asked) {
      const one = explained(options, asked);
      const before = await inspect(one);
      for (const { unit, ask } of withFurther(one)) if (ask !== undefined) await poolOf(unit).reset([ask]);
      forgetAll(one);
      return before;
    },
    forget: (asked) => forgetAll(explained(options, asked)),
  };
}
