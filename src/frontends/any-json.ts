/** The content of a google.protobuf.Any as JSON, for protobuf's own types, which Envoy's and Istio's filter state use. */
import { LRUCache } from 'lru-cache';
import { createRegistry, type Registry, toJson } from '@bufbuild/protobuf';
import {
  type Any,
  anyUnpack,
  BoolValueSchema,
  BytesValueSchema,
  DoubleValueSchema,
  DurationSchema,
  FloatValueSchema,
  Int32ValueSchema,
  Int64ValueSchema,
  ListValueSchema,
  StringValueSchema,
  StructSchema,
  TimestampSchema,
  UInt32ValueSchema,
  UInt64ValueSchema,
  ValueSchema,
} from '@bufbuild/protobuf/wkt';
import type { Json } from '../attributes/json-value.ts';
import { lenientSchema } from '../protobuf/lenient-schema.ts';

/** Built at its first use: it takes 20 ms, and few policies read filter state. */
let registry: Registry | undefined;
const known = (): Registry =>
  (registry ??= createRegistry(
    ...[StructSchema, ValueSchema, ListValueSchema, StringValueSchema].map(lenientSchema),
    BytesValueSchema,
    BoolValueSchema,
    DoubleValueSchema,
    FloatValueSchema,
    Int32ValueSchema,
    UInt32ValueSchema,
    Int64ValueSchema,
    UInt64ValueSchema,
    TimestampSchema,
    DurationSchema,
  ));
const WIDE = new Set([Int64ValueSchema.typeName, UInt64ValueSchema.typeName] as string[]);

/** Proxies tell the same peers in entry after entry, and decoding one takes some 10 us. */
const decoded = new LRUCache<string, { readonly json: Json | undefined }>({ max: 1000 });
/** Longer values are not kept. */
const MAX_KEPT_BYTES = 4096;

/** Read-only, since equal values share one decoded object. */
export function jsonOfAny(any: Any | undefined): Json | undefined {
  if (any === undefined) return undefined;
  const { typeUrl, value } = any;
  if (value.length > MAX_KEPT_BYTES) return jsonOf(any);
  const key = `${typeUrl} ${Buffer.from(value.buffer, value.byteOffset, value.length).toString('latin1')}`;
  let known = decoded.get(key);
  if (known === undefined) decoded.set(key, (known = { json: jsonOf(any) }));
  return known.json;
}

function jsonOf(any: Any): Json | undefined {
  try {
    const message = anyUnpack(any, known());
    const schema = message === undefined ? undefined : known().getMessage(message.$typeName);
    if (message === undefined || schema === undefined) return undefined;
    const json = toJson(schema, message) as Json;
    return WIDE.has(message.$typeName) ? Number(json) : json;
  } catch {
    return undefined; // malformed, or not expressible in JSON (NaN)
  }
}
