/**
 * **In**: the limits that a call's descriptors came to. **Out**: a charge for each limit that is counted, further limits of a descriptor
 * right after its first; at once where the stores answer at once. **Fails**: with a ServiceError of kind `redis_error` where a store
 * cannot be asked and a limit has no policy for that but the error.
 */
import { ServiceError } from '../call.ts';
import type { RatelimitMetrics } from '../metrics/metrics.ts';
import { lookOf } from '../../counting/ask.ts';
import { boundedKey } from '../../counting/bounded-key.ts';
import { type CountedLimit, isCounted, type LimitFound } from '../walk/limit-found.ts';
import { Charge, type ChargeMade, isOfAlgorithm, isOfWindow } from './charge-made.ts';
import { andThen, both, type Done, unlessFailed } from './done.ts';
import { LocalCache } from './local-cache.ts';
import type { ChargeStore, PoolOf } from './store.ts';
import { chargeLocally, StoreCharging } from './store-charging.ts';

/** Of keys: some 100 000 windows. */
const MAX_ENDED_BYTES = 16 * 1024 * 1024;

/**
 * Whether a request that one limit refuses is charged to the others: as the reference does, as its STOP_CACHE_KEY_INCREMENT_WHEN_OVERLIMIT
 * does, never.
 */
export type ChargingMode = 'always' | 'look first' | 'all or none';

export interface ChargeSettings {
  readonly charging: ChargingMode;
  /** How many processes share a limit while it is counted locally. */
  readonly replicas: number;
}

export interface ChargingOptions {
  readonly poolOf: PoolOf;
  /** Counts while the store is away. */
  readonly local: ChargeStore;
  readonly settings: ChargeSettings;
  readonly metrics: RatelimitMetrics;
  readonly nowMs: () => number;
  /** Limits that are over in their fixed window. */
  readonly localCache: LocalCache | undefined;
}

export class Charging {
  readonly #options: ChargingOptions;
  /** Final counts of windows that have ended, by their bounded keys; kept while the next window lasts. */
  readonly #ended = new LocalCache<number>(MAX_ENDED_BYTES);
  readonly #stores: StoreCharging;

  constructor(options: ChargingOptions) {
    this.#options = options;
    this.#stores = new StoreCharging(options.poolOf);
  }

  charge(found: readonly LimitFound[], nowS: number): readonly ChargeMade[] | Promise<readonly ChargeMade[]> {
    const charges = this.#begun(found, nowS);
    const weighing = charges.some(isSliding) ? this.#weighed(charges.filter(isSliding), nowS) : undefined;
    const done = andThen(weighing, () => this.#charged(charges));
    if (done === undefined) return this.#cached(charges, nowS);
    return done.then(
      () => this.#cached(charges, nowS),
      (error: unknown) => {
        const decided = this.#withoutStore(charges, error); // a guess is not cached
        return decided === undefined ? charges : decided.then(() => charges);
      },
    );
  }

  #begun(found: readonly LimitFound[], nowS: number): readonly Charge[] {
    if (found.every(isAlone)) return found.map((one) => this.#beginning(one, nowS));
    const charges: Charge[] = [];
    for (const one of found) {
      if (!isCounted(one)) continue;
      charges.push(this.#beginning(one, nowS));
      for (const further of one.also) charges.push(this.#beginning(further, nowS));
    }
    return charges;
  }

  #beginning(found: CountedLimit, nowS: number): Charge {
    found.metrics.total_hits += found.hits;
    return new Charge(found, found.kind === 'window' && this.#options.localCache?.get(found.ask.key, nowS) === true);
  }

  /** Caches fixed windows that are over until they end; other limits may admit again at any time. */
  #cached(charges: readonly Charge[], nowS: number): readonly ChargeMade[] {
    const { localCache } = this.#options;
    if (localCache !== undefined)
      for (const { isCachedOver, isOver, found } of charges)
        if (!isCachedOver && isOver && found.kind === 'window' && found.previous === undefined)
          localCache.set(found.ask.key, true, found.endsAtS, nowS);
    return charges;
  }

  /** Subtracts the part of the previous window that a sliding limit still counts. That window's count is final, so it is read once. */
  #weighed(sliding: readonly Charge[], nowS: number): Done {
    const before = sliding.map(({ found: { previous } }) => this.#ended.get(boundedKey(previous?.key ?? ''), nowS));
    const weigh = (): void => {
      for (const [at, one] of sliding.entries()) {
        const { capacity, endsAtS, startS } = one.found;
        const counted = Math.min(capacity, before[at] ?? 0);
        one.capacity = Math.max(0, Math.floor(capacity - (counted * (endsAtS - nowS)) / (endsAtS - startS)));
      }
    };
    if (!before.includes(undefined)) {
      weigh();
      return undefined;
    }
    const looks = sliding.map(async ({ found: { previous, currentLimit, ask } }, at) => {
      if (before[at] !== undefined || previous === undefined) return;
      const { key, endsAtS } = previous;
      const [answer] = await this.#options.poolOf(currentLimit.unit).charge([{ ...lookOf(ask), key }]);
      before[at] = answer?.used ?? 0;
      this.#ended.set(boundedKey(key), before[at], endsAtS, nowS);
    });
    return Promise.all(looks).then(weigh);
  }

  /** Several limits of one descriptor are charged together, whatever the settings say of the limits of a call. */
  #charged(charges: readonly Charge[]): Done {
    if (this.#options.settings.charging === 'all or none') return this.#allOrNone(charges);
    if (!charges.some(({ found }) => found.also.length > 0)) return this.#chargedByCall(charges);
    const groups: Charge[][] = [];
    const others: Charge[] = [];
    for (let at = 0; at < charges.length;) {
      const one = charges[at] as Charge;
      const size = 1 + one.found.also.length;
      if (size > 1) groups.push(charges.slice(at, at + size));
      else others.push(one);
      at += size;
    }
    return groups.reduce((done, group) => both(done, this.#allOrNone(group)), this.#chargedByCall(others));
  }

  #chargedByCall(charges: readonly Charge[]): Done {
    return this.#options.settings.charging === 'always' ? this.#stores.add(asked(charges)) : this.#lookedFirst(charges);
  }

  /** What refuses nothing (a shadow or quota limit, the end of a lease) is charged by itself. */
  #allOrNone(charges: readonly Charge[]): Done {
    const binding = asked(charges).filter(refuses);
    return both(
      this.#stores.add(asked(charges).filter((one) => !refuses(one))),
      charges.some(isKnownToRefuse) ? this.#stores.look(binding) : this.#stores.together(binding),
    );
  }

  /** First the algorithms, which refuse without a charge; their charge is given back where a window refuses or cannot be asked. */
  #lookedFirst(charges: readonly Charge[]): Done {
    const windows = charges.filter(isOfWindow);
    if (windows.length === charges.length) return this.#lookedAtWindows(windows);
    const algorithmic = charges.filter(isOfAlgorithm);
    const binding = algorithmic.filter(refuses);
    const free = this.#stores.add(algorithmic.filter((one) => !refuses(one)));
    if (windows.some(isKnownToRefuse))
      return both(free, both(this.#stores.look(binding), this.#lookedAtWindows(windows)));
    const charged = andThen(this.#stores.together(binding), () => {
      if (binding.some(({ isOver }) => isOver)) return this.#lookedAtWindows(windows, true);
      const giveBack = (): Done => this.#stores.giveBack(binding);
      return unlessFailed(
        this.#lookedAtWindows(windows),
        () => (windows.some((one) => refuses(one) && one.isOver) ? giveBack() : undefined),
        giveBack,
      );
    });
    return both(free, charged);
  }

  /** As in the reference, what is over counts, also a shadow or quota limit; all else counts only if nothing is over. */
  #lookedAtWindows(windows: readonly Charge[], isRefusedElsewhere = false): Done {
    const some = asked(windows);
    if (isRefusedElsewhere || some !== windows) {
      for (const one of some) one.hits = 0;
      return this.#stores.add(some);
    }
    return andThen(this.#stores.look(some), () => {
      if (some.some(({ isOver }) => isOver)) for (const one of some) if (!one.isOver) one.hits = 0;
      return this.#stores.add(some);
    });
  }

  /** Applies the outage policy of each limit. One limit with the policy `error` fails the request. */
  #withoutStore(charges: readonly Charge[], error: unknown): Done {
    if (!(error instanceof ServiceError)) throw error;
    const { metrics, settings, local } = this.#options;
    metrics.service.redisError++;
    const unanswered = asked(charges);
    if (unanswered.some(({ found }) => found.outage === 'error')) throw error;
    for (const one of unanswered) {
      const { hits, capacity, found } = one;
      if (found.outage !== 'error') metrics.outages[found.outage]++;
      one.count = found.outage === 'closed' ? capacity + Math.max(1, hits) : Math.min(hits, capacity);
    }
    return chargeLocally(
      unanswered.filter(({ found }) => found.outage === 'local'),
      local,
      settings.replicas,
    );
  }
}

const isAlone = (found: LimitFound): found is CountedLimit => isCounted(found) && found.also.length === 0;
const isSliding = ({ found }: Charge): boolean => found.previous !== undefined;
/** Limits that are over in the local cache are neither asked for nor counted. */
const asked = (charges: readonly Charge[]): readonly Charge[] =>
  charges.some(({ isCachedOver }) => isCachedOver) ? charges.filter(({ isCachedOver }) => !isCachedOver) : charges;
const refuses = ({ stops, found }: Charge): boolean => stops && found.ask.kind !== 'release';
const isKnownToRefuse = (one: Charge): boolean => one.isCachedOver && one.stops;
