/** An ask of an escrow finds units that the same escrow is returning, whatever overtakes the return on its way. */
import { setImmediate as turn } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { eventually, fakeClock } from '../../../src/adapters/testing/index.ts';
import type { Spend } from '../../../src/adapters/contract.ts';
import { Escrow } from '../../../src/counting/escrow.ts';
import type { EscrowBucket } from '../../../src/counting/lease.ts';
import { type Connection, openConnection } from '../../../src/counting/redis/connection.ts';
import { SCRIPT } from '../../../src/counting/redis/lua.ts';
import { RedisCounters } from '../../../src/counting/redis/redis-counters.ts';
import type { CounterAnswer } from '../../../src/counting/store.ts';
import { windowEnd } from '../../../src/counting/window.ts';
import { type RedisPart, startRedisWithClient } from '../../parts/redis.ts';
import { startHeldLink } from './held-link.ts';

const DAY_MS = 86_400_000;
const IDLE_MS = 250;

let redis: RedisPart;
let admin: Redis;
beforeAll(async () => {
  ({ redis, admin } = await startRedisWithClient());
});
afterAll(() => redis.stop());

const ends: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
  await admin.flushall();
});

const ALGORITHMS = ['window', 'fixed', 'gcra', 'sliding'] as const;

async function opened(algorithm: EscrowBucket['algorithm']) {
  const link = await startHeldLink(redis.port);
  ends.push(() => link.stop());
  const connection = openConnection({
    redis: { shown: '', db: 0, connectTimeout: 5000, host: '127.0.0.1', port: link.port },
    timeoutMs: 10_000,
    onReady() {},
    hasPipe: true,
  });
  ends.push(() => connection.close());
  await eventually(() => expect(connection.why).toBeUndefined());
  const clock = fakeClock();
  const counters = new RedisCounters({ connection, prefix: '', clock: 'local', nowMs: () => clock.nowMs() });
  const escrow = new Escrow({ store: counters, nowMs: () => clock.nowMs(), recordHeld() {}, onUnits() {} });
  const bucket: EscrowBucket = { counter: 'c', algorithm, perMs: DAY_MS, leases: new Map() };
  const endsAtMs = windowEnd(clock.nowMs(), DAY_MS);
  const ask = (cost: number, limit = 100): Spend<EscrowBucket> => {
    const spend: Spend<EscrowBucket> = { kind: 'spend', bucket, key: 'k', cost, limit, burst: limit, perMs: DAY_MS };
    return algorithm === 'window' ? { ...spend, endsAtMs } : spend;
  };
  const spend = async (cost: number, limit?: number): Promise<CounterAnswer | undefined> =>
    (await escrow.charge([ask(cost, limit)]))[0];
  const otherBucket: EscrowBucket = { ...bucket, algorithm: 'window' };
  const other = () => counters.charge([{ ...ask(1), kind: 'owe', bucket: otherBucket, key: 'other', endsAtMs }]);
  // Commands of ioredis and the pipe go over different connections once the pipe is there.
  await eventually(async () => {
    await connection.ask(async (client) => client.ping());
    await other();
    const clients = String(await admin.client('LIST'));
    expect([/cmd=ping/.test(clients), /cmd=expire/.test(clients)]).toEqual([true, true]);
  });
  // It holds 3 units, and all others are spent.
  for (let call = 0; call < 4; call++) expect((await spend(1))?.granted).toBe(true);
  expect(escrow.held).toBe(3);
  await counters.charge([{ ...ask(93), kind: 'owe' }]);
  const giveBack = (): void => {
    clock.advance(IDLE_MS);
    escrow.giveBackIdle();
    expect(escrow.held).toBe(0);
  };
  return { link, connection, spend, giveBack, other };
}

/** Redis has executed all that was sent over the connection of ioredis; its replies may be held. */
async function isExecuted(connection: Connection): Promise<void> {
  await turn();
  await turn();
  await admin.config('RESETSTAT');
  connection.ask(async (client) => client.ping()).catch(() => undefined);
  await eventually(async () => expect(await admin.info('commandstats')).toMatch(/cmdstat_ping:/));
}

const WITH_LIMITS = ALGORITHMS.flatMap((algorithm) => [
  [algorithm, 100] as const,
  [algorithm, 99] as const, // the request changes the limit: it has a lease of its own
]);
test.each(WITH_LIMITS)('%s of %i: while the script of a return is sent again', async (algorithm, limit) => {
  const { link, connection, giveBack, spend } = await opened(algorithm);
  await admin.script('FLUSH');
  link.hold(0, 'replies');
  giveBack();
  await isExecuted(connection); // Redis answered NOSCRIPT
  await admin.script('LOAD', SCRIPT);
  const answer = spend(1, limit);
  await isExecuted(connection);
  link.release();
  expect((await answer)?.granted).toBe(true);
});

test.each(ALGORITHMS)('%s: while the command of a return is late on its connection', async (algorithm) => {
  const { link, giveBack, spend, other } = await opened(algorithm);
  link.hold(0, 'commands');
  giveBack();
  const answer = spend(2);
  await turn();
  await other(); // what goes over the pipe is executed
  link.release();
  expect((await answer)?.granted).toBe(true);
});

test.each(ALGORITHMS)(
  '%s: a return that fails fails the ask that waits for it, and no later one',
  async (algorithm) => {
    const { link, giveBack, spend, other } = await opened(algorithm);
    link.hold(0, 'commands');
    giveBack();
    const answer = spend(2);
    await turn();
    await other();
    link.close(0);
    await expect(answer).rejects.toThrow('closed');
    await eventually(async () => expect((await spend(1))?.granted).toBe(false)); // the units are lost
  },
);
