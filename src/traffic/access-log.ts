/**
 * Envoy's access logs in JSON, as calls that it could have asked about.
 * **In**: an entry, in the default format of Envoy Gateway or Istio, or with keys that the operator names. **Out**: an `http` call; of
 * an entry without a method and a path a `tcp` call. **Fails**: with a text for an entry without a time.
 */
import { uriOfPrincipal } from '../attributes/spiffe.ts';
import { numberOf } from '../attributes/vocabulary.ts';
import type { RecordedCall } from './format.ts';
import { isObject, type JsonObject } from '../text/json-object.ts';
import { shown } from './parse-call.ts';

/** What the value of a key becomes. */
export type Meaning =
  | { readonly kind: 'attribute'; readonly attribute: string }
  | { readonly kind: 'header'; readonly header: string }
  /** An address with its port. */
  | { readonly kind: 'address'; readonly of: 'source' | 'destination' }
  | { readonly kind: 'peer' }
  | { readonly kind: 'time' }
  /** It says nothing about the request as it arrived. */
  | { readonly kind: 'ignored' };

const attribute = (name: string): Meaning => ({ kind: 'attribute', attribute: name });
const header = (name: string): Meaning => ({ kind: 'header', header: name });
const IGNORED: Meaning = { kind: 'ignored' };

/** Of Envoy Gateway's format, of Istio's, and the usual names of other operators. docs/replay.md has the same table. */
export const KEYS: ReadonlyMap<string, Meaning> = new Map<string, Meaning>([
  ['start_time', { kind: 'time' }],
  ['method', attribute('request.method')],
  [':method', attribute('request.method')],
  ['path', attribute('request.path')],
  [':path', attribute('request.path')],
  ['x-envoy-origin-path', attribute('request.path')],
  ['x-envoy-original-path', attribute('request.path')],
  ['authority', attribute('request.authority')],
  [':authority', attribute('request.authority')],
  ['host', attribute('request.authority')],
  ['scheme', attribute('request.scheme')],
  [':scheme', attribute('request.scheme')],
  ['protocol', attribute('request.protocol')],
  ['bytes_received', attribute('request.size')],
  ['requested_server_name', attribute('connection.requested_server_name')],
  ['x-forwarded-for', header('x-forwarded-for')],
  ['x_forwarded_for', header('x-forwarded-for')],
  ['x-forwarded-client-cert', header('x-forwarded-client-cert')],
  ['x_forwarded_client_cert', header('x-forwarded-client-cert')],
  ['user-agent', header('user-agent')],
  ['user_agent', header('user-agent')],
  ['x-request-id', header('x-request-id')],
  ['x_request_id', header('x-request-id')],
  ['request_id', header('x-request-id')],
  ['referer', header('referer')],
  ['content-type', header('content-type')],
  ['traceparent', header('traceparent')],
  ['downstream_remote_address', { kind: 'address', of: 'source' }],
  ['downstream_direct_remote_address', { kind: 'address', of: 'source' }],
  ['downstream_local_address', { kind: 'address', of: 'destination' }],
  ['downstream_peer_uri_san', { kind: 'peer' }],
  ...[
    'response_code',
    'response_code_details',
    'response_flags',
    'connection_termination_details',
    'upstream_transport_failure_reason',
    'bytes_sent',
    'duration',
    'x-envoy-upstream-service-time',
    'upstream_service_time',
    'upstream_host',
    'upstream_cluster',
    'upstream_local_address',
    'route_name',
    'tracestate',
  ].map((key) => [key, IGNORED] as const),
]);

/** The peer of the connection, whatever the order of the keys. */
const DIRECT = 'downstream_direct_remote_address';

const TARGET = /^request\.headers\["([^"]+)"\]$/;

/** The meaning of `KEY=ATTRIBUTE`: an attribute of a check, or `request.headers["name"]`. `undefined`: neither. */
export function meaningOf(target: string): Meaning | undefined {
  const name = TARGET.exec(target)?.[1];
  if (name !== undefined) return header(name.toLowerCase());
  if (target === 'request.time') return { kind: 'time' };
  return numberOf(target) === undefined ? undefined : attribute(target);
}

export class AccessLog {
  readonly #keys: ReadonlyMap<string, Meaning>;
  /** Keys without a meaning, in the order of their first entry. */
  readonly unknown = new Set<string>();

  constructor(own: ReadonlyMap<string, Meaning> = new Map()) {
    this.#keys = new Map([...KEYS, ...own]);
  }

  readonly entryOf = (entry: JsonObject): RecordedCall | string => {
    const attributes: Record<string, unknown> = {};
    const headers: Record<string, string> = {};
    let time: unknown;
    for (const [key, value] of flat(entry)) {
      if (value === null || value === '-' || value === '') continue;
      const meaning = this.#keys.get(key);
      switch (meaning?.kind) {
        case undefined:
          if (this.unknown.size < MAX_UNKNOWN) this.unknown.add(key);
          break;
        case 'time':
          time = value;
          break;
        case 'attribute':
          attributes[meaning.attribute] = NUMBERS.has(meaning.attribute) ? Number(value) : value;
          break;
        case 'header':
          headers[meaning.header] = String(value as string);
          break;
        case 'address':
          if (key === DIRECT || attributes[`${meaning.of}.ip`] === undefined || !(DIRECT in entry))
            Object.assign(attributes, addressOf(meaning.of, String(value as string)));
          break;
        case 'peer':
          Object.assign(attributes, peerOf(String(value as string)));
          break;
        case 'ignored':
      }
    }
    const timeMs = timeOf(time);
    if (timeMs === undefined)
      return `start_time is ${shown(time)}; expected a time such as 2026-01-31T12:00:00Z (name another key by --map KEY=request.time)`;
    const isHttp = 'request.method' in attributes || 'request.path' in attributes;
    if (isHttp) {
      attributes['request.time'] = new Date(timeMs).toISOString();
      attributes['request.headers'] = headers;
    } else {
      for (const name of Object.keys(attributes)) if (name.startsWith('request.')) delete attributes[name];
      Object.assign(attributes, { 'context.protocol': 'tcp', 'connection.event': 'open' });
    }
    return {
      id: headers['x-request-id'] ?? '',
      timeMs,
      call: isHttp ? 'http' : 'tcp',
      tookMs: undefined,
      requests: [{ attributes, carried: {}, filled: {}, answers: {} }],
      verdict: undefined,
    };
  };
}

const MAX_UNKNOWN = 50;
const NUMBERS: ReadonlySet<string> = new Set(['request.size', 'source.port', 'destination.port']);

/** Envoy nests what the format nests; keys are then joined by a dot. */
function* flat(entry: JsonObject, prefix = ''): Generator<readonly [key: string, value: unknown]> {
  for (const key of Object.keys(entry)) {
    const value = entry[key];
    if (isObject(value)) yield* flat(value, `${prefix}${key}.`);
    else yield [prefix + key, value];
  }
}

/** Text, or seconds since 1970. */
function timeOf(time: unknown): number | undefined {
  const ms = typeof time === 'string' ? Date.parse(time) : typeof time === 'number' ? time * 1000 : Number.NaN;
  return Number.isNaN(ms) ? undefined : ms;
}

/** `10.0.0.7:40000`, `[2001:db8::1]:443`; a port may be missing. */
function addressOf(of: 'source' | 'destination', text: string): Readonly<Record<string, unknown>> {
  const bracketed = /^\[([^\]]+)\](?::(\d+))?$/.exec(text);
  const plain = /^([^:]+):(\d+)$/.exec(text);
  const [, ip = text, port] = bracketed ?? plain ?? [];
  return { [`${of}.ip`]: ip, ...(port === undefined ? {} : { [`${of}.port`]: Number(port) }) };
}

/** As Envoy fills a check: all URI SANs, the first of them as the principal. */
function peerOf(text: string): Readonly<Record<string, unknown>> {
  const uris = text.split(',');
  const [first = ''] = uris;
  const principal = first.startsWith('spiffe://') ? first.slice('spiffe://'.length) : first;
  return {
    'source.principal': principal,
    'connection.uri_sans_peer_certificate': uris.map((uri) => uriOfPrincipal(uri) ?? uri),
    'connection.mtls': true,
  };
}
