/**
 * `sluice/counting`: what counts, for adapters that serve `quota` and for the rate-limit server.
 * **In**: asks. **Out**: answers; at once where a store is in memory. **Fails**: with Unavailable where a backend cannot be asked, with
 * Rejected where it refuses one key.
 */
export { changeOf, fits, lookOf } from './ask.ts';
export { openMemoryStore, type MemoryStoreOptions } from './memory/open-memory.ts';
export { checkRedis, type RedisConfig, redisShape } from './redis/config.ts';
export type { Connection } from './redis/connection.ts';
export { openRedis, openRedisStore, type RedisStoreConfig } from './redis/open-redis.ts';
export type { BucketSpec, CounterStore } from './store.ts';
export { windowEnd } from './window.ts';
