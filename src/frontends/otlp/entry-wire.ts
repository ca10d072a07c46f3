/**
 * A log record that is an entry of an access log, with attributes under their own names, formatted by a proxy.
 * **In**: a record with `sluice.call`. **Out**: the values that an access log stream would bring, in calls of the same kinds.
 * **Fails**: to be read, with the reason, if a value does not have the form of its type.
 */
import type { Wire } from '../../attributes/bag.ts';
import type { Carrier } from '../../attributes/carrier.ts';
import { type Json, jsonAt, valueOfJson } from '../../attributes/json-value.ts';
import { type LogPhase, phaseOfType } from '../../attributes/log-phase.ts';
import type { Type } from '../../attributes/types.ts';
import type { Duration, Timestamp, Value } from '../../attributes/values.ts';
import { numberOf, VOCABULARY } from '../../attributes/vocabulary.ts';
import { absentWhereMalformed } from '../../protobuf/malformed.ts';
import { utf8Text } from '../../protobuf/utf8-text.ts';
import { type ByteTotals, NO_TOTALS } from '../connection-bytes.ts';
import { later } from '../wire-values.ts';
import { ANY_VALUE, AnyCase, eachItem } from './any-value.ts';
import { DERIVED } from './derived-attributes.ts';
import { EntryNames, FILTER_STATE } from './entry-names.ts';
import { formattedValue, jsonOf, problemOf } from './formatted-value.ts';
import { KEY_VALUE } from './key-value.ts';
import { hexId, timeAt } from './record-wire.ts';
import { RANGE_PARTS, type RecordScan } from './record-scan.ts';

const RECORD_NAMES = new EntryNames(false);
const RESOURCE_NAMES = new EntryNames(true);

/** Where the value of an attribute is: its bytes, and its range in them. */
interface Place {
  readonly bytes: Buffer;
  readonly from: number;
  readonly to: number;
}

/** Of a resource, by number of the attribute. */
type ResourcePlaces = ReadonlyMap<number, Place> | { readonly problem: string };

/** The kind of access log that a record names; a problem otherwise. */
export function entryKind({ bytes, attributes, callAt }: RecordScan): 'log' | 'tcp-log' | { readonly problem: string } {
  ANY_VALUE.read(bytes, attributes[callAt + 2] as number, attributes[callAt + 3] as number);
  const text = ANY_VALUE.case === AnyCase.STRING ? utf8Text(bytes, ANY_VALUE.from, ANY_VALUE.to) : undefined;
  return text === 'log' || text === 'tcp-log'
    ? text
    : { problem: `sluice.call is ${JSON.stringify(text?.slice(0, 40) ?? null)}; expected log or tcp-log` };
}

export class FormattedEntryWire implements Wire {
  /** Entries are not retained. */
  readonly weight = 0;
  readonly scan: RecordScan;
  readonly isTcp: boolean;
  /** Totals of the connection's entry before this one. */
  before: ByteTotals = NO_TOTALS;
  /** The number in the vocabulary of each attribute of the record; negative for others. */
  readonly #numbers: number[] = [];
  readonly #resource: ReadonlyMap<number, Place> = NO_PLACES;
  readonly problem: string | undefined;
  readonly #states = new Map<string, Json | undefined>();

  constructor(scan: RecordScan, isTcp: boolean) {
    this.scan = scan;
    this.isTcp = isTcp;
    const { bytes, attributes } = scan;
    let problem: string | undefined;
    for (let at = 0; at < attributes.length; at += RANGE_PARTS) {
      const name = RECORD_NAMES.at(at / RANGE_PARTS, bytes, attributes[at] as number, attributes[at + 1] as number);
      this.#numbers.push(name.number);
      if (at === scan.callAt) continue;
      const wrong =
        name.problem ??
        (name.type === undefined
          ? undefined
          : problemOf(name.type, bytes, attributes[at + 2] as number, attributes[at + 3] as number));
      if (wrong !== undefined) problem ??= name.problem ?? `${name.name}: ${wrong}`;
    }
    const resource = (scan.resource.cached ??= resourcePlaces(scan)) as ResourcePlaces;
    if ('problem' in resource) problem ??= resource.problem;
    else this.#resource = resource;
    this.problem = problem;
  }

  keep(): void {}

  read(attribute: string, number = numberOf(attribute)): Value | undefined {
    if (number === undefined) return undefined;
    try {
      return this.#sent(number) ?? DERIVED[number]?.(this);
    } catch (error) {
      return absentWhereMalformed(error);
    }
  }

  carried(carrier: Carrier): Value | undefined {
    try {
      return this.#carried(carrier);
    } catch (error) {
      return absentWhereMalformed(error);
    }
  }

  /** An entry of what has not ended. */
  get isInterim(): boolean {
    const { phase } = this;
    return phase !== 'end' && phase !== 'try';
  }

  get phase(): LogPhase {
    const type = this.text('context.log_type');
    return type === undefined ? 'end' : phaseOfType(type);
  }

  text(name: string): string | undefined {
    const value = this.read(name);
    return typeof value === 'string' ? value : undefined;
  }

  /** Whether the proxy is configured to send it. */
  isSent(name: string): boolean {
    return this.#placeOf(numberOf(name) ?? -1) !== undefined;
  }

  get duration(): Duration | undefined {
    return (this.read(this.isTcp ? 'connection.duration' : 'response.duration') ??
      this.read('context.time_to_last_downstream_tx_byte')) as Duration | undefined;
  }

  get start(): Timestamp | undefined {
    return timeAt(this.scan.bytes, this.scan.timeAt);
  }

  /** The start, if the record has no duration. */
  get end(): Timestamp | undefined {
    const start = this.read('request.time') as Timestamp | undefined;
    const { duration } = this;
    return start === undefined || duration === undefined ? start : later(start, duration);
  }

  total(name: string): bigint {
    const value = this.read(name);
    return typeof value === 'number' || typeof value === 'bigint' ? BigInt(value) : 0n;
  }

  #placeOf(number: number): Place | undefined {
    const { bytes, attributes } = this.scan;
    const at = this.#numbers.indexOf(number) * RANGE_PARTS;
    return at < 0
      ? this.#resource.get(number)
      : { bytes, from: attributes[at + 2] as number, to: attributes[at + 3] as number };
  }

  #sent(number: number): Value | undefined {
    const place = this.#placeOf(number);
    if (place === undefined) return undefined;
    const { type, always } = VOCABULARY[number] as (typeof VOCABULARY)[number];
    return formattedValue(type, place.bytes, place.from, place.to) ?? (always ? emptyOf(type) : undefined);
  }

  #carried(carrier: Carrier): Value | undefined {
    switch (carrier.kind) {
      case 'metadata': {
        const json = jsonAt(this.#jsonIn(METADATA, carrier.namespace), carrier.path);
        return json === undefined ? undefined : valueOfJson(json);
      }
      case 'filterState': {
        const json = this.#jsonIn(FILTER_STATE, carrier.name);
        return json === undefined ? undefined : valueOfJson(json);
      }
      case 'customTag':
        return this.#customTag(carrier.name);
      case 'header':
        return (this.read('request.headers') as ReadonlyMap<string, Value> | undefined)?.get(
          carrier.name.toLowerCase(),
        );
      case 'contextExtension':
        return undefined;
    }
  }

  #customTag(name: string): Value | undefined {
    const place = numberOf(name) === undefined ? this.#attribute(name) : undefined;
    const tag = place === undefined ? undefined : formattedValue(TEXT, place.bytes, place.from, place.to);
    if (tag !== undefined) return tag;
    // The record has the ids of Envoy's own span, as these two tags do in an access log stream.
    if (name === 'trace_id') return hexId(this.scan.bytes, this.scan.traceId, 16);
    if (name === 'span_id') return hexId(this.scan.bytes, this.scan.spanId, 8);
    return undefined;
  }

  /** An attribute of the record by name; the last one counts. */
  #attribute(name: string): Place | undefined {
    const { bytes, attributes } = this.scan;
    const key = Buffer.from(name);
    for (let at = attributes.length - RANGE_PARTS; at >= 0; at -= RANGE_PARTS) {
      const [keyFrom, keyTo] = [attributes[at] as number, attributes[at + 1] as number];
      if (keyTo - keyFrom === key.length && key.equals(bytes.subarray(keyFrom, keyTo)))
        return { bytes, from: attributes[at + 2] as number, to: attributes[at + 3] as number };
    }
    return undefined;
  }

  /** A value of the map `metadata` or `filter_state`, which Envoy formats as JSON; decoded once. */
  #jsonIn(map: string, name: string): Json | undefined {
    const key = `${map} ${name}`;
    if (this.#states.has(key)) return this.#states.get(key);
    const json = this.#decodedIn(this.#attribute(map), name);
    this.#states.set(key, json);
    return json;
  }

  #decodedIn(place: Place | undefined, name: string): Json | undefined {
    if (place === undefined) return undefined;
    const { bytes } = place;
    ANY_VALUE.read(bytes, place.from, place.to);
    if (ANY_VALUE.case !== AnyCase.KVLIST) return jsonAt(jsonOf(bytes, place.from, place.to), [name]);
    const wanted = Buffer.from(name);
    let json: Json | undefined;
    eachItem(bytes, ANY_VALUE.from, ANY_VALUE.to, (from, to) => {
      KEY_VALUE.read(bytes, from, to);
      const { keyFrom, keyTo, valueFrom, valueTo } = KEY_VALUE;
      if (wanted.equals(bytes.subarray(keyFrom, keyTo))) json = jsonOf(bytes, valueFrom, valueTo);
    });
    return json;
  }
}

const NO_PLACES: ReadonlyMap<number, Place> = new Map();
const METADATA = 'metadata';
const TEXT: Type = { kind: 'string' };

/** What an access log stream has where the proxy has no value. */
function emptyOf({ kind }: Type): Value | undefined {
  if (kind === 'int') return 0;
  if (kind === 'list') return [];
  return kind === 'map' ? new Map() : undefined;
}

/** The attributes of the vocabulary in a resource, once for all its records. */
function resourcePlaces({ resource }: RecordScan): ResourcePlaces {
  const { bytes } = resource;
  const places = new Map<number, Place>();
  let problem: string | undefined;
  let index = 0;
  resource.each((from, to) => {
    KEY_VALUE.read(bytes, from, to);
    const { valueFrom, valueTo } = KEY_VALUE;
    const { number, type, name } = RESOURCE_NAMES.at(index++, bytes, KEY_VALUE.keyFrom, KEY_VALUE.keyTo);
    if (type === undefined) return;
    const wrong = problemOf(type, bytes, valueFrom, valueTo);
    if (wrong !== undefined) problem ??= `${name} of the resource: ${wrong}`;
    places.set(number, { bytes, from: valueFrom, to: valueTo });
  });
  return problem === undefined ? places : { problem };
}
