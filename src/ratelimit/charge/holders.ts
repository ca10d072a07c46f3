/**
 * Who holds units of a counter that are not spent yet, told in a hash beside it in Redis: for operators alone, no count reads it.
 * **In**: what is held here. **Out**: what other processes hold, as each told last. **Fails**: never where it tells; a look as any look.
 *
 * What ends without a word stays told until its window ends: nobody else can spend what it held.
 */
import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import type { RedisStore } from './redis-store.ts';

export interface Holder {
  readonly who: string;
  readonly units: number;
}

export interface HoldersOptions {
  readonly keyPrefix: string;
  /** What others know this process by. */
  readonly replica: string;
  /** Which of its threads this is: each holds chunks of its own. */
  readonly worker: number;
}

/** A host can run several, and one that is started again is another. */
export const replicaName = (): string => `${hostname()}-${randomUUID().slice(0, 8)}`;

export class Holders {
  readonly replica: string;
  readonly #redis: RedisStore;
  readonly #keyPrefix: string;
  readonly #field: string;

  constructor(redis: RedisStore, { keyPrefix, replica, worker }: HoldersOptions) {
    this.replica = replica;
    this.#redis = redis;
    this.#keyPrefix = keyPrefix;
    this.#field = `${replica} ${worker}`;
  }

  /** For so long at most; 0 takes it back. Goes out with the charge of the same turn. */
  tell(key: string, units: number, forS: number): Promise<void> {
    const place = this.#placeOf(key);
    return this.#redis.beside(
      units === 0
        ? [['HDEL', place, this.#field]]
        : [
            ['HSET', place, this.#field, String(units)],
            ['EXPIRE', place, String(forS)],
          ],
    );
  }

  /** All but this process. */
  async others(key: string): Promise<readonly Holder[]> {
    const held = new Map<string, number>();
    for (const [field, units] of Object.entries(await this.#redis.fieldsOf(this.#placeOf(key)))) {
      const who = field.slice(0, field.lastIndexOf(' '));
      if (who !== this.replica) held.set(who, (held.get(who) ?? 0) + Number(units));
    }
    return [...held].map(([who, units]) => ({ who, units }));
  }

  /** In the counter's slot of a cluster: by its own tag, or else by its whole name. */
  #placeOf(key: string): string {
    return `${this.#keyPrefix}sluice:holders:${/^[^{]*\{[^}]+\}/.test(key) ? key : `{${key}}`}`;
  }
}

/** This process among the others; who holds most comes first. */
export const allHolders = (own: Holder, others: readonly Holder[]): readonly Holder[] =>
  [own, ...others].filter(({ units }) => units > 0).sort((one, other) => other.units - one.units);
