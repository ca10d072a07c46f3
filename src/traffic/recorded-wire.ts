/**
 * A recorded request as a wire. Unlike `plainWire`, which checks text that somebody wrote, it converts a value when a rule reads it.
 * **In**: a recorded request. **Out**: its attributes. **Fails**: never; a value that is not of its type is absent.
 */
import type { Attribute } from '../attributes/attributes.ts';
import type { Wire } from '../attributes/bag.ts';
import type { Carrier } from '../attributes/carrier.ts';
import { type Json, jsonAt, mapOfJson, valueOfJson } from '../attributes/json-value.ts';
import { valueOfPlain } from '../attributes/plain-value.ts';
import type { Type } from '../attributes/types.ts';
import { canonicalInt, Timestamp, type Value } from '../attributes/values.ts';
import { byNumber, numberOf, VOCABULARY } from '../attributes/vocabulary.ts';
import type { DecidedKind, RecordedCall, RecordedRequest } from './format.ts';
import { EMPTY_MAPS } from './recorded-attributes.ts';

export class RecordedWire implements Wire {
  /** A line is small, and outlives its call by nothing. */
  readonly weight = 0;
  readonly call: DecidedKind;
  readonly timeMs: number;
  readonly request: RecordedRequest;

  constructor(call: DecidedKind, timeMs: number, request: RecordedRequest) {
    this.call = call;
    this.timeMs = timeMs;
    this.request = request;
  }

  keep(): void {}

  read(attribute: string, number = numberOf(attribute)): Value | undefined {
    if (number === undefined) return undefined;
    const json = this.request.attributes[attribute];
    if (json !== undefined) return valueOf(json, (VOCABULARY[number] as Attribute).type);
    return ELSEWHERE[number]?.(this) ?? (EMPTY_MAPS[this.call].has(number) ? EMPTY : undefined);
  }

  carried(carrier: Carrier): Value | undefined {
    const { carried } = this.request;
    switch (carrier.kind) {
      case 'contextExtension': {
        const { contextExtension = {} } = carried;
        const { name } = carrier;
        // Over HTTP the names are lower case.
        const text: unknown = own(contextExtension, name) ?? own(contextExtension, name.toLowerCase());
        return typeof text === 'string' ? text : undefined;
      }
      case 'metadata': {
        const json = jsonAt(carried.metadata as Json | undefined, [carrier.namespace, ...carrier.path]);
        return json === undefined ? undefined : valueOfJson(json);
      }
      case 'header': {
        const headers = this.request.attributes['request.headers'];
        const text =
          typeof headers === 'object' && headers !== null ? own(headers, carrier.name.toLowerCase()) : undefined;
        return typeof text === 'string' ? text : undefined;
      }
      case 'filterState':
      case 'customTag':
        return undefined; // of access logs alone
    }
  }
}

export const wiresOf = ({ call, timeMs, requests }: RecordedCall): readonly RecordedWire[] =>
  requests.map((request) => new RecordedWire(call, timeMs, request));

const EMPTY: ReadonlyMap<string, Value> = new Map();

const own = (map: object, name: string): unknown =>
  Object.hasOwn(map, name) ? (map as Readonly<Record<string, unknown>>)[name] : undefined;

/** Attributes that a line has elsewhere. */
const ELSEWHERE = byNumber<(wire: RecordedWire) => Value | undefined>({
  'context.time': ({ timeMs }) => Timestamp.fromMs(timeMs),
  metadata: ({ request }) =>
    typeof request.carried.metadata === 'object' && request.carried.metadata !== null
      ? mapOfJson(request.carried.metadata as Readonly<Record<string, Json>>)
      : undefined,
  'ratelimit.descriptor': (wire) => {
    const entries = wire.read('ratelimit.entries') as readonly ReadonlyMap<string, string>[] | undefined;
    // The first of a repeated key wins: a Map keeps the last, so the order is reversed.
    return entries === undefined
      ? undefined
      : new Map(entries.toReversed().map((entry) => [entry.get('key') ?? '', entry.get('value') ?? '']));
  },
  'request.raw_body': ({ request }) => {
    const text = request.attributes['request.body'];
    return typeof text === 'string' ? Buffer.from(text) : undefined;
  },
});

function valueOf(json: unknown, type: Type): Value | undefined {
  switch (type.kind) {
    case 'string':
    case 'bool':
    case 'double':
      return typeof json === (type.kind === 'string' ? 'string' : type.kind === 'bool' ? 'boolean' : 'number')
        ? (json as Value)
        : undefined;
    case 'int':
      return typeof json === 'string' && /^-?\d{1,19}$/.test(json)
        ? canonicalInt(BigInt(json))
        : valueOfPlain(json, type);
    case 'map':
      return (
        (type.of.kind === 'string' && type.key.kind === 'string' ? mapOfTexts(json) : undefined) ??
        valueOfPlain(json, type)
      );
    case 'bytes':
      return typeof json === 'string' ? Buffer.from(json, 'base64') : undefined;
    default:
      return valueOfPlain(json, type);
  }
}

/** Headers and labels. `undefined` if some value is not text. */
function mapOfTexts(json: unknown): ReadonlyMap<string, string> | undefined {
  if (typeof json !== 'object' || json === null || Array.isArray(json)) return undefined;
  const map = new Map<string, string>();
  for (const [name, text] of Object.entries(json)) {
    if (typeof text !== 'string') return undefined;
    map.set(name, text);
  }
  return map;
}
