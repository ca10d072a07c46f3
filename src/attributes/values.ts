/**
 * The representation of values at run time. The static type determines it; values have no tags:
 *
 * | type | representation |
 * |---|---|
 * | bool, string | boolean, string |
 * | int, uint | a number if |v| <= 2^53-1, else a bigint (one canonical form, so `===` is equality) |
 * | double | number |
 * | bytes | Uint8Array |
 * | timestamp, duration | {@link Timestamp}, {@link Duration} (nanosecond exact) |
 * | ip, cidr | `Ip`, `Cidr` of `network.ts` |
 * | list, map | an array that is never changed, a Map (keys: string, bool, or int as above) |
 * | null | null |
 * | dyn | as above, but an int is always a bigint and a uint a {@link Uint}, so that a number is a double |
 *
 * `undefined` is not a value: it means absent.
 */
import type { Cidr, Ip } from './network.ts';

export type Value =
  | boolean
  | number
  | bigint
  | string
  | null
  | Uint8Array
  | Timestamp
  | Duration
  | Uint
  | Ip
  | Cidr
  | readonly Value[]
  | ReadonlyMap<Value, Value>;

/** Seconds since 1970-01-01T00:00:00Z (may be negative) and 0..999999999 nanoseconds after them. */
export class Timestamp {
  readonly seconds: number;
  readonly nanos: number;
  constructor(seconds: number, nanos: number) {
    this.seconds = seconds;
    this.nanos = nanos;
  }
  static fromMs(ms: number): Timestamp {
    const seconds = Math.floor(ms / 1000);
    return new Timestamp(seconds, Math.round((ms - seconds * 1000) * 1e6));
  }
  toMs(): number {
    return this.seconds * 1000 + this.nanos / 1e6;
  }
}

/** Whole seconds and nanoseconds of the same sign, |nanos| < 1e9 (google.protobuf.Duration). */
export class Duration {
  readonly seconds: number;
  readonly nanos: number;
  constructor(seconds: number, nanos: number) {
    this.seconds = seconds;
    this.nanos = nanos;
  }
  static fromMs(ms: number): Duration {
    const seconds = Math.trunc(ms / 1000);
    return new Duration(seconds, Math.round((ms - seconds * 1000) * 1e6));
  }
  toMs(): number {
    return this.seconds * 1000 + this.nanos / 1e6;
  }
}

/** The canonical form of an int or a uint: a number if it is a safe integer, else a bigint. */
export type Int = number | bigint;

export const canonicalInt = (value: bigint): Int =>
  value >= -9007199254740991n && value <= 9007199254740991n ? Number(value) : value;

/** A uint inside a `dyn` value. */
export class Uint {
  readonly value: bigint;
  constructor(value: bigint) {
    this.value = value;
  }
}
