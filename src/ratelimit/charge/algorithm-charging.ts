/**
 * **In**: charges of limits whose algorithm has no windows. **Out**: their counts, in hits as a window's: beyond the capacity where the
 * limit refuses. **Fails**: with a ServiceError of kind `redis_error`.
 *
 * What is refused is not charged.
 */
import type { AlgorithmAsk } from '../walk/asks.ts';
import type { AlgorithmAnswer, AlgorithmStore, AlgorithmStores } from './algorithm-store.ts';
import type { AlgorithmCharge } from './charge-made.ts';
import { both, type Done, unlessFailed } from './done.ts';

export class AlgorithmCharging {
  readonly #stores: AlgorithmStores;

  constructor(stores: AlgorithmStores) {
    this.#stores = stores;
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
      (done, one) => both(done, this.#charge(this.#storeOf(one), [one], lookAt, one.found.hits)),
      undefined,
    );
  }

  /** What was charged of them. Where it cannot be said, they are out of the way when their period is over. */
  giveBack(charged: readonly AlgorithmCharge[]): Done {
    return charged.reduce<Done>((done, one) => {
      const { ask, hits } = one.found;
      if (hits === 0) return done;
      const back =
        ask.algorithm === 'concurrency' && ask.holder !== undefined
          ? { ...ask, hits: 0, isEnd: true }
          : { ...ask, hits: -hits };
      const told = this.#storeOf(one).charge([back]);
      return told instanceof Promise
        ? both(
            done,
            told.then(
              () => undefined,
              () => undefined,
            ),
          )
        : done;
    }, undefined);
  }

  /** Counts in this process, up to a share of each limit. */
  locally(asked: readonly AlgorithmCharge[], replicas: number): Done {
    const share = (ask: AlgorithmAsk): AlgorithmAsk => ({
      ...ask,
      limit: Math.ceil(ask.limit / replicas),
      burst: Math.ceil(ask.burst / replicas),
    });
    return asked.reduce<Done>((done, one) => both(done, this.#charge(this.#stores.local, [one], share)), undefined);
  }

  #storeOf({ found }: AlgorithmCharge): AlgorithmStore {
    return this.#stores.storeOf(found.currentLimit.unit);
  }

  /** `more`: hits that were not asked, and yet are reckoned with. */
  #charge(
    store: AlgorithmStore,
    asked: readonly AlgorithmCharge[],
    as: (ask: AlgorithmAsk) => AlgorithmAsk = (ask) => ask,
    more = 0,
  ): Done {
    const told = store.charge(asked.map(({ found }) => as(found.ask)));
    if (told instanceof Promise) return told.then((answers) => take(asked, answers, more));
    take(asked, told, more);
    return undefined;
  }
}

/** Whoever has a lease already is not asked about. */
export const lookAt = (ask: AlgorithmAsk): AlgorithmAsk => ({ ...ask, hits: 0, holder: undefined, isEnd: false });

/** Where one of several is refused, the others were not charged: they say what they would be at. */
function take(asked: readonly AlgorithmCharge[], answers: readonly AlgorithmAnswer[], more: number): void {
  const isAnyRefused = answers.some(({ isGranted }) => !isGranted);
  for (const [at, one] of asked.entries()) {
    const { isGranted, remaining, resetMs } = answers[at] as AlgorithmAnswer;
    const { capacity, hits } = one;
    const left = Math.min(remaining, capacity);
    one.resetS = Math.ceil(resetMs / 1000);
    one.count = !isGranted
      ? capacity + Math.max(1, hits)
      : isAnyRefused
        ? Math.min(capacity, capacity - left + hits)
        : capacity - left + more;
  }
}
