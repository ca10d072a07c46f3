/**
 * **In**: limits that descriptors came to, of algorithms other than windows. **Out**: what each one's counter is at after this call
 * (`after`), reckoned in hits as a window's is: beyond the limit where it is refused. **Fails**: with a ServiceError of kind `redis_error`.
 *
 * What is refused is not charged.
 */
import type { AlgorithmAnswer, AlgorithmAsk, AlgorithmStore, AlgorithmStores } from './algorithm-store.ts';
import type { Applied } from '../walk/walk.ts';
import { both, type Done, unlessFailed } from './done.ts';

export const isRefused = ({ after, ask: { limit } }: Applied): boolean => after > limit;

export class AlgorithmCharging {
  readonly #stores: AlgorithmStores;

  constructor(stores: AlgorithmStores) {
    this.#stores = stores;
  }

  /** Each for itself. */
  each(asked: readonly Applied[]): Done {
    return asked.reduce<Done>(
      (done, one) => both(done, this.#charge(this.#stores.storeOf(one.unit), [one])),
      undefined,
    );
  }

  /** All, or none where one is refused, or cannot be asked about. */
  together(asked: readonly Applied[]): Done {
    const groups = [...Map.groupBy(asked, ({ unit }) => this.#stores.storeOf(unit))];
    const charged: Applied[] = [];
    const next = (): Done => {
      const [store, group] = groups.shift() ?? [];
      if (store === undefined || group === undefined) return undefined;
      const settle = (): Done => {
        if (group.some(isRefused)) return this.giveBack(charged);
        charged.push(...group);
        return next();
      };
      return unlessFailed(this.#charge(store, group), settle, () => this.giveBack(charged));
    };
    return next();
  }

  /** What each would be at. */
  look(asked: readonly Applied[]): Done {
    return asked.reduce<Done>(
      (done, one) => both(done, this.#charge(this.#stores.storeOf(one.unit), [one], lookAt, one.hits)),
      undefined,
    );
  }

  /** What was charged of them. Where it cannot be said, they are out of the way when their period is over. */
  giveBack(charged: readonly Applied[]): Done {
    return charged.reduce<Done>((done, { unit, algorithm, hits }) => {
      if (algorithm === undefined || hits === 0) return done;
      const back =
        algorithm.algorithm === 'concurrency' && algorithm.holder !== undefined
          ? { ...algorithm, hits: 0, isEnd: true }
          : { ...algorithm, hits: -hits };
      const told = this.#stores.storeOf(unit).charge([back]);
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
  locally(asked: readonly Applied[], replicas: number): Done {
    const share = (ask: AlgorithmAsk): AlgorithmAsk => ({
      ...ask,
      limit: Math.ceil(ask.limit / replicas),
      burst: Math.ceil(ask.burst / replicas),
    });
    return asked.reduce<Done>((done, one) => both(done, this.#charge(this.#stores.local, [one], share)), undefined);
  }

  /** `more`: hits that were not asked, and yet are reckoned with. */
  #charge(
    store: AlgorithmStore,
    asked: readonly Applied[],
    as: (ask: AlgorithmAsk) => AlgorithmAsk = (ask) => ask,
    more = 0,
  ): Done {
    const told = store.charge(asked.flatMap(({ algorithm }) => (algorithm === undefined ? [] : [as(algorithm)])));
    if (told instanceof Promise) return told.then((answers) => take(asked, answers, more));
    take(asked, told, more);
    return undefined;
  }
}

/** Whoever has a lease already is not asked about. */
export const lookAt = (ask: AlgorithmAsk): AlgorithmAsk => ({ ...ask, hits: 0, holder: undefined, isEnd: false });

/** Where one of several is refused, the others were not charged: they say what they would be at. */
function take(asked: readonly Applied[], answers: readonly AlgorithmAnswer[], more: number): void {
  const isAnyRefused = answers.some(({ isGranted }) => !isGranted);
  for (const [at, one] of asked.entries()) {
    const { isGranted, remaining, resetMs } = answers[at] as AlgorithmAnswer;
    const { limit, hits } = one.ask;
    const left = Math.min(remaining, limit);
    one.resetS = Math.ceil(resetMs / 1000);
    one.after = !isGranted
      ? limit + Math.max(1, hits)
      : isAnyRefused
        ? Math.min(limit, limit - left + hits)
        : limit - left + more;
  }
}
