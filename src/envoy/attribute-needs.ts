/**
 * What Envoy has to send for one attribute.
 * **In**: an attribute, how it is read, and the part of Envoy's configuration that sends the call. **Out**: the needed settings.
 */
import type { Attribute, AttributeRead, AttributeSettings } from '../attributes/attributes.ts';
import type { Carrier } from '../attributes/carrier.ts';

/** `log` and `tcp-log` stand for interim entries, too. */
export type Part = 'http' | 'tcp' | 'limit' | 'log' | 'tcp-log';

export interface Need {
  readonly kind: string;
  readonly name?: string | undefined;
}

interface Reading {
  /** The text of the expression. */
  readonly source: string;
  readonly settings: AttributeSettings;
}

export const JWT_NAMESPACE = 'envoy.filters.http.jwt_authn';

/** Entries of the access log have these without being configured. */
const ALWAYS_LOGGED: ReadonlySet<string> = new Set(['user-agent', 'referer', 'x-forwarded-for', 'x-request-id']);

export function attributeNeeds(
  attribute: Attribute,
  read: AttributeRead,
  part: Part,
  reading: Reading,
): readonly Need[] {
  const { source, name } = attribute;
  const needs: Need[] = [];
  const add = (kind: string, of?: string): void => {
    needs.push({ kind: `${part} ${kind}`, name: of });
  };
  if (source.kind === 'from') for (const carrier of source.carriers) carried(carrier, part, read, add);
  const isCarried = source.kind === 'built-in' && part !== 'limit' && attribute.carriedBy[part] !== undefined;
  if (isCarried && (part === 'http' || part === 'tcp')) ofCheck(attribute, read, part, reading, add);
  if (isCarried && (part === 'log' || part === 'tcp-log')) ofEntry(attribute, read, part, reading, add);
  if (name === 'origin.ip' && reading.settings.trustedHops !== undefined && (part === 'http' || part === 'log'))
    needs.push({ kind: 'hops' });
  if (name === 'origin.ip' && reading.settings.trustedHops === undefined && part === 'http')
    needs.push({ kind: 'peer-ip' });
  if (part === 'http' && (name === 'request.url_path' || name === 'request.path')) needs.push({ kind: 'path' });
  if (part === 'http' && name === 'request.path_is_plain') needs.push({ kind: 'plain-path' });
  return needs;
}

type Add = (kind: string, name?: string) => void;

function carried(carrier: Carrier, part: Part, { guarded }: AttributeRead, add: Add): void {
  const isEntry = part === 'log' || part === 'tcp-log';
  switch (carrier.kind) {
    case 'contextExtension':
      if (part === 'http' || part === 'tcp') add(guarded ? 'extension-if-any' : 'extension', carrier.name);
      return;
    case 'metadata':
      if (part !== 'limit') add(guarded ? 'metadata-if-any' : 'metadata', carrier.namespace);
      return;
    case 'filterState':
      if (isEntry) add('filter-state', carrier.name);
      return;
    case 'customTag':
      if (isEntry) add(guarded ? 'custom-tag-if-any' : 'custom-tag', carrier.name);
      return;
    case 'header':
      if (part === 'log' && !ALWAYS_LOGGED.has(carrier.name)) add('request-header', carrier.name);
  }
}

function ofCheck(
  { name, carriedBy }: Attribute,
  read: AttributeRead,
  part: 'http' | 'tcp',
  { source, settings }: Reading,
  add: Add,
): void {
  const field = carriedBy[part] ?? '';
  if (name === 'request.body' || name === 'request.raw_body') add('body');
  if (name === 'request.raw_body') add('raw-body');
  if (name === 'request.body_is_partial') add('partial-body');
  if (name === 'request.size' && part === 'http') add('size');
  if (field.includes('include_peer_certificate'))
    add(
      name === 'connection.uri_sans_peer_certificate' || name === 'connection.mtls'
        ? 'certificate-names'
        : 'certificate',
    );
  if (name.startsWith('source.spiffe.')) add('certificate-names');
  if (isOfClientCertificate(name)) {
    if (part === 'http' && settings.trustedCertificateHops !== undefined) add('forwarded-certificate');
    else if (/\.(?:dns_sans|subject|sha256)$/.test(name)) add('certificate');
    else if (name !== 'origin.principal') add('certificate-names');
  }
  if (name === 'connection.requested_server_name') add('session');
  if (field.startsWith('context_extensions[')) add(read.guarded ? 'extension-if-any' : 'extension', name);
  if (name === 'destination.labels') {
    if (part === 'http') add('labels');
    else add('extension-if-any', name);
  }
  if (name === 'request.header_values') add('raw-headers');
  if (name.startsWith('request.auth.')) add(read.guarded ? 'metadata-if-any' : 'metadata', JWT_NAMESPACE);
  if (name === 'metadata') {
    for (const { key, guarded } of read.keys) add(guarded || read.guarded ? 'metadata-if-any' : 'metadata', key);
    if (readsWhole(read, source)) add('all-metadata');
  }
  if (name === 'context.route_metadata') {
    for (const { key } of read.keys) add('route-metadata', key);
    if (readsWhole(read, source)) add('all-route-metadata');
  }
}

const isOfClientCertificate = (name: string): boolean =>
  name === 'origin.principal' || name.startsWith('origin.spiffe.') || name.startsWith('origin.certificate.');

/** Maps of an entry that have the configured names alone. */
const LOGGED_MAPS: Readonly<Record<string, string>> = {
  'request.headers': 'request-header',
  'request.header_values': 'request-header',
  'response.headers': 'response-header',
  'response.trailers': 'response-trailer',
};

function ofEntry(
  { name, carriedBy }: Attribute,
  read: AttributeRead,
  part: 'log' | 'tcp-log',
  { source, settings }: Reading,
  add: Add,
): void {
  add('attribute', name);
  for (const [, state = ''] of (carriedBy[part] ?? '').matchAll(/filter_state_objects\["([^"]+)"\]/g))
    add('filter-state', state);
  if (name.endsWith('.grpc_messages')) add('grpc-stats');
  if (name.startsWith('verdict.limit_')) add('limit-verdict');
  else if (name.startsWith('verdict.')) add('verdict');
  if (name.startsWith('request.auth.')) add('metadata', JWT_NAMESPACE);
  if (name === 'metadata') for (const { key } of read.keys) add('metadata', key);
  if (name === 'trace.id' || name === 'trace.span_id') add('trace');
  if (part === 'tcp-log') return;
  const map = LOGGED_MAPS[name];
  if (map !== undefined) {
    for (const key of keysOf(read, source))
      add(map === 'request-header' && ALWAYS_LOGGED.has(key) ? 'known-header' : map, key);
    if (readsWhole(read, source)) add(`all-${map}s`);
  }
  if (name === 'request.api_key') add('request-header', 'x-api-key');
  if (name === 'context.protocol') add('request-header', 'content-type');
  if (name === 'trace.id' || name === 'trace.parent_span_id') add('trace-header');
  if (isOfClientCertificate(name) && settings.trustedCertificateHops !== undefined)
    add('request-header', 'x-forwarded-client-cert');
  if (name === 'response.grpc_status' || name === 'response.grpc_message') {
    const header = name === 'response.grpc_status' ? 'grpc-status' : 'grpc-message';
    add('response-trailer', header);
    add('response-header', header); // of a response without a body
  }
}

/** `"x-user" in request.headers`, which is no read of a constant key. */
const inMap = (name: string): RegExp => new RegExp(`["']([^"']+)["']\\s+in\\s+${name.replaceAll('.', '\\.')}\\b`, 'g');

function keysOf({ name, keys }: AttributeRead, source: string): readonly string[] {
  const tested = [...source.matchAll(inMap(name))].map(([, key = '']) => key.toLowerCase());
  return [...new Set([...keys.map(({ key }) => key.toLowerCase()), ...tested])];
}

/** Reads of constant keys do not expose the map itself. */
function readsWhole({ name, exposed }: AttributeRead, source: string): boolean {
  if (!exposed) return false;
  const without = source.replaceAll(inMap(name), '');
  return new RegExp(`\\b${name.replaceAll('.', '\\.')}\\b(?!\\s*(?:\\[|\\.[a-z_]+\\b(?!\\s*\\()))`).test(without);
}
