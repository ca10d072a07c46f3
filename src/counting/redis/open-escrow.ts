/**
 * Escrow over Redis, and who holds what told there for operators.
 * **In**: what charges, a connection. **Out**: an escrow whose idle units go back. **Fails**: as what charges does; never where it tells.
 */
import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Host, QuotaAsk, QuotaPlace } from '../../adapters/contract.ts';
import type { Connection } from './connection.ts';
import type { Bucket } from './bucket.ts';
import { Escrow, type EscrowStore } from '../escrow.ts';

const LOOK_EVERY_MS = 50;
const MAX_LEASES = 100_000;
/** Who holds what is told anew within this time, or nobody holds it. */
const TOLD_FOR_MS = 5000;

export interface OpenEscrow {
  readonly escrow: Escrow;
  /** This process as it is now, others as each told last. */
  holdersOf(ask: QuotaAsk<Bucket>): Promise<NonNullable<QuotaPlace['holders']>>;
}

export interface EscrowPlace {
  readonly host: Host;
  readonly connection: Connection;
  readonly charge: EscrowStore['charge'];
  readonly holdersKeyOf: (ask: QuotaAsk<Bucket>) => string;
}

export function openEscrow({ host, connection, charge, holdersKeyOf }: EscrowPlace): OpenEscrow {
  const who = `${hostname()}-${randomUUID().slice(0, 8)}`;
  const count = (what: string, help: string): ((units: number) => void) => {
    const counter = host.metrics.counter(`quota_redis_escrow_${what}`, help);
    return (units) => counter.add(units);
  };
  const escrow = new Escrow({
    maxLeases: MAX_LEASES,
    nowMs: () => host.clock.monotonicMs(),
    count: {
      taken: count('taken', 'Units taken from Redis to be spent here.'),
      returned: count('returned', 'Units given back unspent.'),
      stranded: count('stranded', 'Units that nobody could spend before their time was over.'),
    },
    store: {
      charge,
      tell(ask, units) {
        const key = holdersKeyOf(ask);
        connection
          .ask(async (redis) =>
            units === 0
              ? redis.hdel(key, who)
              : Promise.all([redis.hset(key, who, units), redis.pexpire(key, TOLD_FOR_MS)]),
          )
          .catch(() => undefined); // for operators alone
      },
    },
  });
  host.background('giving back what is idle', async (signal) => {
    while (!signal.aborted) {
      await sleep(LOOK_EVERY_MS, undefined, { signal, ref: false }).catch(() => undefined);
      escrow.giveBackIdle();
    }
  });
  return {
    escrow,
    async holdersOf(ask) {
      const told = await connection.ask(async (redis) => redis.hgetall(holdersKeyOf(ask)));
      const others = Object.entries(told)
        .filter(([one]) => one !== who)
        .map(([one, units]) => ({ who: one, units: Number(units) }));
      return [...others, { who, units: escrow.heldOf(ask) }].filter(({ units }) => units > 0);
    },
  };
}
