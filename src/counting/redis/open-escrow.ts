/**
 * Escrow over Redis, whose holders are told in a hash beside the counter, for operators.
 * **In**: what charges, a connection. **Out**: an escrow that gives back idle units. **Fails**: as what charges does; never where it tells.
 */
import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Host, QuotaAsk, QuotaPlace } from '../../adapters/contract.ts';
import { Escrow, type EscrowBucket, type EscrowOptions, LOOK_EVERY_MS } from '../escrow.ts';
import type { Connection } from './connection.ts';

export interface OpenEscrow {
  readonly escrow: Escrow;
  /** This process as it is now; others as each told last. */
  holdersOf(ask: QuotaAsk<EscrowBucket>): Promise<NonNullable<QuotaPlace['holders']>>;
}

export interface OpenEscrowOptions {
  readonly host: Host;
  readonly connection: Connection;
  readonly charge: EscrowOptions['store']['charge'];
  readonly holdersKeyOf: (ask: QuotaAsk<EscrowBucket>) => string;
}

export function openEscrow({ host, connection, charge, holdersKeyOf }: OpenEscrowOptions): OpenEscrow {
  const who = `${hostname()}-${randomUUID().slice(0, 8)}`;
  const count = (what: string, help: string): ((units: number) => void) => {
    const counter = host.metrics.counter(`quota_redis_escrow_${what}`, help);
    return (units) => counter.add(units);
  };
  const escrow = new Escrow({
    nowMs: () => host.clock.monotonicMs(),
    count: {
      taken: count('taken', 'Units taken from Redis to be spent here.'),
      returned: count('returned', 'Units given back unspent.'),
      stranded: count('stranded', 'Units that nobody could spend before their time was over.'),
    },
    store: { charge },
    tell(ask, units, forMs) {
      const key = holdersKeyOf(ask as QuotaAsk<EscrowBucket>);
      connection
        .ask(async (redis) =>
          units === 0
            ? redis.hdel(key, who)
            : Promise.all([redis.hset(key, who, units), redis.pexpire(key, Math.ceil(forMs))]),
        )
        .catch(() => undefined); // for operators only
    },
  });
  host.background('giving back idle units', async (signal) => {
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
