/**
 * A request that is written by hand: attributes by name, in YAML or JSON.
 * **In**: plain values by attribute name, and carried values. **Out**: a wire.
 * **Fails**: with an {@link AttributeError} that names the attribute: it is unknown, or its value has another type.
 */
import type { Attribute, Attributes } from './attributes.ts';
import type { Wire } from './bag.ts';
import type { CallKind, Carrier } from './carrier.ts';
import { AttributeError } from './errors.ts';
import { type Json, jsonAt, valueOfJson } from './json-value.ts';
import { labelsOf } from './labels.ts';
import { meant } from '../text/nearest.ts';
import { valueOfPlain, wantedForm } from './plain-value.ts';
import { uriOfPrincipal } from './spiffe.ts';
import type { Value } from './values.ts';

/** Values that a proxy sends under names that the operator chose. */
export interface PlainCarried {
  readonly contextExtension?: Readonly<Record<string, string>> | undefined;
  readonly customTag?: Readonly<Record<string, string>> | undefined;
  readonly filterState?: Readonly<Record<string, unknown>> | undefined;
  /** By namespace; adds to the attribute `metadata`. */
  readonly metadata?: Readonly<Record<string, unknown>> | undefined;
}

/**
 * Values may be given for built-in attributes, and for attributes of the policy that come `from` a wire. Defaults:
 * `ratelimit.entries` and `ratelimit.descriptor` are made from each other, `ratelimit.hits` is 1, the maps that `call`
 * always carries are empty, `request.host` is the authority, and the URI SAN of a SPIFFE principal is the principal. Derived attributes are
 * derived as usual.
 */
export function plainWire(
  attributes: Attributes,
  given: Readonly<Record<string, unknown>>,
  carried: PlainCarried = {},
  call?: CallKind,
): Wire {
  const values = new Map<string, Value>();
  const sent = new Map<string, Value>();
  for (const [name, plain] of Object.entries(given)) {
    const { attribute, value } = converted(attributes, name, plain);
    const [carrier] = attribute.source.kind === 'from' ? attribute.source.carriers : [];
    if (carrier === undefined)
      values.set(name === 'request.host' && !('request.authority' in given) ? 'request.authority' : name, value);
    else sent.set(placeOf(carrier), valueOfJson(plain as Json));
  }
  completeBody(values);
  completeIdentity(values);
  if (call?.startsWith('tcp') === true && !values.has('context.protocol')) values.set('context.protocol', 'tcp');
  completeLimit(values, given);
  completeMetadata(values, carried);
  for (const name of attributes.names()) {
    const { type, always, carriedBy, source } = attributes.at(attributes.slotOf(name) ?? 0);
    const there = always && type.kind === 'map' && source.kind === 'built-in' && source.derive === undefined;
    if (there && !values.has(name) && (call === undefined || carriedBy[call] !== undefined))
      values.set(name, new Map());
  }
  if (!('destination.labels' in given)) completeLabels(values, carried);
  return new PlainWire(values, sent, carried, given);
}

function converted(
  attributes: Attributes,
  name: string,
  plain: unknown,
): { readonly attribute: Attribute; readonly value: Value } {
  const slot = attributes.slotOf(name);
  if (slot === undefined) {
    throw new AttributeError(
      'ATTRIBUTE_UNKNOWN',
      name,
      `no attribute is named ${name}${meant(name, attributes.names()) || ': docs/attributes.md lists them'}`,
    );
  }
  const attribute = attributes.at(slot);
  if (attribute.source.kind === 'is')
    throw new AttributeError(
      'ATTRIBUTE_VALUE',
      name,
      `${name} is a named expression of the policy; give the attributes that it reads instead`,
    );
  if (attribute.source.kind === 'filled')
    throw new AttributeError(
      'ATTRIBUTE_VALUE',
      name,
      `${name} is filled by a handler; write the handler's answer under given instead`,
    );
  const value = valueOfPlain(plain, attribute.type);
  if (value !== undefined) return { attribute, value: name === 'request.headers' ? lowered(value) : value };
  throw new AttributeError(
    'ATTRIBUTE_VALUE',
    name,
    `${name} is ${shown(plain)}; expected ${wantedForm(attribute.type)}`,
  );
}

const placeOf = (carrier: Carrier): string => JSON.stringify(carrier);

const shown = (plain: unknown): string =>
  typeof plain === 'bigint' ? String(plain) : (JSON.stringify(plain) ?? 'nothing');

const lowered = (headers: Value): Value =>
  new Map([...(headers as ReadonlyMap<string, Value>)].map(([name, value]) => [name.toLowerCase(), value]));

/** As over the wire: a partial body is absent. */
function completeBody(values: Map<string, Value>): void {
  const headers = values.get('request.headers') as ReadonlyMap<string, string> | undefined;
  if (headers?.get('x-envoy-auth-partial-body') !== 'true') return;
  values.delete('request.body');
  values.delete('request.raw_body');
}

/** As over the wire: a SPIFFE ID is the URI SAN of the certificate. */
function completeIdentity(values: Map<string, Value>): void {
  const all = 'connection.uri_sans_peer_certificate';
  if (values.has(all)) return;
  const principal = values.get('source.principal') as string | undefined;
  const first =
    values.get('connection.uri_san_peer_certificate') ??
    (principal === undefined ? undefined : uriOfPrincipal(principal));
  if (first !== undefined) values.set(all, [first]);
}

function completeLimit(values: Map<string, Value>, given: Readonly<Record<string, unknown>>): void {
  const isLimit = ['ratelimit.domain', 'ratelimit.descriptor', 'ratelimit.entries'].some((name) => name in given);
  if (!isLimit) return;
  const descriptor = values.get('ratelimit.descriptor') as ReadonlyMap<string, string> | undefined;
  const entries = values.get('ratelimit.entries') as readonly ReadonlyMap<string, string>[] | undefined;
  if (entries === undefined)
    values.set(
      'ratelimit.entries',
      [...(descriptor ?? [])].map(
        ([key, value]) =>
          new Map([
            ['key', key],
            ['value', value],
          ]),
      ),
    );
  if (descriptor === undefined && entries !== undefined) {
    // The first of a repeated key wins: a Map keeps the last, so the order is reversed.
    values.set(
      'ratelimit.descriptor',
      new Map(entries.toReversed().map((entry) => [entry.get('key') ?? '', entry.get('value') ?? ''])),
    );
  }
  if (!values.has('ratelimit.hits')) values.set('ratelimit.hits', 1);
}

function completeMetadata(values: Map<string, Value>, carried: PlainCarried): void {
  if (carried.metadata === undefined) return;
  const metadata = new Map(values.get('metadata') as ReadonlyMap<string, Value> | undefined);
  for (const [namespace, json] of Object.entries(carried.metadata)) metadata.set(namespace, valueOfJson(json as Json));
  values.set('metadata', metadata);
}

/** As over the wire: labels that are not of the form are absent. */
function completeLabels(values: Map<string, Value>, { contextExtension }: PlainCarried): void {
  const text = contextExtension?.['destination.labels'];
  if (text === undefined) return;
  const labels = labelsOf(text);
  if (labels === undefined) values.delete('destination.labels');
  else values.set('destination.labels', labels);
}

class PlainWire implements Wire {
  /** Small, since it is written by hand. */
  readonly weight = 0;
  readonly #values: ReadonlyMap<string, Value>;
  readonly #sent: ReadonlyMap<string, Value>;
  readonly #carried: PlainCarried;
  readonly #metadata: Readonly<Record<string, unknown>>;

  constructor(
    values: ReadonlyMap<string, Value>,
    sent: ReadonlyMap<string, Value>,
    carried: PlainCarried,
    given: Readonly<Record<string, unknown>>,
  ) {
    this.#values = values;
    this.#sent = sent;
    this.#carried = carried;
    this.#metadata = { ...(given['metadata'] as Readonly<Record<string, unknown>> | undefined), ...carried.metadata };
  }

  keep(): void {}

  read(attribute: string): Value | undefined {
    return this.#values.get(attribute);
  }

  carried(carrier: Carrier): Value | undefined {
    const sent = this.#sent.size === 0 ? undefined : this.#sent.get(placeOf(carrier));
    if (sent !== undefined) return sent;
    switch (carrier.kind) {
      case 'contextExtension':
        return this.#carried.contextExtension?.[carrier.name];
      case 'customTag':
        return this.#carried.customTag?.[carrier.name];
      case 'filterState':
        return jsonValue(this.#carried.filterState?.[carrier.name]);
      case 'metadata':
        return jsonValue(jsonAt(this.#metadata as Json, [carrier.namespace, ...carrier.path]));
      case 'header':
        return (this.#values.get('request.headers') as ReadonlyMap<string, Value> | undefined)?.get(
          carrier.name.toLowerCase(),
        );
    }
  }
}

const jsonValue = (json: unknown): Value | undefined => (json === undefined ? undefined : valueOfJson(json as Json));
