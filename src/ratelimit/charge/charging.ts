/**
 * **In**: the limits that a call's descriptors came to. **Out**: a charge for each limit that is counted, further limits of a descriptor
 * right after its first; at once where the stores answer at once. **Fails**: with a ServiceError of kind `redis_error` where a store
 * cannot be asked and a limit has no policy for that but the error.
 */
import { ServiceError } from '../call.ts';
import type { RatelimitMetrics } from '../metrics/metrics.ts';
import { lookOf } from '../../counting/ask.ts';
import { type CountedLimit, isCounted, type LimitFound } from '../walk/limit-found.ts';
import { AlgorithmCharging } from './algorithm-charging.ts';
import {
  type AlgorithmCharge,
  askOf,
  Charge,
  type ChargeMade,
  isOfAlgorithm,
  isOfWindow,
  lookAskOf,
  spendAskOf,
  type WindowCharge,
} from './charge-made.ts';
import { andThen, both, type Done, unlessFailed } from './done.ts';
import { EndedWindows } from './ended-windows.ts';
import type { LocalCache } from './local-cache.ts';
import type { ChargeStore, CounterAnswer, CounterAsk, PoolOf } from './store.ts';

export interface ChargeSettings {
  /** Whether a request that one limit refuses is charged to the others: as the reference does, as its STOP_CACHE_KEY_INCREMENT_WHEN_OVERLIMIT does, never. */
  readonly charging: 'always' | 'unless seen over' | 'all or none';
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
  readonly #ended: EndedWindows;
  readonly #algorithms: AlgorithmCharging;

  constructor(options: ChargingOptions) {
    this.#options = options;
    this.#ended = new EndedWindows(options.nowMs);
    this.#algorithms = new AlgorithmCharging(options.poolOf, options.local);
  }

  charge(found: readonly LimitFound[], nowS: number): readonly ChargeMade[] | Promise<readonly ChargeMade[]> {
    const charges = this.#begun(found, nowS);
    const weighing = charges.some(isSliding)
      ? this.#weighed(charges.filter(isOfWindow).filter(isSliding), nowS)
      : undefined;
    const done = andThen(weighing, () => this.#charged(charges));
    if (done === undefined) return this.#cached(charges);
    return done.then(
      () => this.#cached(charges),
      (error: unknown) => {
        const decided = this.#withoutStore(charges, error); // what is not known to be over is not remembered
        return decided === undefined ? charges : decided.then(() => charges);
      },
    );
  }

  #begun(found: readonly LimitFound[], nowS: number): readonly Charge[] {
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
    return new Charge(found, found.kind === 'window' && this.#options.localCache?.isOver(found.ask.key, nowS) === true);
  }

  /** Remembers what is over until its window ends; a limit that grows as time goes on is never over for the rest of it. */
  #cached(charges: readonly Charge[]): readonly ChargeMade[] {
    const { localCache } = this.#options;
    if (localCache !== undefined)
      for (const { isCachedOver, isOver, found } of charges)
        if (!isCachedOver && isOver && found.kind === 'window' && found.previous === undefined)
          localCache.markOver(found.ask.key, found.endsAtS);
    return charges;
  }

  /** Takes off a sliding limit what the previous window still counts for. That window's count is final: it is asked for once. */
  #weighed(sliding: readonly WindowCharge[], nowS: number): Done {
    const unknown = sliding.filter(
      ({ found: { previous } }) => previous !== undefined && !this.#ended.has(previous.key),
    );
    const weigh = (): void => {
      for (const one of sliding) {
        const { capacity, endsAtS, startS, previous } = one.found;
        const counted = Math.min(capacity, this.#ended.get(previous?.key ?? '') ?? 0);
        one.capacity = Math.max(0, Math.floor(capacity - (counted * (endsAtS - nowS)) / (endsAtS - startS)));
      }
    };
    if (unknown.length === 0) {
      weigh();
      return undefined;
    }
    const looks = unknown.map(async ({ found }) => {
      const { key = '', endsAtS = 0 } = found.previous ?? {};
      const [answer] = await this.#storeOf(found).charge([{ ...lookOf(found.ask), key }]);
      this.#ended.set(key, answer?.used ?? 0, endsAtS);
    });
    return Promise.all(looks).then(weigh);
  }

  /** Several limits of one descriptor are charged together whatever the settings say of those of a call. */
  #charged(charges: readonly Charge[]): Done {
    if (this.#options.settings.charging === 'all or none' || !charges.some(({ found }) => found.also.length > 0))
      return this.#chargedByCall(charges);
    const groups: Charge[][] = [];
    const others: Charge[] = [];
    for (let at = 0; at < charges.length;) {
      const one = charges[at] as Charge;
      const size = 1 + one.found.also.length;
      if (size > 1) groups.push(charges.slice(at, at + size));
      else others.push(one);
      at += size;
    }
    return groups.reduce((done, group) => both(done, this.#together(group)), this.#chargedByCall(others));
  }

  #together(group: readonly Charge[]): Done {
    return this.#allOrNone(group.filter(isOfAlgorithm), group.filter(isOfWindow), 'all or none');
  }

  #chargedByCall(charges: readonly Charge[]): Done {
    const { charging } = this.#options.settings;
    if (charges.every(isOfWindow)) return this.#windows(charges, charging);
    const algorithmic = charges.filter(isOfAlgorithm);
    const ending = algorithmic.filter(({ found }) => found.ask.kind === 'release');
    if (ending.length > 0)
      return both(
        this.#algorithms.each(ending),
        this.#chargedByCall(charges.filter(({ found }) => found.kind === 'window' || found.ask.kind !== 'release')),
      );
    const windows = charges.filter(isOfWindow);
    return charging === 'always'
      ? both(this.#algorithms.each(algorithmic), this.#windows(windows, charging))
      : this.#allOrNone(algorithmic, windows, charging);
  }

  /** First what may refuse without a charge; it is given back where a window refuses, or cannot be asked. */
  #allOrNone(
    algorithmic: readonly AlgorithmCharge[],
    windows: readonly WindowCharge[],
    charging: ChargeSettings['charging'],
  ): Done {
    if (windows.some((one) => one.isCachedOver && one.stops))
      return both(this.#algorithms.look(algorithmic), this.#windows(windows, charging));
    const stopping = algorithmic.filter(({ stops }) => stops);
    const charged = andThen(this.#algorithms.together(stopping), () => {
      if (stopping.some(({ isOver }) => isOver)) return this.#windows(windows, charging, true);
      const giveBack = (): Done => this.#algorithms.giveBack(stopping);
      return unlessFailed(
        this.#windows(windows, charging),
        () => (windows.some(({ stops, isOver }) => stops && isOver) ? giveBack() : undefined),
        giveBack,
      );
    });
    return both(this.#algorithms.each(algorithmic.filter(({ stops }) => !stops)), charged);
  }

  /** What is over in the local cache is not asked for, and not counted. `isRefusedElsewhere`: by a limit of an algorithm. */
  #windows(windows: readonly WindowCharge[], charging: ChargeSettings['charging'], isRefusedElsewhere = false): Done {
    const asked = windows.some(({ isCachedOver }) => isCachedOver)
      ? windows.filter(({ isCachedOver }) => !isCachedOver)
      : windows;
    if (asked.length === 0) return undefined;
    const isStopped =
      isRefusedElsewhere ||
      (asked !== windows && (charging === 'unless seen over' || windows.some((one) => one.isCachedOver && one.stops)));
    switch (charging) {
      case 'always':
        return this.#ask(asked, add);
      case 'all or none':
        if (isStopped) return this.#ask(asked, look);
        // What refuses nothing is charged for itself.
        return both(
          this.#addAllOrNone(asked.filter(({ stops }) => stops)),
          this.#ask(
            asked.filter(({ stops }) => !stops),
            add,
          ),
        );
      case 'unless seen over': {
        if (isStopped) {
          for (const one of asked) one.hits = 0;
          return this.#ask(asked, add);
        }
        return andThen(this.#ask(asked, look), () => {
          // As in the reference, also one that only counts (shadow, quota).
          if (asked.some(({ isOver }) => isOver)) for (const one of asked) if (!one.isOver) one.hits = 0;
          return this.#ask(asked, add);
        });
      }
    }
  }

  /** Where two stores count them, what one was charged is given back when the other refuses. */
  #addAllOrNone(asked: readonly WindowCharge[]): Done {
    const groups = [...Map.groupBy(asked, ({ found }) => this.#storeOf(found)).values()];
    const charged: WindowCharge[] = [];
    const giveBack = (): Done =>
      charged.reduce<Done>((done, { found, hits }) => {
        const given =
          hits > 0 ? this.#storeOf(found).charge([{ ...lookOf(found.ask), kind: 'giveBack', cost: hits }]) : undefined;
        return given instanceof Promise
          ? both(
              done,
              given.then(
                () => undefined,
                () => undefined,
              ),
            )
          : done; // less is admitted where it cannot be said
      }, undefined);
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

  /** What each limit's policy answers when the store cannot be asked. One that wants an error fails the request. */
  #withoutStore(charges: readonly Charge[], error: unknown): Done {
    if (!(error instanceof ServiceError)) throw error;
    const { metrics, settings } = this.#options;
    metrics.service.redisError++;
    const asked = charges.filter(({ isCachedOver }) => !isCachedOver);
    if (asked.some(({ found }) => found.outage === 'error')) throw error;
    const local: AlgorithmCharge[] = [];
    for (const one of asked) {
      const {
        hits,
        capacity,
        found: { outage },
      } = one;
      if (outage !== 'error') metrics.outages[outage]++;
      switch (outage) {
        case 'open':
        case 'error':
          one.count = Math.min(hits, capacity);
          break;
        case 'closed':
          one.count = capacity + Math.max(1, hits);
          break;
        case 'local':
          if (isOfAlgorithm(one)) local.push(one);
          if (isOfWindow(one)) one.count = this.#localCount(one);
      }
    }
    return this.#algorithms.locally(local, settings.replicas);
  }

  /** Counted in this process, up to a share of the limit. */
  #localCount(one: WindowCharge): number {
    const { hits, capacity } = one;
    const share = Math.ceil(capacity / this.#options.settings.replicas);
    const [answer] = this.#options.local.charge([askOf(one)]) as readonly CounterAnswer[];
    const count = answer?.used ?? 0;
    return count > share ? capacity + hits : capacity - (share - count);
  }

  #storeOf({ currentLimit: { unit } }: CountedLimit): ChargeStore {
    return this.#options.poolOf(unit).store;
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
      answers = store.charge(asked.map(how.ask));
    } catch (error) {
      return Promise.reject(error as Error); // memory is full: answered as where Redis is away
    }
    if (answers instanceof Promise) return answers.then((late) => how.take(asked, late));
    how.take(asked, answers);
    return undefined;
  }
}

const isSliding = ({ found }: Charge): boolean => found.kind === 'window' && found.previous !== undefined;

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
