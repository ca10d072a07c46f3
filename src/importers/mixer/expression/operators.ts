/**
 * Mixer's operators on values of one type (`mixer/pkg/lang/compiler/compiler.go`); `undefined` for the types that its
 * checker accepts and its compiler has no code for.
 */
import type { Ip } from '../../../attributes/network.ts';
import { canonicalInt, type Int, type Timestamp, type Value } from '../../../attributes/values.ts';
import { equalDns, equalEmail, equalUri } from './names.ts';
import type { IstioType } from './tree.ts';

type Binary<T> = (a: Value, b: Value) => T;

/** Of a comparison: whether an order below 0, 0 or above 0 satisfies it. */
export const COMPARISONS: Readonly<Record<string, (order: number) => boolean>> = {
  LT: (order) => order < 0,
  LEQ: (order) => order <= 0,
  GT: (order) => order > 0,
  GEQ: (order) => order >= 0,
};

export function equality(type: IstioType): Binary<boolean> | undefined {
  switch (type) {
    case 'STRING':
    case 'BOOL':
    case 'INT64':
    case 'DOUBLE':
      return (a, b) => a === b;
    case 'IP_ADDRESS':
      return (a, b) => (a as Ip).equals(b as Ip);
    case 'TIMESTAMP':
      return (a, b) => compareTimes(a as Timestamp, b as Timestamp) === 0;
    case 'DNS_NAME':
      return (a, b) => equalDns(a as string, b as string);
    case 'EMAIL_ADDRESS':
      return (a, b) => equalEmail(a as string, b as string);
    case 'URI':
      return (a, b) => equalUri(a as string, b as string);
    case 'DURATION':
    case 'STRING_MAP':
      return undefined;
  }
}

/** NaN where the two have no order, so that every comparison is false. */
export function ordering(type: IstioType): Binary<number> | undefined {
  switch (type) {
    case 'STRING':
      return (a, b) => Buffer.compare(Buffer.from(a as string), Buffer.from(b as string)); // Go compares UTF-8 bytes
    case 'INT64':
    case 'DOUBLE':
      return (a, b) => ((a as Int) < (b as Int) ? -1 : (a as Int) > (b as Int) ? 1 : a === b ? 0 : Number.NaN);
    case 'TIMESTAMP':
      return (a, b) => compareTimes(a as Timestamp, b as Timestamp);
    default:
      return undefined;
  }
}

/** int64 wraps around, as in Go. */
export function addition(type: IstioType): Binary<Value> | undefined {
  switch (type) {
    case 'STRING':
      return (a, b) => (a as string) + (b as string);
    case 'DOUBLE':
      return (a, b) => (a as number) + (b as number);
    case 'INT64':
      return (a, b) => canonicalInt(BigInt.asIntN(64, BigInt(a as Int) + BigInt(b as Int)));
    default:
      return undefined;
  }
}

const compareTimes = (a: Timestamp, b: Timestamp): number => a.seconds - b.seconds || a.nanos - b.nanos;
