/**
 * Asks the stores.
 * **In**: charges of windows, and of algorithms without them. **Out**: their counts; at once where the stores answer at once. **Fails**:
 * with a ServiceError of kind `redis_error`.
 */
import { asSpend, giveBackOf, lookOf } from '../../counting/ask.ts';
import { askOf, type Charge, isOfAlgorithm, isOfWindow } from './charge-made.ts';
import { both, type Done, settled, unlessFailed } from './done.ts';
import type { ChargeStore, CounterAnswer, CounterAsk, PoolOf } from './store.ts';

export class StoreCharging {
  readonly #poolOf: PoolOf;

  constructor(poolOf: PoolOf) {
    this.#poolOf = poolOf;
  }

  /** Each for itself. Hits of a window count beyond its limit, too; an algorithm refuses them without a charge. */
  add(charges: readonly Charge[]): Done {
    return this.#each(charges, ADD);
  }

  /** What each would be at. */
  look(charges: readonly Charge[]): Done {
    return this.#each(charges, LOOK);
  }

  /**
   * All, or none where one is refused or a store cannot be asked: store by store, in each first the algorithms, since escrow is for windows
   * alone. What was charged is given back when one of the next is refused.
   */
  together(charges: readonly Charge[]): Done {
    const groups = [charges.filter(isOfAlgorithm), charges.filter(isOfWindow)].flatMap((some) => [
      ...Map.groupBy<ChargeStore, Charge>(some, (one) => this.#storeOf(one)),
    ]);
    const charged: Charge[] = [];
    const next = (): Done => {
      const [store, group] = groups.shift() ?? [];
      if (store === undefined || group === undefined) return undefined;
      return unlessFailed(
        ask(store, group, SPEND),
        () => {
          if (group.some(({ isOver }) => isOver))
            return both(this.giveBack(charged), this.look(groups.flatMap(([, others]) => others)));
          charged.push(...group);
          return next();
        },
        () => this.giveBack(charged),
      );
    };
    return next();
  }

  /** Units that cannot be given back are lost: less is admitted, until their window or period is over. */
  giveBack(charged: readonly Charge[]): Done {
    return charged.reduce<Done>((done, one) => {
      const { hits, found } = one;
      if (hits === 0) return done;
      const back: CounterAsk =
        found.ask.bucket.algorithm === 'concurrency' && found.ask.idempotencyKey !== undefined
          ? { ...found.ask, kind: 'release' }
          : giveBackOf(found.ask, hits);
      return both(done, settled(this.#storeOf(one).charge([back])));
    }, undefined);
  }

  /** Windows of one store are asked in one write; a store would charge all algorithms of a call or none, so each is asked alone. */
  #each(charges: readonly Charge[], how: How): Done {
    const [first] = charges;
    if (first === undefined) return undefined;
    const store = this.#storeOf(first);
    if (charges.length === 1) return ask(store, charges, how);
    const isWithFirst = (one: Charge): boolean =>
      one === first || (isOfWindow(first) && isOfWindow(one) && this.#storeOf(one) === store);
    if (charges.every(isWithFirst)) return ask(store, charges, how);
    return both(
      ask(store, charges.filter(isWithFirst), how),
      this.#each(
        charges.filter((one) => !isWithFirst(one)),
        how,
      ),
    );
  }

  #storeOf({ found }: Charge): ChargeStore {
    return this.#poolOf(found.currentLimit.unit);
  }
}

/** Counts in this process, up to a share of each limit. */
export function chargeLocally(charges: readonly Charge[], local: ChargeStore, replicas: number): Done {
  const share: How = {
    ask(one) {
      const whole = askOf(one);
      return { ...whole, limit: Math.ceil(whole.limit / replicas), burst: Math.ceil(whole.burst / replicas) };
    },
    count(one, answer, isAnyRefused) {
      if (!isOfWindow(one)) return SPEND.count(one, answer, isAnyRefused);
      return (answer.used ?? 0) > answer.limit ? one.capacity + one.hits : one.capacity - answer.remaining;
    },
  };
  return both(ask(local, charges.filter(isOfAlgorithm), share), ask(local, charges.filter(isOfWindow), share));
}

function ask(store: ChargeStore, charges: readonly Charge[], how: How): Done {
  if (charges.length === 0) return undefined;
  let answers: ReturnType<ChargeStore['charge']>;
  try {
    const asks = charges.map(how.ask);
    answers = how === ADD && store.spendEach !== undefined ? store.spendEach(asks) : store.charge(asks);
  } catch (error) {
    return Promise.reject(error as Error); // memory is full; answered as if Redis were away
  }
  if (answers instanceof Promise) return answers.then((late) => take(charges, late, how));
  take(charges, answers, how);
  return undefined;
}

function take(charges: readonly Charge[], answers: readonly CounterAnswer[], how: How): void {
  const isAnyRefused = how !== ADD && answers.some(({ granted }) => !granted);
  for (let at = 0; at < charges.length; at++) {
    const one = charges[at] as Charge;
    const answer = answers[at] as CounterAnswer;
    one.count = how.count(one, answer, isAnyRefused);
    if (isOfAlgorithm(one)) one.resetS = Math.ceil(answer.resetMs / 1000);
  }
}

/** How counters are asked, and what an answer says of the count. */
interface How {
  ask(this: void, charge: Charge): CounterAsk;
  count(one: Charge, answer: CounterAnswer, isAnyRefused: boolean): number;
}

const ADD: How = {
  ask: askOf,
  count: (one, answer) => (answer.granted ? usedOf(one, answer) : refusedCount(one)), // escrow refuses windows, uncharged
};

/** With the hits of the walk, also where this call charges none. */
const LOOK: How = {
  ask: (one) => lookOf(askOf(one)),
  count: (one, answer) =>
    answer.granted || isOfWindow(one) ? usedOf(one, answer) + one.found.hits : refusedCount(one),
};

/** Where one is refused, none was charged: each is what it would be at. */
const SPEND: How = {
  ask: (one) => asSpend(askOf(one)),
  count(one, answer, isAnyRefused) {
    if (!answer.granted && isOfAlgorithm(one)) return refusedCount(one);
    const wouldBe = usedOf(one, answer) + (isAnyRefused ? one.hits : 0);
    return answer.granted ? Math.min(one.capacity, wouldBe) : wouldBe;
  },
};

const refusedCount = ({ capacity, hits }: Charge): number => capacity + Math.max(1, hits);

/** An algorithm says only what is left. */
const usedOf = (one: Charge, { used = 0, remaining }: CounterAnswer): number =>
  isOfWindow(one) ? used : one.capacity - Math.min(remaining, one.capacity);
