/**
 * Counters in Redis, within a deadline and behind a breaker, in escrow where the settings say so.
 * **In**: an address, settings. **Out**: a pool. **Fails**: with a ServiceError of kind `redis_error`: at once while the connection is down or
 * the breaker is open, else at the deadline.
 */
import type { OutageLog } from '../../adapters/outage-log.ts';
import { Escrow, type EscrowedUnits, LOOK_EVERY_MS } from '../../counting/escrow.ts';
import type { RedisAddress } from '../../counting/redis/config.ts';
import { type Connection, openConnection } from '../../counting/redis/connection.ts';
import { RedisCounters } from '../../counting/redis/redis-counters.ts';
import { ServiceError } from '../call.ts';
import { Guard } from './guard.ts';
import type { ChargeStore, CounterAsk, Holder, Pool } from './store.ts';

export { replicaName } from '../../counting/redis/replica-name.ts';

/** Algorithms that the reference does not have count in keys below this; its own keys stay as they are. */
const OWN_PREFIX = 'sluice:limits:';
/** Silence for this long while commands wait: the connection is closed, and made anew. */
const HUNG_MS = 500;

export interface RedisPoolOptions {
  /** Without the text for messages: callers need not know it. */
  readonly redis: RedisAddress;
  readonly deadlineMs: number;
  readonly jitterMaxS: number;
  readonly keyPrefix: string;
  readonly nowMs: () => number;
  readonly outage: OutageLog | undefined;
  /** Put around what asks Redis: a tracer. */
  readonly around: (store: ChargeStore) => ChargeStore;
  readonly isEscrow: boolean;
  /** Name of this process for others, and the number of this thread. */
  readonly replica: string;
  readonly worker: number;
}

export interface RedisPool extends Pool {
  readonly connection: Connection;
  readonly counters: RedisCounters;
  readonly guard: Guard;
  readonly escrow: Escrow | undefined;
  readonly escrowed: Readonly<Record<EscrowedUnits, number>>;
  close(): Promise<void>;
}

export function redisPool(options: RedisPoolOptions): RedisPool {
  const { redis, deadlineMs, jitterMaxS, keyPrefix, nowMs, outage, around, isEscrow, replica, worker } = options;
  const guard = new Guard({ timeoutMs: deadlineMs, outage });
  let isOpen = false; // that it is not connected yet is no outage
  const connection = openConnection({
    redis,
    timeoutMs: Math.max(HUNG_MS, deadlineMs),
    onReady(isReady, why = '') {
      if (isReady) guard.connected();
      else if (isOpen) guard.disconnected(why);
    },
    hasPipe: true,
  });
  isOpen = true;
  const counters = new RedisCounters({
    connection,
    prefix: `${keyPrefix}${OWN_PREFIX}`,
    windowPrefix: keyPrefix,
    clock: 'redis',
    nowMs,
    jitterMaxS,
    within: async (trip, commands) => {
      if (connection.why !== undefined) throw new ServiceError('redis_error', connection.why);
      return guard.ask(trip, commands);
    },
  });
  const direct = around(counters);
  const escrowed = { taken: 0, returned: 0, stranded: 0 };
  const field = `${replica} ${worker}`;
  const escrow = !isEscrow
    ? undefined
    : new Escrow({
        store: direct,
        nowMs,
        recordHeld: (ask, units, forMs) => counters.recordHolder(ask, field, units, forMs),
        onUnits(what, units) {
          escrowed[what] += units;
        },
      });
  const idle = escrow === undefined ? undefined : setInterval(() => escrow.giveBackIdle(), LOOK_EVERY_MS).unref();

  /** Others as each told last; all threads of a process together. */
  async function othersOf(ask: CounterAsk): Promise<readonly Holder[]> {
    const held = new Map<string, number>();
    for (const [holder, units] of await counters.holdersOf(ask)) {
      const who = holder.slice(0, holder.lastIndexOf(' '));
      if (who !== replica) held.set(who, (held.get(who) ?? 0) + units);
    }
    return [...held].map(([who, units]) => ({ who, units }));
  }

  return {
    store: escrow ?? direct,
    connection,
    counters,
    guard,
    escrow,
    escrowed,
    placeOf: async (ask, leases) => (await counters.look([ask], leases))[0] ?? {},
    heldOf: (ask) => escrow?.heldOf(ask) ?? 0,
    othersOf,
    replica,
    forget: (ask) => escrow?.forget(ask),
    async close() {
      clearInterval(idle);
      await escrow?.close();
      connection.close();
    },
  };
}
