import type { Wire } from '../../attributes/bag.ts';
import { Timestamp, type Value } from '../../attributes/values.ts';
import type { RateLimitDescriptor } from '../generated/envoy/extensions/common/ratelimit/v3/ratelimit_pb.ts';
import type { RateLimitRequest } from '../generated/envoy/service/ratelimit/v3/rls_pb.ts';
import { intOf, lengthOf } from '../wire-values.ts';
import { msOfUnit } from './units.ts';

/** One descriptor of a request, as a wire. The unit of its override is known to be one of Envoy's. */
export class DescriptorWire implements Wire {
  readonly request: RateLimitRequest;
  readonly descriptor: RateLimitDescriptor;
  readonly nowMs: () => number;

  constructor(request: RateLimitRequest, descriptor: RateLimitDescriptor, nowMs: () => number) {
    this.request = request;
    this.descriptor = descriptor;
    this.nowMs = nowMs;
  }

  read(attribute: string): Value | undefined {
    return READERS.get(attribute)?.(this);
  }

  keep(): void {}

  get weight(): number {
    return this.request.descriptors.reduce((sum, { entries }) => sum + lengthOf(entries.flatMap(({ key, value }) => [key, value])), 0);
  }

  /** This wire brings nothing under names of the operator's choosing. */
  carried(): undefined {}
}

type Reader = (wire: DescriptorWire) => Value | undefined;
const READERS: ReadonlyMap<string, Reader> = new Map(Object.entries<Reader>({
  'ratelimit.domain': ({ request }) => request.domain,
  'ratelimit.descriptor': ({ descriptor: { entries } }) => {
    const map = new Map<string, string>();
    for (const { key, value } of entries) if (!map.has(key)) map.set(key, value);
    return map;
  },
  'ratelimit.entries': ({ descriptor }) => descriptor.entries.map(({ key, value }) => new Map([['key', key], ['value', value]])),
  // The request's 0 means 1, the descriptor's own 0 means: look, do not charge (envoyproxy/ratelimit GetHitsAddends).
  'ratelimit.hits': ({ request, descriptor }) => (descriptor.hitsAddend === undefined ? request.hitsAddend || 1 : intOf(descriptor.hitsAddend)),
  'ratelimit.override': ({ descriptor: { limit } }) => {
    const perMs = limit === undefined ? undefined : msOfUnit(limit.unit);
    return limit === undefined || perMs === undefined ? undefined : new Map([['limit', limit.requestsPerUnit], ['per_ms', perMs]]);
  },
  'context.time': ({ nowMs }) => Timestamp.fromMs(nowMs()),
}));
