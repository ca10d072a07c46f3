/**
 * CPU of this process for INCRBY and EXPIRE of one hit: our pipe beside ioredis, on one Redis, in turns.
 * `node bench/redis-pipe.ts [rounds]`; docs/decisions/0030 states the ratio.
 */
import { randomUUID } from 'node:crypto';
import type { Connection } from '../src/counting/redis/connection.ts';
import { openConnection } from '../src/counting/redis/connection.ts';
import { startRedis } from '../test/parts/redis.ts';

const ROUNDS = Number(process.argv[2] ?? 20);
/** Hits of one turn of the event loop, which go out in one write. */
const BATCHES = [1, 8, 64];
const HITS_PER_ROUND = 16_000;

const part = await startRedis();
const redis = { shown: '', host: '127.0.0.1', port: part.port, db: 0, connectTimeout: 1000 };

async function open(hasPipe: boolean): Promise<Connection> {
  const connected = Promise.withResolvers<void>();
  const connection = openConnection({
    redis,
    timeoutMs: 1000,
    onReady: (isReady) => isReady && connected.resolve(),
    hasPipe,
  });
  await connected.promise;
  await new Promise((resolve) => setTimeout(resolve, 100)); // the pipe connects after it
  return connection;
}

const sides = { pipe: await open(true), ioredis: await open(false) };
type Side = keyof typeof sides;
const keys = Array.from({ length: 1000 }, () => `domain_user_${randomUUID()}_1700000000`);

/** Microseconds of CPU for each hit. */
async function round(connection: Connection, batch: number): Promise<number> {
  const before = process.cpuUsage();
  for (let hits = 0; hits < HITS_PER_ROUND; hits += batch) {
    const increments = [];
    for (let at = 0; at < batch; at++)
      increments.push({ key: keys[(hits + at) % keys.length] as string, cost: 1, perMs: 60_000 });
    await connection.count(increments, (perMs) => perMs / 1000, []);
  }
  const { user, system } = process.cpuUsage(before);
  return (user + system) / HITS_PER_ROUND;
}

const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
for (const batch of BATCHES) {
  const took: Record<Side, number[]> = { pipe: [], ioredis: [] };
  for (let turn = -2; turn < ROUNDS; turn++) {
    for (const side of ['pipe', 'ioredis'] as const) {
      const us = await round(sides[side], batch);
      if (turn >= 0) took[side].push(us); // the first turns warm up
    }
  }
  const [pipe, ioredis] = [median(took.pipe), median(took.ioredis)];
  console.log(
    `${batch} hits a write: pipe ${pipe.toFixed(2)} us, ioredis ${ioredis.toFixed(2)} us of CPU a hit; ioredis takes ${(ioredis / pipe).toFixed(2)} times as much`,
  );
}
for (const connection of Object.values(sides)) connection.close();
await part.stop();
