/**
 * **In**: a request as a proxy presents it over HTTP. **Out**: the attributes that the same request has through gRPC, as far as HTTP
 * carries them ([http.md](../../../docs/http.md)); the rest is absent. **Fails**: never.
 */
import type { Wire } from '../../attributes/bag.ts';
import type { Carrier } from '../../attributes/carrier.ts';
import { parseIp, parseIpOfPeer } from '../../attributes/network.ts';
import { Timestamp, type Value } from '../../attributes/values.ts';
import { byNumber, numberOf } from '../../attributes/vocabulary.ts';
import { lowerAscii } from '../../protobuf/header-map.ts';
import { wholeBodyBytes } from '../../text/received-header.ts';
import { mayHaveBody, principalOf } from '../wire-values.ts';
import type { HeaderLines } from './header-lines.ts';
import { ownHeaders, type Presented } from './presented.ts';
import type { HttpRoute, ProxyDialect, Trustable } from './routes.ts';

/** Envoy sets it if it sends the body: `true` if that is incomplete. */
const PARTIAL_BODY = 'x-envoy-auth-partial-body';

/** A route of a proxy as the wires of its calls need it. */
export interface RunningRoute extends HttpRoute {
  readonly dialect: ProxyDialect;
  readonly own: ReadonlySet<string>;
}

/** `undefined` for a route of AuthZEN. */
export function runningRoute(route: HttpRoute): RunningRoute | undefined {
  const { dialect } = route;
  return dialect === 'authzen' ? undefined : { ...route, dialect, own: ownHeaders(route) };
}

export class HttpWire implements Wire {
  readonly route: RunningRoute;
  readonly presented: Presented;
  readonly lines: HeaderLines;
  readonly arrivedAtMs: number;
  /** As Envoy sends it; other dialects send none. */
  readonly body: Buffer | undefined;
  readonly nowMs: () => number;
  #headers: ReadonlyMap<string, string> | undefined;

  constructor(
    route: RunningRoute,
    asked: Presented,
    lines: HeaderLines,
    body: Buffer | undefined,
    nowMs: () => number,
  ) {
    this.route = route;
    this.presented = asked;
    this.lines = lines;
    this.body = body;
    this.nowMs = nowMs;
    this.arrivedAtMs = nowMs();
  }

  read(attribute: string, number = numberOf(attribute)): Value | undefined {
    return number === undefined ? undefined : READERS[number]?.(this);
  }

  carried(carrier: Carrier): Value | undefined {
    switch (carrier.kind) {
      case 'contextExtension':
        return this.extension(carrier.name);
      case 'header':
        return this.headers().get(lowerAscii(carrier.name));
      case 'metadata':
      case 'filterState':
      case 'customTag':
        return undefined;
    }
  }

  /** By the names that header lines have, which are lower case. */
  contextExtensions(): ReadonlyMap<string, string> {
    const { extensions } = this.route;
    const all = new Map<string, string>();
    if (extensions === undefined) return all;
    for (const line of this.lines.map.keys()) {
      const value = line.startsWith(extensions) ? this.#single(line) : undefined;
      if (value !== undefined) all.set(line.slice(extensions.length), value);
    }
    return all;
  }

  get weight(): number {
    let bytes = this.body?.length ?? 0;
    for (const [name, value] of this.lines.map) bytes += name.length + value.length;
    return bytes;
  }

  /** Nothing is shared with the connection. */
  keep(): void {}

  /** With the pseudo headers that Envoy sends by gRPC, and without the lines of the proxy's own request. */
  headers(): ReadonlyMap<string, string> {
    if (this.#headers === undefined) {
      const { method, path, authority, scheme } = this.presented;
      const { own, extensions } = this.route;
      const headers = new Map([
        [':method', method],
        [':path', path],
        [':authority', authority],
      ]);
      if (scheme !== undefined) headers.set(':scheme', scheme);
      for (const [name, value] of this.lines.map)
        if (!own.has(name) && (extensions === undefined || !name.startsWith(extensions))) headers.set(name, value);
      this.#headers = headers;
    }
    return this.#headers;
  }

  /** Header names are case-insensitive, so names of extensions are here. */
  extension(name: string): string | undefined {
    const { extensions } = this.route;
    return extensions === undefined ? undefined : this.#single(`${extensions}${lowerAscii(name)}`);
  }

  /** The value of a header that the operator trusts for this attribute. */
  trusted(attribute: Trustable): string | undefined {
    const header = this.route.trusted[attribute];
    return header === undefined ? undefined : this.#single(header);
  }

  /** A header that is sent twice may have a line of the client's. */
  #single(header: string): string | undefined {
    return this.lines.repeatedAmong([header]) === undefined ? present(this.lines.map.get(header)) : undefined;
  }
}

/** Envoy writes `-` for a value that it lacks. */
const present = (text: string | undefined): string | undefined => (text === '' || text === '-' ? undefined : text);

/**
 * Proxies append their peer to X-Forwarded-For; Envoy does so only where it is an edge, so its peer is taken from a trusted header alone.
 */
function peerOf(wire: HttpWire): Value | undefined {
  const trusted = wire.trusted('source.ip');
  if (trusted !== undefined) return parseIpOfPeer(trusted);
  if (wire.route.dialect === 'envoy') return undefined;
  const last = wire.lines.map.get('x-forwarded-for')?.split(',').at(-1)?.trim();
  return last === undefined ? undefined : parseIpOfPeer(last);
}

const address =
  (attribute: Trustable): Reader =>
  (wire) => {
    const text = wire.trusted(attribute);
    return text === undefined ? undefined : parseIp(text);
  };
const port =
  (attribute: Trustable): Reader =>
  (wire) => {
    const text = wire.trusted(attribute);
    return text !== undefined && /^\d{1,5}$/.test(text) ? Number(text) : undefined;
  };

/** Only Envoy says whether the body is sent, and whole; a rule must not decide by a part that a client chose. */
function bodyOf({ body, lines, route }: HttpWire): Buffer | undefined {
  return partialOf(route, lines) === 'false' ? (body ?? NOTHING) : undefined;
}
/** Envoy drops a client's; other proxies pass it on. */
const partialOf = ({ dialect }: HttpRoute, { map }: HeaderLines): string | undefined =>
  dialect === 'envoy' ? map.get(PARTIAL_BODY) : undefined;
const NOTHING = Buffer.alloc(0);

/**
 * Envoy sends a length of its own, so the client's comes in a trusted header, as does what it has received. A body whose length nobody
 * knows has none, since 0 would evade each limit.
 */
function bodySize(wire: HttpWire): Value | undefined {
  const { route, lines, body } = wire;
  const stated = wire.trusted('request.size');
  if (stated !== undefined && /^\d{1,15}$/.test(stated)) return Number(stated);
  if (route.received !== undefined) return wholeBodyBytes(lines.map.get(route.received) ?? '');
  if (route.trusted['request.size'] === undefined) return bodyOf(wire)?.length;
  const [partial, bytes] = [partialOf(route, lines), body?.length ?? 0];
  const isUnknown = bytes === 0 && partial === undefined && mayHaveBody(wire.presented.method);
  return isUnknown || partial === 'true' ? undefined : bytes;
}

const EMPTY: ReadonlyMap<string, string> = new Map();

type Reader = (wire: HttpWire) => Value | undefined;
const READERS = byNumber<Reader>({
  'request.method': ({ presented }) => presented.method,
  'request.path': ({ presented }) => presented.path,
  'request.authority': ({ presented }) => presented.authority,
  'request.scheme': ({ presented }) => presented.scheme,
  'request.protocol': (wire) => wire.trusted('request.protocol'),
  'request.headers': (wire) => wire.headers(),
  'request.time': ({ arrivedAtMs }) => Timestamp.fromMs(arrivedAtMs),
  'request.size': bodySize,
  'request.body': (wire) => bodyOf(wire)?.toString('utf8'),
  'request.raw_body': bodyOf,
  'source.ip': peerOf,
  'source.port': port('source.port'),
  'source.principal': (wire) => principalOf(wire.trusted('source.principal')),
  'source.cluster': ({ route, lines }) =>
    route.dialect === 'envoy' ? lines.map.get('x-envoy-downstream-service-cluster') : undefined,
  'destination.ip': address('destination.ip'),
  'destination.port': port('destination.port'),
  'destination.principal': (wire) => principalOf(wire.trusted('destination.principal')),
  'destination.labels': () => EMPTY,
  'connection.requested_server_name': (wire) => wire.trusted('connection.requested_server_name'),
  'context.time': ({ nowMs }) => Timestamp.fromMs(nowMs()),
  'context.stream_id': (wire) => wire.trusted('context.stream_id'),
  'context.route_metadata': () => EMPTY,
  metadata: () => EMPTY,
});
