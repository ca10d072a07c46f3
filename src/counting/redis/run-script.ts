import type { Cluster, Redis } from 'ioredis';

/** By its SHA-1 (EVALSHA), so that the script is sent once. Rejects as ioredis does. */
export async function runScript(
  redis: Redis | Cluster,
  script: string,
  sha1: string,
  keys: readonly string[],
  args: readonly (string | number)[],
): Promise<unknown> {
  return redis.evalsha(sha1, keys.length, ...keys, ...args).catch((error: unknown) => {
    if (!(error instanceof Error) || !error.message.startsWith('NOSCRIPT')) throw error;
    return redis.eval(script, keys.length, ...keys, ...args); // Redis lost the script (restart, SCRIPT FLUSH); EVAL loads it again
  });
}
