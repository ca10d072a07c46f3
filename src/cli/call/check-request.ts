/** CheckRequest: from its own JSON form (recognised by the key `attributes`), or from attributes by name. */
import { fromJson, type JsonObject, type JsonValue } from '@bufbuild/protobuf';
import { uriOfPrincipal } from '../../attributes/spiffe.ts';
import { VOCABULARY } from '../../attributes/vocabulary.ts';
import { RECEIVED_HEADER, receivedHeader } from '../../text/received-header.ts';
import { CheckRequestSchema, type CheckRequest } from '../../../gen/envoy/service/auth/v3/external_auth_pb.ts';
import {
  asHeaders,
  asText,
  asTextMap,
  asTimestamp,
  at,
  fill,
  flat,
  isObject,
  put,
  wrong,
  type Places,
} from './short-form.ts';

const HTTP = 'attributes.request.http';
const header = (name: string) => ({ path: ['attributes', 'request', 'http', 'headers', name], write: asText });
const pem = (value: JsonValue, name: string): JsonValue => encodeURIComponent(asText(value, name));

/** As Envoy sends it: a SPIFFE ID is a URI. */
const asPrincipal = (value: JsonValue, name: string): JsonValue => {
  const text = asText(value, name);
  return uriOfPrincipal(text) ?? text;
};

/** As with encode_raw_headers. */
const asRawHeaders = (value: JsonValue, name: string): JsonValue => {
  if (!isObject(value)) throw wrong(`${name} is ${JSON.stringify(value)}; expected a map of names to lists of values`);
  return Object.entries(value).flatMap(([key, values]) =>
    [values as JsonValue].flat().map((one) => ({
      key: key.toLowerCase(),
      rawValue: Buffer.from(asText(one, name)).toString('base64'),
    })),
  );
};

const PLACES: Places = {
  'request.method': at(`${HTTP}.method`, asText),
  'request.path': at(`${HTTP}.path`, asText),
  'request.host': at(`${HTTP}.host`, asText),
  'request.authority': at(`${HTTP}.host`, asText),
  'request.scheme': at(`${HTTP}.scheme`, asText),
  'request.protocol': at(`${HTTP}.protocol`, asText),
  'request.headers': at(`${HTTP}.headers`, asHeaders),
  'request.header_values': at(`${HTTP}.headerMap.headers`, asRawHeaders),
  'request.size': at(`${HTTP}.size`),
  'request.body': at(`${HTTP}.body`, asText),
  'request.raw_body': at(`${HTTP}.rawBody`, asText),
  'request.time': at('attributes.request.time', asTimestamp),
  'request.id': header('x-request-id'),
  'request.useragent': header('user-agent'),
  'request.referer': header('referer'),
  'request.api_key': header('x-api-key'),
  'source.ip': at('attributes.source.address.socketAddress.address', asText),
  'source.port': at('attributes.source.address.socketAddress.portValue'),
  'source.principal': at('attributes.source.principal', asPrincipal),
  'source.cluster': at('attributes.source.service', asText),
  'destination.ip': at('attributes.destination.address.socketAddress.address', asText),
  'destination.port': at('attributes.destination.address.socketAddress.portValue'),
  'destination.principal': at('attributes.destination.principal', asText),
  'destination.labels': at('attributes.destination.labels', asTextMap),
  'connection.requested_server_name': at('attributes.tlsSession.sni', asText),
  'connection.peer_certificate': at('attributes.source.certificate', pem),
  'context.stream_id': at(`${HTTP}.id`, asText),
  'context.route_metadata': at('attributes.routeMetadataContext.filterMetadata'),
  metadata: at('attributes.metadataContext.filterMetadata'),
  contextExtension: at('attributes.contextExtensions', asTextMap),
};

/** Attributes without a field in ext_authz; a context extension of their name carries them (docs/rules.md#3-attributes). */
const BY_EXTENSION = new Set(
  VOCABULARY.filter(({ source }) => source.kind === 'built-in' && source.extension === true).map(({ name }) => name),
);

const OF_PATH = new Set(['request.url_path', 'request.query', 'request.query_params']);
const KNOWN = new Set([...Object.keys(PLACES), ...BY_EXTENSION, ...OF_PATH, 'origin.ip', 'call']);

/** Adds the fields that Envoy always sends; `call: tcp` makes a request of the network filter. */
export function checkRequest(request: unknown): CheckRequest {
  if (isObject(request) && 'attributes' in request) return fromJson(CheckRequestSchema, request);
  const given = new Map(flat(request, KNOWN));
  const call = given.get('call') ?? 'http';
  if (call !== 'http' && call !== 'tcp')
    throw wrong(`call is ${JSON.stringify(call)}; expected http or tcp for a check`);
  if (call === 'tcp') {
    const misplaced = [...given.keys()].find((name) => name.startsWith('request.') && name !== 'request.time');
    if (misplaced !== undefined)
      throw wrong(`${misplaced} is not carried by a tcp check; remove it, or write call: http`);
  }
  const message = beginning(call, given);
  const values = [...given].filter(([name]) => name !== 'call' && !OF_PATH.has(name) && name !== 'origin.ip');
  fill(message, values, {
    places: PLACES,
    wire: 'ext_authz',
    otherwise: (into, name, value) => {
      if (!BY_EXTENSION.has(name)) return false;
      put(into, ['attributes', 'contextExtensions', name], asText(value, name));
      return true;
    },
  });
  return fromJson(CheckRequestSchema, message);
}

/** What Envoy says of the same request in headers of its call: `request.size` is that of a whole body. */
export function checkMetadata(request: unknown): Readonly<Record<string, string>> {
  if (isObject(request) && 'attributes' in request) return {};
  const size = new Map(flat(request, KNOWN)).get('request.size');
  return size === undefined ? {} : { [RECEIVED_HEADER]: receivedHeader(Number(size)) };
}

function beginning(call: string, given: ReadonlyMap<string, JsonValue>): JsonObject {
  // Without settings.trustedHops the client's address is the peer's.
  const peer = given.get('origin.ip') ?? '127.0.0.1';
  const attributes: JsonObject = {
    source: { address: { socketAddress: { address: peer, portValue: 0 } } },
    destination: { address: { socketAddress: { address: '127.0.0.1', portValue: 0 } } },
    request: { time: new Date().toISOString() },
  };
  if (call === 'http') {
    put(attributes, ['request', 'http'], {
      method: 'GET',
      path: pathOf(given),
      host: 'localhost',
      scheme: 'http',
      protocol: 'HTTP/1.1',
      headers: {},
    });
  }
  return { attributes };
}

function pathOf(given: ReadonlyMap<string, JsonValue>): string {
  const path = asText(given.get('request.url_path') ?? '/', 'request.url_path');
  const query = given.get('request.query') ?? given.get('request.query_params');
  return query === undefined ? path : `${path}?${new URLSearchParams(asTextMap(query, 'request.query')).toString()}`;
}
