/**
 * `sluice/counting`: stores of counters, for adapters that serve `quota` and for the rate-limit server.
 * **In**: asks. **Out**: answers; at once if a store is in memory. **Fails**: with Unavailable if a backend cannot be asked, with
 * Rejected if it refuses one key.
 */
export { allOrNone, type ChargedAnswer } from './all-or-none.ts';
export { changeOf, fits, lookOf } from './ask.ts';
export { type Calendar, calendarOf, type CalendarPeriod, isZone } from './calendar.ts';
export { Escrow, type EscrowOptions } from './escrow.ts';
export type { EscrowBucket } from './lease.ts';
export { openMemoryStore, type MemoryStoreOptions } from './memory/open-memory.ts';
export { checkRedis, type RedisConfig, redisShape } from './redis/config.ts';
export type { Connection } from './redis/connection.ts';
export { openRedis, openRedisStore, type RedisStoreConfig } from './redis/open-redis.ts';
export type { BucketSpec, CounterAnswer, CounterAsk, CounterStore } from './store.ts';
export { spanWindow, windowEnd } from './window.ts';
