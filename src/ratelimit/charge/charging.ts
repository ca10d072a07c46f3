/**
 * **In**: limits that descriptors came to. **Out**: what each one's counter is at after this call (`after`); at once where the stores
 * can tell. **Fails**: with a ServiceError of kind `redis_error`.
 */
import { AlgorithmCharging, isRefused } from './algorithm-charging.ts';
import type { AlgorithmStores } from './algorithm-store.ts';
import type { AnswerSettings } from '../answer/answer-settings.ts';
import { type Applied, stops } from '../walk/walk.ts';
import { type Unit, ServiceError } from '../call.ts';
import { andThen, both, type Done, unlessFailed } from './done.ts';
import { EndedWindows } from './ended-windows.ts';
import { MemoryStore } from './memory-store.ts';
import type { RatelimitMetrics } from '../metrics/metrics.ts';
import type { CountAsk, CountStore } from './store.ts';

type Told = readonly number[] | Promise<readonly number[]>;

export interface ChargingOptions {
  /** Of windows of a second, and of all others. */
  readonly storeOf: (unit: Unit | undefined) => CountStore;
  readonly algorithms: AlgorithmStores;
  readonly settings: AnswerSettings;
  readonly metrics: RatelimitMetrics;
  readonly nowMs: () => number;
  /** Counts while the store is away; of this thread alone where none are given. */
  readonly local?: LocalCounts;
}

export type LocalCounts = Pick<MemoryStore, 'add'>;
export const LOCAL_KEYS = 100_000;

export class Charging {
  readonly #options: ChargingOptions;
  readonly #local: LocalCounts;
  readonly #ended: EndedWindows;
  readonly #algorithms: AlgorithmCharging;

  constructor(options: ChargingOptions) {
    this.#options = options;
    this.#local = options.local ?? new MemoryStore({ maxKeys: LOCAL_KEYS, nowMs: options.nowMs, whenFull: 'evict' });
    this.#ended = new EndedWindows(options.nowMs);
    this.#algorithms = new AlgorithmCharging(options.algorithms);
  }

  /** Takes off a sliding limit what the window before still counts for. What that came to does not change any more: it is asked for once. */
  weighed(sliding: readonly Applied[], nowS: number): Done {
    const unknown = sliding.filter(({ before }) => before !== undefined && !this.#ended.has(before.key));
    const weigh = (): void => {
      for (const one of sliding) {
        const { limit, endsAtS } = one.ask;
        const counted = Math.min(limit, this.#ended.get(one.before?.key ?? '') ?? 0);
        const left = Math.max(0, Math.floor(limit - (counted * (endsAtS - nowS)) / (endsAtS - one.startS)));
        one.ask = { ...one.ask, limit: left };
      }
    };
    if (unknown.length === 0) {
      weigh();
      return undefined;
    }
    const looks = unknown.map(async ({ before, unit }) => {
      const [count = 0] = await this.#options.storeOf(unit).look([before?.key ?? '']);
      this.#ended.set(before?.key ?? '', count, before?.endsAtS ?? 0);
    });
    return Promise.all(looks).then(weigh);
  }

  /** Several limits of one descriptor are charged together whatever the settings say of those of a call. */
  counted(limited: readonly Applied[]): Done {
    if (this.#options.settings.charging === 'all or none' || limited.every(({ also }) => also.length === 0))
      return this.#counted(limited);
    const groups = limited.filter(({ also }) => also.length > 0).map((one) => [one, ...one.also]);
    const others = limited.filter((one) => !groups.some((group) => group.includes(one)));
    return groups.reduce((done, group) => both(done, this.#together(group)), this.#counted(others));
  }

  #together(group: readonly Applied[]): Done {
    return this.#allOrNone(
      group.filter(({ algorithm }) => algorithm !== undefined),
      group.filter(({ algorithm }) => algorithm === undefined),
      'all or none',
    );
  }

  #counted(limited: readonly Applied[]): Done {
    const { charging } = this.#options.settings;
    const algorithmic = limited.filter(({ algorithm }) => algorithm !== undefined);
    if (algorithmic.length === 0) return this.#windows(limited, charging);
    const ending = algorithmic.filter(({ algorithm }) => algorithm?.isEnd === true);
    if (ending.length > 0)
      return both(this.#algorithms.each(ending), this.#counted(limited.filter((one) => !ending.includes(one))));
    const windows = limited.filter(({ algorithm }) => algorithm === undefined);
    return charging === 'always'
      ? both(this.#algorithms.each(algorithmic), this.#windows(windows, charging))
      : this.#allOrNone(algorithmic, windows, charging);
  }

  /** First what may refuse without a charge; it is given back where a window refuses, or cannot be asked. */
  #allOrNone(algorithmic: readonly Applied[], windows: readonly Applied[], charging: AnswerSettings['charging']): Done {
    if (windows.some((one) => one.isCached && stops(one)))
      return both(this.#algorithms.look(algorithmic), this.#windows(windows, charging));
    const stopping = algorithmic.filter(stops);
    const charged = andThen(this.#algorithms.together(stopping), () => {
      if (stopping.some(isRefused)) return this.#windows(windows, charging, true);
      const giveBack = (): Done => this.#algorithms.giveBack(stopping);
      return unlessFailed(
        this.#windows(windows, charging),
        () => (windows.some((one) => stops(one) && isRefused(one)) ? giveBack() : undefined),
        giveBack,
      );
    });
    return both(this.#algorithms.each(algorithmic.filter((one) => !stops(one))), charged);
  }

  /** What is over in the local cache is not asked for, and not counted. `isRefusedElsewhere`: by a limit that is no window. */
  #windows(limited: readonly Applied[], charging: AnswerSettings['charging'], isRefusedElsewhere = false): Done {
    const asked = limited.some(({ isCached }) => isCached) ? limited.filter(({ isCached }) => !isCached) : limited;
    if (asked.length === 0) return undefined;
    const isStopped =
      isRefusedElsewhere ||
      (asked !== limited && (charging === 'unless seen over' || limited.some((one) => one.isCached && stops(one))));
    switch (charging) {
      case 'always':
        return this.#ask(asked, add);
      case 'all or none':
        if (isStopped) return this.#ask(asked, look);
        // What refuses nothing is charged for itself.
        return both(
          this.#addAllOrNone(asked.filter(stops)),
          this.#ask(
            asked.filter((one) => !stops(one)),
            add,
          ),
        );
      case 'unless seen over': {
        if (isStopped) return this.#ask(asked.map(withoutHits), add);
        const seen = this.#ask(asked, look);
        const charge = (): Done => {
          const isAnyOver = asked.some(isRefused); // as in the reference, also one that only counts (shadow, quota)
          return this.#ask(isAnyOver ? asked.map((one) => (isRefused(one) ? one : withoutHits(one))) : asked, add);
        };
        return andThen(seen, charge);
      }
    }
  }

  /** Where two stores count them, what one was charged is given back when the other refuses. */
  #addAllOrNone(asked: readonly Applied[]): Done {
    const groups = [...Map.groupBy(asked, ({ unit }) => this.#options.storeOf(unit)).values()];
    const charged: Applied[] = [];
    const giveBack = (): Done =>
      charged.reduce<Done>((done, { unit, ask: { key, hits } }) => {
        const given = hits > 0 ? this.#options.storeOf(unit).giveBack(key, hits) : undefined;
        return given instanceof Promise
          ? both(
              done,
              given.catch(() => undefined),
            )
          : done; // less is admitted where it cannot be said
      }, undefined);
    const next = (): Done => {
      const group = groups.shift();
      if (group === undefined) return undefined;
      return unlessFailed(
        this.#ask(group, addIfAllFit),
        () => {
          if (group.some(isRefused)) return both(giveBack(), this.#ask(groups.flat(), look));
          charged.push(...group);
          return next();
        },
        giveBack,
      );
    };
    return next();
  }

  /** What each limit's policy answers when the store cannot be asked. One that wants an error fails the request. */
  withoutStore(limited: readonly Applied[], error: unknown): Done {
    if (!(error instanceof ServiceError)) throw error;
    const {
      metrics,
      settings: { replicas },
    } = this.#options;
    metrics.service.redisError++;
    const asked = limited.filter(({ isCached }) => !isCached);
    if (asked.some(({ outage }) => outage === 'error')) throw error;
    const local = asked.filter(({ algorithm, outage }) => algorithm !== undefined && outage === 'local');
    for (const one of asked) {
      const {
        ask: { hits, limit },
        outage,
      } = one;
      if (outage !== 'error') metrics.outages[outage]++;
      switch (outage) {
        case 'open':
        case 'error':
          one.after = Math.min(hits, limit);
          break;
        case 'closed':
          one.after = limit + Math.max(1, hits);
          break;
        case 'local': {
          if (one.algorithm !== undefined) continue;
          const share = Math.ceil(limit / replicas);
          const [after = 0] = this.#local.add([one.ask]);
          one.after = after > share ? limit + hits : limit - (share - after);
        }
      }
    }
    return this.#algorithms.locally(local, replicas);
  }

  #ask(asked: readonly Applied[], how: (store: CountStore, asked: readonly Applied[]) => Told): Done {
    const [first] = asked;
    if (first === undefined) return undefined;
    const store = this.#options.storeOf(first.unit);
    const others = asked.filter(({ unit }) => this.#options.storeOf(unit) !== store);
    if (others.length > 0)
      return both(
        this.#ask(
          asked.filter((one) => !others.includes(one)),
          how,
        ),
        this.#ask(others, how),
      );
    let told: Told;
    try {
      told = how(store, asked);
    } catch (error) {
      return Promise.reject(error as Error); // memory is full: answered as where Redis is away
    }
    if (told instanceof Promise) return told.then((counts) => take(asked, counts));
    take(asked, told);
    return undefined;
  }
}

function take(asked: readonly Applied[], counts: readonly number[]): void {
  for (let at = 0; at < asked.length; at++) (asked[at] as Applied).after = counts[at] as number;
}

const asksOf = (asked: readonly Applied[]): readonly CountAsk[] => asked.map(({ ask }) => ask);
const add = (store: CountStore, asked: readonly Applied[]): Told => store.add(asksOf(asked));
const addIfAllFit = (store: CountStore, asked: readonly Applied[]): Told => store.addIfAllFit(asksOf(asked));

/** What each would be at. */
function look(store: CountStore, asked: readonly Applied[]): Told {
  const told = store.look(asked.map(({ ask: { key } }) => key));
  const more = (counts: readonly number[]): readonly number[] =>
    counts.map((count, at) => count + (asked[at]?.hits ?? 0));
  return told instanceof Promise ? told.then(more) : more(told);
}

/** It is asked, and not charged. */
function withoutHits(one: Applied): Applied {
  one.ask = { ...one.ask, hits: 0 };
  return one;
}
