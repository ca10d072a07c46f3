/** Requests and replies of envoy.service.ratelimit.v3, independent of their encoding. */

/** envoy.type.v3.RateLimitUnit and RateLimitResponse.RateLimit.Unit; both have the same numbers. */
export const Unit = { SECOND: 1, MINUTE: 2, HOUR: 3, DAY: 4, MONTH: 5, YEAR: 6, WEEK: 7 } as const;
export type Unit = (typeof Unit)[keyof typeof Unit];

const DAY_S = 86_400;
/** Windows begin at multiples of these since 1970, in UTC (envoyproxy/ratelimit UnitToDivider). */
const SECONDS: Readonly<Record<Unit, number>> = {
  1: 1,
  2: 60,
  3: 3600,
  4: DAY_S,
  5: 30 * DAY_S,
  6: 365 * DAY_S,
  7: 7 * DAY_S,
};

export const isUnit = (number: number): number is Unit =>
  Number.isInteger(number) && number >= Unit.SECOND && number <= Unit.WEEK;
export const secondsOf = (unit: Unit): number => SECONDS[unit];
export const unitName = (unit: Unit | undefined): string =>
  Object.entries(Unit).find(([, number]) => number === unit)?.[0] ?? 'UNKNOWN';
export const unitOfName = (name: string): Unit | undefined =>
  Object.hasOwn(Unit, name.toUpperCase()) ? Unit[name.toUpperCase() as keyof typeof Unit] : undefined;

/** A limit in the request. Its unit is any number; it is checked when the limit applies. */
export interface Override {
  readonly requestsPerUnit: number;
  readonly unit: number;
}

/** In protobuf's text format: zero fields are omitted, and a unit unknown to envoy.type.v3.RateLimitUnit (WEEK) is a number. */
export function overrideText({ requestsPerUnit, unit }: Override): string {
  const named = unit >= Unit.SECOND && unit <= Unit.YEAR ? unitName(unit as Unit) : String(unit);
  return [
    ...(requestsPerUnit === 0 ? [] : [`requests_per_unit:${requestsPerUnit}`]),
    ...(unit === 0 ? [] : [`unit:${named}`]),
  ].join(' ');
}

/** In order. */
export type Entries = readonly (readonly [key: string, value: string])[];

export interface Descriptor {
  readonly entries: Entries;
  /** 0 looks without charging; `undefined`: the hits of the request. */
  readonly hits: number | undefined;
  /** Replaces the limit of the files. */
  readonly override: Override | undefined;
}

export interface RateLimitCall {
  readonly domain: string;
  readonly descriptors: readonly Descriptor[];
  /** For descriptors that have none; 0 means 1. */
  readonly hits: number;
}

export const Code = { OK: 1, OVER_LIMIT: 2 } as const;
export type Code = (typeof Code)[keyof typeof Code];

/** `unit` is absent if the limit's period is not a unit. */
export interface CurrentLimit {
  readonly requestsPerUnit: number;
  readonly unit: Unit | undefined;
  readonly name: string;
}

export interface DescriptorStatus {
  readonly code: Code;
  /** Absent if no limit was found. */
  readonly currentLimit: CurrentLimit | undefined;
  readonly remaining: number;
  readonly resetS: number | undefined;
}

export type JsonObject = { readonly [name: string]: Json };
export type Json = string | number | boolean | null | readonly Json[] | JsonObject;

export interface RateLimitReply {
  readonly overallCode: Code;
  /** One for each descriptor, in order. */
  readonly statuses: readonly DescriptorStatus[];
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly dynamicMetadata: JsonObject | undefined;
}

/** The call cannot be answered; the message is for the caller. */
export class ServiceError extends Error {
  /** The counter below `call.should_rate_limit` that counts it. */
  readonly kind: 'service_error' | 'redis_error';
  constructor(kind: 'service_error' | 'redis_error', message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'ServiceError';
    this.kind = kind;
  }
}

/** Answers synchronously unless a store answers later. Fails with a {@link ServiceError}. */
export interface RateLimitService {
  shouldRateLimit(call: RateLimitCall): RateLimitReply | Promise<RateLimitReply>;
}

/** The response of /json. */
export interface JsonAnswer {
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
}

/** Names in lower case. */
export type RequestHeaders = Readonly<Record<string, string | string[] | undefined>>;
