/**
 * Explains, inspects and resets the limit of one descriptor.
 * **In**: a domain and entries. **Out**: an object for people and programs. **Fails**: with a ServiceError where the store cannot be asked.
 */
import type { Unit } from '../call.ts';
import type { AlgorithmStores } from '../charge/algorithm-store.ts';
import { allHolders, type Holder, type Holders } from '../charge/holders.ts';
import type { CountStore } from '../charge/store.ts';
import type { AlgorithmAsk } from '../walk/asks.ts';
import { type Entries, type Explained, explained, type ExplainOptions, type Explanation } from './explanation.ts';

export interface Inspection extends Explanation {
  /** The counter, without the units that this process holds (units held by others count as spent); `undefined` without a counter. */
  readonly count: number | undefined;
  readonly heldHere: number | undefined;
  /** Processes that hold unspent units: this one as of now, others as of their last chunk. */
  readonly holders: readonly Holder[] | undefined;
  readonly remaining: number | undefined;
  readonly also?: readonly Inspection[];
}

export interface InspectionOptions extends ExplainOptions {
  readonly storeOf: (unit: Unit | undefined) => CountStore;
  readonly algorithms: AlgorithmStores;
  readonly heldOf: (key: string) => number;
  readonly holdersOf: (unit: Unit | undefined) => Holders | undefined;
  /** Drops what this thread holds and caches of a counter. */
  readonly forget: (key: string) => void;
}

export interface LimitInspector {
  explain(domain: string, entries: Entries): Explanation | Promise<Explanation>;
  inspect(domain: string, entries: Entries): Promise<Inspection>;
  /** Deletes the current counter; returns its state before. */
  reset(domain: string, entries: Entries): Promise<Inspection>;
}

/** The inspector of one thread. */
export interface ThreadLimitInspector extends LimitInspector {
  /** Drops what this thread holds and caches of a counter that another thread has reset. */
  forget(domain: string, entries: Entries): void;
}

export function limitInspector(options: InspectionOptions): ThreadLimitInspector {
  const { storeOf, algorithms, heldOf, holdersOf, forget } = options;
  const withFurther = (one: Explained): readonly Explained[] => [one, ...(one.also ?? [])];

  async function inspect(one: Explained): Promise<Inspection> {
    const inspected = await inspectLimit(one);
    return one.also === undefined ? inspected : { ...inspected, also: await Promise.all(one.also.map(inspectLimit)) };
  }

  async function inspectLimit(one: Explained): Promise<Inspection> {
    if (one.ask !== undefined) return inspectAlgorithm(one, one.ask);
    if (one.windowKey !== undefined) return inspectWindow(one, one.windowKey);
    return {
      ...one.explanation,
      count: undefined,
      heldHere: undefined,
      holders: undefined,
      remaining: undefined,
    };
  }

  async function inspectAlgorithm({ explanation, unit }: Explained, ask: AlgorithmAsk): Promise<Inspection> {
    const store = algorithms.storeOf(unit);
    const [{ remaining, resetMs } = { remaining: 0, resetMs: 0 }] = await store.charge([ask]);
    return {
      ...explanation,
      counter: await store.placeOf(ask),
      count: (explanation.limit?.burst ?? ask.limit) - remaining,
      heldHere: 0,
      holders: [],
      remaining,
      resetS: Math.ceil(resetMs / 1000),
    };
  }

  async function inspectWindow({ explanation, unit }: Explained, key: string): Promise<Inspection> {
    const holders = holdersOf(unit);
    const others = (await holders?.others(key)) ?? [];
    const [count = 0] = await storeOf(unit).look([key]); // read last: the count includes held units
    const heldHere = heldOf(key);
    return {
      ...explanation,
      count,
      heldHere,
      holders: allHolders({ who: holders?.replica ?? '', units: heldHere }, others),
      remaining: Math.max(0, (explanation.limit?.requestsPerUnit ?? 0) - count),
    };
  }

  return {
    explain(domain, entries) {
      const { explanation, also } = explained(options, domain, entries);
      return also === undefined ? explanation : { ...explanation, also: also.map((one) => one.explanation) };
    },
    inspect: (domain, entries) => inspect(explained(options, domain, entries)),
    async reset(domain, entries) {
      const one = explained(options, domain, entries);
      const before = await inspect(one);
      for (const { unit, windowKey, ask } of withFurther(one)) {
        if (ask !== undefined) await algorithms.storeOf(unit).reset([ask]);
        if (windowKey === undefined) continue;
        await storeOf(unit).reset([windowKey]);
        forget(windowKey);
      }
      return before;
    },
    forget(domain, entries) {
      for (const { windowKey } of withFurther(explained(options, domain, entries)))
        if (windowKey !== undefined) forget(windowKey);
    },
  };
}
