/** Whose key it is: from a line of the file, or a hash in Redis. */
import type { Turn } from 'sluice/plugin';
import { textLines } from '../values/text-lines.ts';

export interface KeyOwner {
  readonly owner: string;
  readonly labels: Readonly<Record<string, string>>;
}

/** By the digest of the key, in hex. Throws for the first bad line. */
export async function ownersOf(text: string, turn: Turn): Promise<ReadonlyMap<string, KeyOwner>> {
  const owners = new Map<string, KeyOwner>();
  for (const [number, line] of textLines(text)) {
    const wait = turn();
    if (wait !== undefined) await wait;
    const words = line.trim().split(/\s+/);
    const [digest = '', owner, ...labels] = words;
    if (digest === '' || digest.startsWith('#')) continue;
    const bad = (why: string): Error => new Error(`line ${number}: ${why}`);
    // Not shown: it may be a key that somebody wrote in the place of its digest.
    if (!/^[0-9a-f]{64}$/i.test(digest)) throw bad('expected the SHA-256 of the key in hex, 64 digits');
    if (owner === undefined) throw bad('expected the owner after the digest');
    if (owners.has(digest.toLowerCase())) throw bad('the digest is there twice');
    const pairs = labels.map((label) => {
      const equals = label.indexOf('=');
      if (equals < 1) throw bad('expected labels as name=value');
      return [label.slice(0, equals), label.slice(equals + 1)] as const;
    });
    owners.set(digest.toLowerCase(), { owner, labels: Object.fromEntries(pairs) });
  }
  return owners;
}

/** Of HGETALL, which is empty for a key that is not there. */
export function ownerOf(fields: unknown): KeyOwner | undefined {
  if (typeof fields !== 'object' || fields === null || Array.isArray(fields))
    throw new Error('the reply to HGETALL is invalid');
  const { owner, ...labels } = fields as Record<string, string>;
  return owner === undefined ? undefined : { owner, labels };
}
