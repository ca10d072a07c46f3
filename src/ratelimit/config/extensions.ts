/**
 * Extensions of the format of envoyproxy/ratelimit: `rate_limit: { ..., sluice: { ... } }`.
 * **In**: the map. **Out**: its fields. **Fails**: with findings at their places; the other fields are still read.
 */
import { CALENDAR, calendarOf, isZone } from '../../counting/calendar.ts';
import { durationMs } from '../../time/duration.ts';
import type { FieldReader, Fields } from './field-reader.ts';
import type { GoNode } from './go-yaml.ts';
import { SLUICE_KEYS } from './known-keys.ts';
import { ALGORITHMS, type Limit, OUTAGES, type Outage } from './tree.ts';
import { spanWindow } from '../../counting/window.ts';
import type { Window } from './window.ts';

export interface Extensions {
  readonly outage: Outage | undefined;
  readonly algorithm: Limit['algorithm'];
  readonly period: Window | undefined;
  /** True even if the period is invalid, so that it is not also reported as missing. */
  readonly hasPeriod: boolean;
  /** `undefined`: equal to the limit. */
  readonly burst: number | undefined;
  /** The key of the entry that ends a lease. */
  readonly endedBy: string;
  /** Further limits, not read yet. */
  readonly also: GoNode | undefined;
}

const ALGORITHM_WORDS = ['fixed', 'sliding', ...ALGORITHMS] as const;
const NONE: Extensions = {
  outage: undefined,
  algorithm: 'fixed',
  period: undefined,
  hasPeriod: false,
  burst: undefined,
  endedBy: 'stream_done',
  also: undefined,
};

/** The largest limit: a counter that stores each request is read entirely for each. */
export const mostRequests = (algorithm: Limit['algorithm']): number =>
  algorithm === 'log' || algorithm === 'concurrency' ? 10_000 : Infinity;

export function readExtensions(map: GoNode | undefined, reader: FieldReader): Extensions {
  if (map === undefined || (map.kind === 'scalar' && map.value === null)) return NONE;
  if (map.kind !== 'map') {
    reader.findings.error(map, 'RATELIMIT_SLUICE', `sluice must be a map of ${SLUICE_KEYS.join(', ')}`);
    return NONE;
  }
  const fields = reader.fields(map, SLUICE_KEYS, 'sluice');
  const error = (key: string, message: string): void =>
    reader.findings.error(fields.get(key) ?? map, 'RATELIMIT_SLUICE', message);
  const word = <T extends string>(key: string, words: readonly T[]): T | undefined => {
    const text = reader.text(fields.get(key));
    const known = words.find((one) => one === text);
    if (known === undefined && fields.has(key)) error(key, `${key} is '${text}'; expected one of ${words.join(', ')}`);
    return known;
  };

  const algorithm = word('algorithm', ALGORITHM_WORDS) ?? 'fixed';
  if (fields.has('burst') && algorithm !== 'gcra') error('burst', 'burst requires algorithm: gcra');
  if (fields.has('ended_by') && algorithm !== 'concurrency')
    error('ended_by', 'ended_by requires algorithm: concurrency');
  if (algorithm === 'concurrency' && !fields.has('per'))
    error('algorithm', 'algorithm: concurrency needs per, the longest duration of a lease, such as 30s');
  const endedBy = reader.text(fields.get('ended_by'));
  if (fields.has('ended_by') && endedBy === '')
    error('ended_by', 'ended_by is empty; write the key of the entry that ends a lease');
  return {
    outage: word('outage', OUTAGES),
    algorithm,
    period: periodOf(fields, reader, error, algorithm),
    hasPeriod: fields.has('per'),
    burst: burstOf(fields.get('burst'), error),
    endedBy: endedBy === '' ? NONE.endedBy : endedBy,
    also: fields.get('also'),
  };
}

function burstOf(node: GoNode | undefined, error: (key: string, message: string) => void): number | undefined {
  if (node === undefined) return undefined;
  if (
    node.kind === 'scalar' &&
    typeof node.value === 'bigint' &&
    node.value >= 1n &&
    node.value <= Number.MAX_SAFE_INTEGER
  )
    return Number(node.value);
  error('burst', 'burst, the number of requests that may come at once, must be a whole number from 1 (without quotes)');
  return undefined;
}

/** `per: 15m`, or a calendar period such as `per: month`. */
function periodOf(
  fields: Fields,
  reader: FieldReader,
  error: (key: string, message: string) => void,
  algorithm: Extensions['algorithm'],
): Window | undefined {
  const [per, zone] = [fields.get('per'), fields.get('zone')];
  const text = reader.text(per);
  const calendar = CALENDAR.find((word) => word === text);
  if (calendar === undefined && zone !== undefined) error('zone', 'zone requires per: day, week, month or year');
  if (per === undefined) return undefined;
  if (calendar !== undefined) {
    const name = zone === undefined ? 'UTC' : reader.text(zone);
    if (!isZone(name))
      error('zone', `zone is '${name}', which is not a time zone; expected one such as Europe/Amsterdam`);
    else if (ALGORITHMS.some((one) => one === algorithm))
      error(
        'per',
        `per is '${text}', a period of varying length; algorithm: ${algorithm} needs a duration such as 15m or 2h`,
      );
    else return calendarOf(calendar, name);
    return undefined;
  }
  const ms = durationMs(text, ['s', 'm', 'h', 'd']);
  if (ms !== undefined && ms % 1000 === 0) return spanWindow(ms / 1000);
  error('per', `per is '${text}'; expected a duration such as 15m or 2h, or one of ${CALENDAR.join(', ')}`);
  return undefined;
}
