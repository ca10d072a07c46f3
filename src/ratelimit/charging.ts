/**
 * **In**: limits that descriptors came to. **Out**: what each one's counter is at after this call; at once where the stores can tell.
 * **Fails**: with a ServiceError of kind `redis_error`.
 */
import type { AnswerSettings } from './answer-settings.ts';
import { type Applied, stops } from './applied.ts';
import { type Unit, ServiceError } from './call.ts';
import { EndedWindows } from './ended-windows.ts';
import { MemoryStore } from './memory-store.ts';
import type { RatelimitMetrics } from './metrics.ts';
import type { CountAsk, CountStore } from './store.ts';

export type Counts = ReadonlyMap<Applied, number>;
type Told = readonly number[] | Promise<readonly number[]>;

export interface ChargingOptions {
  /** Of windows of a second, and of all others. */
  readonly storeOf: (unit: Unit | undefined) => CountStore;
  readonly settings: AnswerSettings;
  readonly metrics: RatelimitMetrics;
  readonly nowMs: () => number;
}

const LOCAL_KEYS = 100_000;

export class Charging {
  readonly #options: ChargingOptions;
  /** Counts while the store is away. */
  readonly #local: MemoryStore;
  readonly #ended: EndedWindows;

  constructor(options: ChargingOptions) {
    this.#options = options;
    this.#local = new MemoryStore({ maxKeys: LOCAL_KEYS, nowMs: options.nowMs });
    this.#ended = new EndedWindows(options.nowMs);
  }

  /** Takes off a sliding limit what the window before still counts for. What that came to does not change any more: it is asked for once. */
  weighed(sliding: readonly Applied[], nowS: number): undefined | Promise<void> {
    const unknown = sliding.filter(({ before }) => before !== undefined && !this.#ended.has(before.key));
    const weigh = (): void => {
      for (const one of sliding) {
        const { limit, endsAtS } = one.ask;
        const counted = Math.min(limit, this.#ended.get(one.before?.key ?? '') ?? 0);
        const left = Math.max(0, Math.floor(limit - counted * (endsAtS - nowS) / (endsAtS - one.startS)));
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

  /** What is over in the local cache is not asked for, and not counted. */
  counted(limited: readonly Applied[], cached: ReadonlySet<Applied> | undefined): Counts | Promise<Counts> {
    const asked = cached === undefined || cached.size === 0 ? limited : limited.filter((one) => !cached.has(one));
    if (asked.length === 0) return NO_COUNTS;
    switch (this.#options.settings.charging) {
      case 'always': return this.#ask(asked, (store, asks) => store.add(asks));
      case 'all or none': {
        if ([...cached ?? []].some(stops)) return this.#ask(asked, (store, asks) => store.look(asks.map(({ key }) => key)), true);
        // What refuses nothing is charged for itself.
        const [bound, free] = [asked.filter(stops), asked.filter((one) => !stops(one))];
        return both(this.#ask(bound, (store, asks) => store.addIfAllFit(asks)), this.#ask(free, (store, asks) => store.add(asks)));
      }
      case 'unless seen over': {
        // What only counts (shadow, quota) stops nothing; there the reference's is a bug.
        const charge = (isStopped: (one: Applied) => boolean): Counts | Promise<Counts> => this.#ask(asked, (store, asks) => store.add(asks), false, (one) => (isStopped(one) ? { ...one.ask, hits: 0 } : one.ask));
        if ([...cached ?? []].some(stops)) return charge(() => true);
        const look = this.#ask(asked, (store, asks) => store.look(asks.map(({ key }) => key)), true);
        const decide = (seen: Counts): Counts | Promise<Counts> => {
          const isOver = (one: Applied): boolean => (seen.get(one) ?? 0) > one.ask.limit;
          const isAnyOver = asked.some((one) => stops(one) && isOver(one));
          return charge((one) => isAnyOver && !isOver(one));
        };
        return look instanceof Promise ? look.then(decide) : decide(look);
      }
    }
  }

  /** `adds`: what the store says is before this call, whose hits are added. */
  #ask(
    asked: readonly Applied[], count: (store: CountStore, asks: readonly CountAsk[]) => Told, adds = false, askFor: (one: Applied) => CountAsk = (one) => one.ask,
  ): Counts | Promise<Counts> {
    const stores = new Map<CountStore, Applied[]>();
    for (const one of asked) {
      const store = this.#options.storeOf(one.unit);
      const group = stores.get(store);
      if (group === undefined) stores.set(store, [one]);
      else group.push(one);
    }
    let counts: Counts | Promise<Counts> = NO_COUNTS;
    for (const [store, group] of stores) {
      const told = count(store, group.map(askFor));
      const named = (after: readonly number[]): Counts => new Map(group.map((one, at) => [one, (after[at] ?? 0) + (adds ? one.hits : 0)]));
      const own = told instanceof Promise ? told.then(named) : named(told);
      counts = stores.size === 1 ? own : both(counts, own);
    }
    return counts;
  }

  /** What each limit's policy answers when the store cannot be asked. One that wants an error fails the request. */
  withoutStore(limited: readonly Applied[], cached: ReadonlySet<Applied> | undefined, error: unknown): Counts {
    if (!(error instanceof ServiceError)) throw error;
    this.#options.metrics.service.redisError++;
    const asked = limited.filter((one) => cached?.has(one) !== true);
    if (asked.some(({ outage }) => outage === 'error')) throw error;
    return new Map(asked.map((one): [Applied, number] => {
      const { ask: { hits, limit }, outage } = one;
      if (outage !== 'error') this.#options.metrics.outages[outage]++;
      switch (outage) {
        case 'open': case 'error': return [one, Math.min(hits, limit)];
        case 'closed': return [one, limit + Math.max(1, hits)];
        case 'local': {
          const share = Math.ceil(limit / this.#options.settings.replicas);
          const [after = 0] = this.#local.add([one.ask]);
          return [one, after > share ? limit + hits : limit - (share - after)];
        }
      }
    }));
  }
}

const NO_COUNTS: Counts = new Map();

function both(one: Counts | Promise<Counts>, other: Counts | Promise<Counts>): Counts | Promise<Counts> {
  if (one instanceof Promise || other instanceof Promise) return Promise.all([one, other]).then(([a, b]) => new Map([...a, ...b]));
  return new Map([...one, ...other]);
}
