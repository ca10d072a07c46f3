/** Users and the hashes of their passwords, as Apache's htpasswd writes them (`htpasswd -B`). */
import { hash, timingSafeEqual } from 'node:crypto';
import type { Turn } from 'sluice/plugin';
import { textLines } from '../values/text-lines.ts';

export interface Htpasswd {
  /** By user. */
  readonly hashes: ReadonlyMap<string, string>;
  /** The highest cost of a bcrypt hash; `undefined` if there is none. */
  readonly cost: number | undefined;
}

/** A password of this cost takes about a second of CPU. */
const MAX_COST = 13;

/** Throws for the first bad line. Hashes are not shown. */
export async function htpasswdOf(text: string, turn: Turn): Promise<Htpasswd> {
  const hashes = new Map<string, string>();
  let cost: number | undefined;
  for (const [number, raw] of textLines(text)) {
    const wait = turn();
    if (wait !== undefined) await wait;
    const line = raw.trim();
    if (line === '' || line.startsWith('#')) continue;
    const bad = (why: string): Error => new Error(`line ${number}: ${why}`);
    const colon = line.indexOf(':');
    if (colon < 1) throw bad('expected user:hash');
    const user = line.slice(0, colon);
    const hashed = line.slice(colon + 1);
    if (hashes.has(user)) throw bad('the user is there twice');
    const bcrypt = /^\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}$/.exec(hashed);
    if (bcrypt === null && !/^\{SHA\}[A-Za-z0-9+/]{27}=$/.test(hashed))
      throw bad('the hash is neither bcrypt (htpasswd -B) nor {SHA}; other schemes are not accepted');
    const own = bcrypt === null ? 0 : Number(bcrypt[1]);
    if (own > MAX_COST) throw bad(`the cost of the hash is ${own}; at most ${MAX_COST} is accepted`);
    if (bcrypt !== null) cost = Math.max(cost ?? 0, own);
    hashes.set(user, hashed);
  }
  return { hashes, cost };
}

export const isSha = (hashed: string): boolean => hashed.startsWith('{SHA}');

export const shaMatches = (password: string, hashed: string): boolean =>
  timingSafeEqual(hash('sha1', password, 'buffer'), Buffer.from(hashed.slice('{SHA}'.length), 'base64'));
