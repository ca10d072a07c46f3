/** The form of a difference that has a reason. */
import type { JsonValue } from '@bufbuild/protobuf';
import type { Difference } from './differences.ts';
import type { ResourceKind } from './resources.ts';
export interface Found extends Difference {
  readonly kind: ResourceKind;
  readonly resource: string;
  /** `pod.namespace` */
  readonly proxy: string;
}

export interface Known {
  readonly why: string;
  readonly kind?: ResourceKind;
  readonly path?: RegExp;
  readonly resource?: RegExp;
  /** Absent: any value. */
  readonly theirs?: (value: JsonValue | undefined) => boolean;
  readonly ours?: (value: JsonValue | undefined) => boolean;
}

export const isAbsent = (value: JsonValue | undefined): boolean => value === undefined;
export const isEmpty = (value: JsonValue | undefined): boolean =>
  value === undefined || JSON.stringify(value) === '{}' || value === '';
export const is =
  (...values: readonly JsonValue[]) =>
  (value: JsonValue | undefined): boolean =>
    values.some((one) => JSON.stringify(one) === JSON.stringify(value));
export const has =
  (pattern: RegExp) =>
  (value: JsonValue | undefined): boolean =>
    value !== undefined && pattern.test(JSON.stringify(value));
