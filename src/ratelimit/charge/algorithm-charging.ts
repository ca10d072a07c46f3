/**
 * **In**: charges of limits whose algorithm has no windows. **Out**: their counts, in hits as a window's: beyond the capacity where the
 * limit refuses. **Fails**: with a ServiceError of kind `redis_error`.
 *
 * What is refused is not charged.
 */
import { giveBackOf, lookOf } from '../../counting/ask.ts';
import type { AlgorithmCharge } from './charge-made.ts';
import { both, type Done, settled, unlessFailed } from './done.ts';
import type { ChargeStore, CounterAnswer, CounterAsk, PoolOf } from './store.ts';

export class AlgorithmCharging {
  readonly #poolOf: PoolOf;
  readonly #local: ChargeStore;

  constructor(poolOf: PoolOf, local: ChargeStore) {
    this.#poolOf = poolOf;
    this.#local = local;
  }

  /** Each for itself. */
  each(asked: readonly AlgorithmCharge[]): Done {
    return asked.reduce<Done>((done, one) => both(done, this.#charge(this.#storeOf(one), [one])), undefined);
  }

  /** All, or none where one is refused, or cannot be asked about. */
  together(asked: readonly AlgorithmCharge[]): Done {
    const groups = [...Map.groupBy(asked, (one) => this.#storeOf(one))];
    const charged: AlgorithmCharge[] = [];
    const next = (): Done => {
      const [store, group] = groups.shift() ?? [];
      if (store === undefined || group === undefined) return undefined;
      const settle = (): Done => {
        if (group.some(({ isOver }) => isOver)) return this.giveBack(charged);
        charged.push(...group);
        return next();
      };
      return unlessFailed(this.#charge(store, group), settle, () => this.giveBack(charged));
    };
    return next();
  }

  /** What each would be at. */
  look(asked: readonly AlgorithmCharge[]): Done {
    return asked.reduce<Done>(
      (done, one) => both(done, this.#charge(this.#storeOf(one), [one], lookOf, one.found.hits)),
      undefined,
    );
  }

  /** What was charged of them. Where it cannot be said, they are out of the way when their period is over. */
  giveBack(charged: readonly AlgorithmCharge[]): Done {
    return charged.reduce<Done>((done, one) => {
      const { ask, hits } = one.found;
      if (hits === 0) return done;
      const back: CounterAsk =
        ask.bucket.algorithm === 'concurrency' && ask.idempotencyKey !== undefined
          ? { ...ask, kind: 'release' }
          : giveBackOf(ask, hits);
      return both(done, settled(this.#storeOf(one).charge([back])));
    }, undefined);
  }

  /** Counts in this process, up to a share of each limit. */
  locally(asked: readonly AlgorithmCharge[], replicas: number): Done {
    const share = (ask: CounterAsk): CounterAsk => ({
      ...ask,
      limit: Math.ceil(ask.limit / replicas),
      burst: Math.ceil(ask.burst / replicas),
    });
    return asked.reduce<Done>((done, one) => both(done, this.#charge(this.#local, [one], share)), undefined);
  }

  #storeOf({ found }: AlgorithmCharge): ChargeStore {
    return this.#poolOf(found.currentLimit.unit).store;
  }

  /** `more`: hits that were not asked, and yet are reckoned with. */
  #charge(
    store: ChargeStore,
    asked: readonly AlgorithmCharge[],
    as: (ask: CounterAsk) => CounterAsk = (ask) => ask,
    more = 0,
  ): Done {
    const answers = store.charge(asked.map(({ found }) => as(found.ask)));
    if (answers instanceof Promise) return answers.then((late) => take(asked, late, more));
    take(asked, answers, more);
    return undefined;
  }
}

/** Where one of several is refused, the others were not charged: they say what they would be at. */
function take(asked: readonly AlgorithmCharge[], answers: readonly CounterAnswer[], more: number): void {
  const isAnyRefused = answers.some(({ granted }) => !granted);
  for (const [at, one] of asked.entries()) {
    const { granted, remaining, resetMs } = answers[at] as CounterAnswer;
    const { capacity, hits } = one;
    const left = Math.min(remaining, capacity);
    one.resetS = Math.ceil(resetMs / 1000);
    one.count = !granted
      ? capacity + Math.max(1, hits)
      : isAnyRefused
        ? Math.min(capacity, capacity - left + hits)
        : capacity - left + more;
  }
}
