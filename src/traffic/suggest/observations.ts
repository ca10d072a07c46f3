/**
 * What recorded calls show, in bounded memory.
 * **In**: recorded calls, in any order. **Out**: by host the paths with their evidence, rates, and what was left out.
 * **Fails**: never; a call that proves nothing is left out and counted.
 */
import { DEFAULT_ATTRIBUTE_SETTINGS } from '../../attributes/attributes.ts';
import { parseIp, parseIpOfPeer } from '../../attributes/network.ts';
import { MASKED } from '../../attributes/redacted-request.ts';
import { HIDDEN } from '../../attributes/secrets.ts';
import { spiffeId, uriOfPrincipal } from '../../attributes/spiffe.ts';
import { hostOf } from '../../attributes/host.ts';
import { urlPathOf } from '../../attributes/url.ts';
import type { RecordedCall } from '../format.ts';
import { Examples, Room, Tally } from './evidence.ts';
import { PathTree } from './path-tree.ts';
import { Rates } from './rates.ts';
import { suspicion } from './suspicious.ts';

export interface ObservationBounds {
  readonly maxHosts: number;
  /** Segments of paths, and callers of paths, over all hosts. */
  readonly maxPlaces: number;
  /** Counters of a client in a window. */
  readonly maxCounts: number;
}
const DEFAULT_BOUNDS: ObservationBounds = { maxHosts: 1000, maxPlaces: 400_000, maxCounts: 200_000 };

const MAX_PATH = 2048;
const MAX_SEGMENTS = 32;
const HOST = /^[\w.:[\]-]{1,253}$/;
const MAX_CALLER = 512;
/** Of HTTP and WebDAV. CONNECT and TRACE are not for services behind a proxy. */
const METHODS = new Set(
  'GET HEAD POST PUT PATCH DELETE OPTIONS QUERY PROPFIND PROPPATCH MKCOL COPY MOVE LOCK UNLOCK REPORT SEARCH'.split(
    ' ',
  ),
);
/** Answers that say that the call was wrong. */
const REFUSALS = new Set([400, 401, 403, 404, 405, 410, 414, 421, 431]);

export const GROUPINGS = ['principal', 'namespace', 'address'] as const;
export type Grouping = (typeof GROUPINGS)[number];

export interface ObservationOptions {
  readonly groupBy: Grouping;
  /** As in `settings.trustedHops`. */
  readonly trustedHops: number | undefined;
  readonly windowMs: number;
  readonly bounds?: ObservationBounds;
}

export interface LeftOut {
  calls: number;
  readonly examples: Examples;
}

export class Observations {
  readonly options: ObservationOptions;
  readonly #bounds: ObservationBounds;
  readonly hosts = new Map<string, PathTree>();
  readonly all = new Tally();
  /** By reason. */
  readonly leftOut = new Map<string, LeftOut>();
  readonly rates: Rates;
  /** Filled until a call names a caller, and used if none does. */
  readonly ratesOfAddresses: Rates;
  /** Calls that name a caller of the kind asked for. */
  identified = 0;
  covered = 0;
  readonly #room: Room;

  constructor(options: ObservationOptions) {
    this.options = options;
    this.#bounds = options.bounds ?? DEFAULT_BOUNDS;
    this.#room = new Room(this.#bounds.maxPlaces);
    this.rates = new Rates(options.windowMs, this.#bounds.maxCounts);
    this.ratesOfAddresses = new Rates(options.windowMs, this.#bounds.maxCounts);
  }

  add(recorded: Pick<RecordedCall, 'call' | 'timeMs' | 'requests' | 'verdict'>): void {
    const { timeMs, verdict } = recorded;
    this.all.add(timeMs);
    const attributes = recorded.requests[0]?.attributes;
    if (recorded.call !== 'http' || attributes === undefined) return this.#leave('not a call over HTTP', recorded.call);
    const { method, host, path } = targetOf(attributes);
    if (method === undefined || host === undefined || path?.startsWith('/') !== true)
      return this.#leave('no method, host or path', `${method ?? '-'} ${host ?? '-'} ${path ?? '-'}`);
    const urlPath = urlPathOf(path, DEFAULT_ATTRIBUTE_SETTINGS);
    const shown = `${method} ${host}${urlPath}`;
    if (path.length > MAX_PATH || urlPath.split('/').length - 1 > MAX_SEGMENTS)
      return this.#leave(`longer than ${MAX_PATH} characters or ${MAX_SEGMENTS} segments`, shown.slice(0, 200));
    if (!METHODS.has(method)) return this.#leave('the method is unusual', shown);
    const why = suspicion(path, urlPath, textOf(attributes['request.useragent']) ?? headerOf(attributes, 'user-agent'));
    if (why !== undefined) return this.#leave(why, `${method} ${host}${path.replace(/[?#].*$/s, '')}`);
    if (verdict !== undefined && verdict.outcome !== 'allow')
      return this.#leave('refused by the policy in force', `${shown} by ${verdict.rule ?? 'none'}`);
    const code = Number(attributes['response.code']);
    if (REFUSALS.has(code)) return this.#leave(`answered with ${code}`, shown);
    const caller = callerOf(attributes, this.options);
    if ([caller, host, urlPath].some((text) => text.includes(HIDDEN) || text.includes(MASKED)))
      return this.#leave('the host, path or caller is hidden in the record', shown);
    if (caller.length > MAX_CALLER) return this.#leave(`the caller is longer than ${MAX_CALLER} characters`, shown);
    const endpoint = this.#treeOf(host, urlPath);
    if (endpoint === undefined) return this.#leave('more hosts or paths than there is room for', shown);
    endpoint.add(method, caller, urlPath, timeMs, this.#room);
    if (caller !== '') this.identified++;
    this.covered++;
    this.rates.add(host, caller, timeMs);
    if (this.identified === 0) this.ratesOfAddresses.add(host, addressOf(attributes, this.options.trustedHops), timeMs);
  }

  #treeOf(host: string, urlPath: string): ReturnType<PathTree['endpointOf']> {
    let tree = this.hosts.get(host);
    if (tree === undefined) {
      if (this.hosts.size >= this.#bounds.maxHosts) return undefined;
      this.hosts.set(host, (tree = new PathTree()));
    }
    return tree.endpointOf(urlPath, this.#room);
  }

  #leave(reason: string, example: string): void {
    let left = this.leftOut.get(reason);
    if (left === undefined) this.leftOut.set(reason, (left = { calls: 0, examples: new Examples(5) }));
    left.calls++;
    left.examples.add(example);
  }
}

type ByName = Readonly<Record<string, unknown>>;

const textOf = (value: unknown): string | undefined => (typeof value === 'string' && value !== '' ? value : undefined);

const headerOf = (attributes: ByName, name: string): string | undefined =>
  textOf((attributes['request.headers'] as ByName | undefined)?.[name]);

function targetOf(attributes: ByName): Record<'method' | 'host' | 'path', string | undefined> {
  const authority = textOf(attributes['request.authority']) ?? textOf(attributes['request.host']);
  const host = authority === undefined ? undefined : hostOf(authority);
  return {
    method: textOf(attributes['request.method']),
    host: host !== undefined && HOST.test(host) ? host : undefined,
    path: textOf(attributes['request.path']),
  };
}

/** As rules read it; empty without an identity. */
function callerOf(attributes: ByName, { groupBy, trustedHops }: ObservationOptions): string {
  if (groupBy === 'address') return addressOf(attributes, trustedHops);
  const principal = textOf(attributes['source.principal']);
  if (groupBy === 'principal') return principal ?? '';
  const uris = attributes['connection.uri_sans_peer_certificate'];
  const [uri, ...more] = Array.isArray(uris) ? (uris as string[]) : [];
  const proven =
    more.length > 0 ? undefined : (uri ?? (principal === undefined ? undefined : uriOfPrincipal(principal)));
  return (proven === undefined ? undefined : spiffeId(proven)?.namespace) ?? '';
}

function addressOf(attributes: ByName, trustedHops: number | undefined): string {
  const entry =
    trustedHops === undefined
      ? undefined
      : headerOf(attributes, 'x-forwarded-for')
          ?.split(',')
          .at(-1 - trustedHops)
          ?.trim();
  const peer = textOf(attributes['source.ip']);
  const address =
    (entry === undefined ? undefined : parseIpOfPeer(entry)) ?? (peer === undefined ? undefined : parseIp(peer));
  return address === undefined ? '' : String(address);
}
