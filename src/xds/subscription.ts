/**
 * One type of resource on one stream: what the proxy asks for, what it was sent, and what it said to it.
 * **In**: requests, and the resources that the stream shows now. **Out**: the next response, if one is due. **Fails**: never.
 */
import type { Refusal, Resource, Resources } from './resource.ts';

export const NOTHING: Resources = new Map();

export interface View {
  readonly resources: Resources;
  /** In place of a resource that does not exist. */
  absent(name: string): Resource | undefined;
  /** What the proxy has from an earlier stream, and is not here, is not removed yet. */
  readonly keepsOld: boolean;
}

export interface Unanswered {
  /** By performance.now(). */
  readonly sinceMs: number;
  /** What was new in it. */
  readonly resources: readonly Resource[];
}

export interface Subscription {
  readonly typeUrl: string;
  /** The next response, encoded; it counts as sent. `undefined`: the proxy has all it asked for. */
  response(view: View): Uint8Array | undefined;
  /** Sends these again even if they are unchanged. */
  repeat(names: Iterable<string>): void;
  asksFor(name: string): boolean;
  /** The names that it asks for; not those of a subscription to all. */
  readonly named: Iterable<string>;
  /** The oldest response without an answer. */
  readonly unanswered: Unanswered | undefined;
  /** The proxy has resources from an earlier stream. */
  readonly hasOwn: boolean;
  /** Every response was accepted or refused. */
  readonly isSettled: boolean;
  /** The last one; it holds until the proxy was sent other versions of what it refuses. */
  readonly refusal: Refusal | undefined;
  /** Names of what it refuses. */
  readonly refused: ReadonlySet<string>;
  /** Versions of the last response, and of the last accepted one. */
  readonly sent: string | undefined;
  readonly accepted: string | undefined;
}

type ByType = ReadonlyMap<string, Subscription>;

export const areSettled = (all: ByType, typeUrls: Iterable<string>): boolean =>
  [...typeUrls].every((typeUrl) => all.get(typeUrl)?.isSettled !== false);

export const hasAccepted = (all: ByType, typeUrls: Iterable<string>): boolean =>
  areSettled(all, typeUrls) && [...typeUrls].every((typeUrl) => all.get(typeUrl)?.refusal === undefined);

/** Envoy's text can hold the whole resource, and that of a secret its key. */
const MAX_WHY = 4096;
/** Names of resources have other signs within. */
const BETWEEN_NAMES = /[:.]?(?:[\s,;'"()]+|$)/;
const PRIVATE_KEY = /-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)/gs;

/** `whole`: of a complete set, since it may be an older one that is still refused. */
export function refusalOf(
  typeUrl: string,
  message: string,
  resources: readonly Resource[],
  whole: Resources = NOTHING,
): Refusal {
  const why = message.replaceAll(PRIVATE_KEY, '[private key]');
  const words = new Set(why.slice(0, MAX_WHY).split(BETWEEN_NAMES));
  const inWords = new Set([
    ...resources.filter(({ name }) => words.has(name)),
    ...[...words].flatMap((word) => whole.get(word) ?? []),
  ]);
  const named = inWords.size > 0 ? [...inWords] : resources.filter(({ name }) => name !== '' && why.includes(name));
  return {
    typeUrl,
    atMs: Date.now(),
    why: why.length > MAX_WHY ? `${why.slice(0, MAX_WHY)}...` : why,
    resources: (named.length > 0 ? named : resources).map(({ name, origin }) => ({ name, origin })),
  };
}

/** Names of those in a refused response that the refusal does not name, if it names some. */
export function notNamed(sent: readonly Resource[], refusal: Refusal | undefined): readonly string[] {
  const named = new Set(refusal?.resources.map(({ name }) => name));
  return sent.map(({ name }) => name).filter((name) => !named.has(name));
}
