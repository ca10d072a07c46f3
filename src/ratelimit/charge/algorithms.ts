/**
 * Where limits are counted whose algorithm is not of windows: opened when the first of them is read, and only then.
 * **In**: the limits that are read. **Out**: stores that are asked within the deadline. **Fails**: with a ServiceError of kind
 * `redis_error`; opening, with why.
 */
import type { OutageLog } from '../../core/handlers/outage-log.ts';
import { type AlgorithmStore, type AlgorithmStores, type OpenAlgorithms } from './algorithm-store.ts';
import { ServiceError, Unit } from '../call.ts';
import { ALGORITHMS, type Domains, type Node } from '../config/tree.ts';
import { Guard } from './guard.ts';

export class Algorithms implements AlgorithmStores {
  readonly #openStores: () => Promise<OpenAlgorithms>;
  readonly #guards: { readonly others: Guard; readonly perSecond: Guard };
  #opening: Promise<void> | undefined;
  #open: OpenAlgorithms | undefined;

  /** `outageOf`: the same as the windows' of that Redis, so that an outage is told once. */
  constructor(
    openStores: () => Promise<OpenAlgorithms>,
    timeoutMs: number,
    outageOf: (unit: Unit | undefined) => OutageLog | undefined = () => undefined,
  ) {
    this.#openStores = openStores;
    this.#guards = {
      others: new Guard({ timeoutMs, outage: outageOf(undefined) }),
      perSecond: new Guard({ timeoutMs, outage: outageOf(Unit.SECOND) }),
    };
  }

  /** Settles when they are open; `undefined` where they are, or these limits do not need them. */
  opened(domains: Domains): Promise<void> | undefined {
    if (this.#open !== undefined || ![...domains.values()].some(hasAlgorithm)) return undefined;
    return (this.#opening ??= this.#start().finally(() => {
      this.#opening = undefined;
    }));
  }

  storeOf(unit: Unit | undefined): AlgorithmStore {
    return unit === Unit.SECOND ? this.#stores.perSecond : this.#stores.others;
  }

  get local(): AlgorithmStore {
    return this.#stores.local;
  }

  /** Why one of them cannot be asked; none where nothing needs them. */
  get unhealthyWhy(): string | undefined {
    return this.#open?.others.notReady ?? this.#open?.perSecond.notReady;
  }

  get isSpared(): boolean {
    return [this.#guards.others, this.#guards.perSecond].some(({ breaker }) => breaker.state !== 'closed');
  }

  async close(): Promise<void> {
    await this.#opening?.catch(() => undefined);
    await this.#open?.close();
  }

  async #start(): Promise<void> {
    const stores = await this.#openStores();
    const others = guarded(stores.others, this.#guards.others);
    this.#open = {
      ...stores,
      others,
      perSecond: stores.perSecond === stores.others ? others : guarded(stores.perSecond, this.#guards.perSecond),
    };
  }

  get #stores(): OpenAlgorithms {
    if (this.#open === undefined) throw new Error('limits are in force before what counts them is open');
    return this.#open;
  }
}

const hasAlgorithm = ({ limit, children }: Node): boolean =>
  (limit !== undefined && !limit.unlimited && ALGORITHMS.some((one) => one === limit.algorithm)) ||
  [...children.values()].some(hasAlgorithm);

function guarded(store: AlgorithmStore, guard: Guard): AlgorithmStore {
  const ask = <T>(send: () => T | Promise<T>): T | Promise<T> => {
    const why = store.notReady;
    if (why === undefined) return guard.ask(send);
    guard.disconnected(why);
    return Promise.reject(new ServiceError('redis_error', why));
  };
  return {
    charge: (asks) => ask(() => store.charge(asks)),
    placeOf: (one) => ask(() => store.placeOf(one)),
    reset: (asks) => ask(() => store.reset(asks)),
    get notReady() {
      return store.notReady;
    },
  };
}
