/**
 * A store in Redis: counters, and escrow over them if it is wanted.
 * **In**: a connection, how to count. **Out**: a store. **Fails**: as the connection does.
 */
import { Escrow, type EscrowOptions, LOOK_EVERY_MS } from '../escrow.ts';
import { allHolders, type CounterAsk, type CounterStore, type Holder } from '../store.ts';
import { RedisCounters, type RedisCountersOptions } from './redis-counters.ts';

export interface RedisStoreOptions extends RedisCountersOptions {
  /** Put around what asks Redis: a tracer. */
  readonly around?: (counters: EscrowOptions['store']) => EscrowOptions['store'];
  /** Leases units in chunks. */
  readonly escrow?: EscrowOwner | undefined;
}

export interface EscrowOwner extends Pick<EscrowOptions, 'nowMs' | 'onUnits'> {
  /** Name of this process for others, and the number of this thread. */
  readonly replica: string;
  readonly worker: number;
}

export interface RedisStore extends CounterStore {
  readonly counters: RedisCounters;
  readonly escrow?: Escrow;
}

export function redisStore({ around, escrow: owner, ...counting }: RedisStoreOptions): RedisStore {
  const { connection } = counting;
  const counters = new RedisCounters(counting);
  const direct = around?.(counters) ?? counters;
  const store: RedisStore = {
    counters,
    bucket: (spec) => counters.bucket(spec),
    charge: (asks) => direct.charge(asks),
    look: (asks, leases) => counters.look(asks, leases),
    reset: (asks) => direct.reset(asks),
    close: () => connection.close(),
  };
  if (owner === undefined) return store;

  const { replica, worker, nowMs, onUnits } = owner;
  const field = `${replica} ${worker}`;
  const escrow = new Escrow({
    store: direct,
    nowMs,
    onUnits,
    recordHeld: (ask, units, forMs) => counters.recordHolder(ask, field, units, forMs),
  });
  const idle = setInterval(() => escrow.giveBackIdle(), LOOK_EVERY_MS).unref();

  /** This thread as it is now, other processes as their threads last reported. */
  async function holdersOf(ask: CounterAsk): Promise<readonly Holder[]> {
    const held = new Map<string, number>();
    for (const [holder, units] of await counters.holdersOf(ask)) {
      const who = holder.slice(0, holder.lastIndexOf(' '));
      if (who !== replica) held.set(who, (held.get(who) ?? 0) + units);
    }
    const others = [...held].map(([who, units]) => ({ who, units }));
    return allHolders({ who: replica, units: escrow.heldOf(ask) }, others);
  }

  return {
    ...store,
    escrow,
    charge: (asks) => escrow.charge(asks),
    spendEach: (asks) => escrow.spendEach(asks),
    look: (asks, leases) =>
      Promise.all(
        asks.map(async (ask) => ({ ...(await counters.look([ask], leases))[0], holders: await holdersOf(ask) })),
      ),
    reset: (asks) => escrow.reset(asks),
    dropHeld: (ask) => escrow.dropHeld(ask),
    async close() {
      clearInterval(idle);
      await escrow.close();
      connection.close();
    },
  };
}
