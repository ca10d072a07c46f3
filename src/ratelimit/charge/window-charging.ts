/**
 * **In**: charges of limits that count by windows. **Out**: their counts; at once where the stores answer at once. **Fails**: with a
 * ServiceError of kind `redis_error`.
 */
import { giveBackOf } from '../../counting/ask.ts';
import type { CountedLimit } from '../walk/limit-found.ts';
import { askOf, type Charge, lookAskOf, spendAskOf, type WindowCharge } from './charge-made.ts';
import { andThen, both, type Done, settled, unlessFailed } from './done.ts';
import type { ChargeStore, CounterAnswer, CounterAsk, PoolOf } from './store.ts';

/** Whether a request that one limit refuses is charged to the others: as the reference does, as its STOP_CACHE_KEY_INCREMENT_WHEN_OVERLIMIT does, never. */
export type ChargingMode = 'always' | 'look first' | 'all or none';

export class WindowCharging {
  readonly #poolOf: PoolOf;

  constructor(poolOf: PoolOf) {
    this.#poolOf = poolOf;
  }

  /** Limits that are over in the local cache are neither asked for nor counted. `isRefusedElsewhere`: by a limit of an algorithm. */
  charge(windows: readonly WindowCharge[], charging: ChargingMode, isRefusedElsewhere = false): Done {
    const asked = windows.some(({ isCachedOver }) => isCachedOver)
      ? windows.filter(({ isCachedOver }) => !isCachedOver)
      : windows;
    if (asked.length === 0) return undefined;
    const isStopped =
      isRefusedElsewhere ||
      (asked !== windows && (charging === 'look first' || windows.some((one) => one.isCachedOver && one.stops)));
    switch (charging) {
      case 'always':
        return this.#ask(asked, add);
      case 'all or none':
        if (isStopped) return this.#ask(asked, look);
        // A limit that refuses nothing (shadow, quota) is charged by itself.
        return both(
          this.#addAllOrNone(asked.filter(({ stops }) => stops)),
          this.#ask(
            asked.filter(({ stops }) => !stops),
            add,
          ),
        );
      case 'look first': {
        if (isStopped) {
          for (const one of asked) one.hits = 0;
          return this.#ask(asked, add);
        }
        return andThen(this.#ask(asked, look), () => {
          // As in the reference, a shadow or quota limit that is over counts, too.
          if (asked.some(({ isOver }) => isOver)) for (const one of asked) if (!one.isOver) one.hits = 0;
          return this.#ask(asked, add);
        });
      }
    }
  }

  /** With two stores, the charge of one is given back when the other refuses. */
  #addAllOrNone(asked: readonly WindowCharge[]): Done {
    const groups = [...Map.groupBy(asked, ({ found }) => this.#storeOf(found)).values()];
    const charged: WindowCharge[] = [];
    /** Units that cannot be given back are lost: the window admits less. */
    const giveBack = (): Done =>
      charged.reduce<Done>(
        (done, { found, hits }) =>
          hits > 0 ? both(done, settled(this.#storeOf(found).charge([giveBackOf(found.ask, hits)]))) : done,
        undefined,
      );
    const next = (): Done => {
      const group = groups.shift();
      if (group === undefined) return undefined;
      return unlessFailed(
        this.#ask(group, spend),
        () => {
          if (group.some(({ isOver }) => isOver)) return both(giveBack(), this.#ask(groups.flat(), look));
          charged.push(...group);
          return next();
        },
        giveBack,
      );
    };
    return next();
  }

  #storeOf({ currentLimit: { unit } }: CountedLimit): ChargeStore {
    return this.#poolOf(unit).store;
  }

  #ask(asked: readonly WindowCharge[], how: How): Done {
    const [first] = asked;
    if (first === undefined) return undefined;
    const store = this.#storeOf(first.found);
    if (asked.some(({ found }) => this.#storeOf(found) !== store))
      return both(
        this.#ask(
          asked.filter(({ found }) => this.#storeOf(found) === store),
          how,
        ),
        this.#ask(
          asked.filter(({ found }) => this.#storeOf(found) !== store),
          how,
        ),
      );
    let answers: ReturnType<ChargeStore['charge']>;
    try {
      const asks = asked.map(how.ask);
      answers = how === add && store.spendEach !== undefined ? store.spendEach(asks) : store.charge(asks);
    } catch (error) {
      return Promise.reject(error as Error); // memory is full; answered as if Redis were away
    }
    if (answers instanceof Promise) return answers.then((late) => how.take(asked, late));
    how.take(asked, answers);
    return undefined;
  }
}

/** How windows are charged: the ask, and what an answer says of the count. */
interface How {
  readonly ask: (charge: WindowCharge) => CounterAsk;
  readonly take: (asked: readonly WindowCharge[], answers: readonly CounterAnswer[]) => void;
}

const add: How = {
  ask: askOf,
  take(asked, answers) {
    for (let at = 0; at < asked.length; at++) {
      const one = asked[at] as Charge;
      const { granted, used = 0 } = answers[at] as CounterAnswer;
      one.count = granted ? used : one.capacity + Math.max(1, one.hits); // escrow refuses, uncharged
    }
  },
};

/** Each for itself is what it would be at; with the hits of the walk, also where this call charges none. */
const look: How = {
  ask: lookAskOf,
  take(asked, answers) {
    for (const [at, one] of asked.entries()) one.count = (answers[at]?.used ?? 0) + one.found.hits;
  },
};

/** Where one is refused, none was charged: each is what it would be at. */
const spend: How = {
  ask: spendAskOf,
  take(asked, answers) {
    const isRefused = answers.some(({ granted }) => !granted);
    for (const [at, one] of asked.entries()) one.count = (answers[at]?.used ?? 0) + (isRefused ? one.hits : 0);
  },
};
