import type { Wire } from '../../attributes/bag.ts';
import { Timestamp, type Value } from '../../attributes/values.ts';
import { byNumber, numberOf } from '../../attributes/vocabulary.ts';
import { isUnit, secondsOf } from '../../ratelimit/call.ts';
import type { DescriptorScan, LimitScan } from './limit-scan.ts';

/** The attributes of one descriptor. The unit of its override must be one of Envoy's. */
export class DescriptorWire implements Wire {
  readonly request: LimitScan;
  readonly descriptor: DescriptorScan;
  readonly nowMs: () => number;

  constructor(request: LimitScan, descriptor: DescriptorScan, nowMs: () => number) {
    this.request = request;
    this.descriptor = descriptor;
    this.nowMs = nowMs;
  }

  read(attribute: string, number = numberOf(attribute)): Value | undefined {
    return number === undefined ? undefined : READERS[number]?.(this);
  }

  keep(): void {
    this.request.keep();
  }

  get weight(): number {
    return this.request.weight;
  }

  /** A descriptor carries no headers, metadata or tags. */
  carried(): undefined {}

  /** In order. */
  entries(): (readonly [key: string, value: string])[] {
    const {
      request,
      descriptor: { entries },
    } = this;
    const texts: [string, string][] = [];
    for (let at = 0; at < entries.length; at += 4) {
      texts.push([
        request.text(entries[at] as number, entries[at + 1] as number),
        request.text(entries[at + 2] as number, entries[at + 3] as number),
      ]);
    }
    return texts;
  }
}

type Reader = (wire: DescriptorWire) => Value | undefined;
const READERS = byNumber<Reader>({
  'ratelimit.domain': ({ request }) => request.domain,
  'ratelimit.descriptor': (wire) => {
    const map = new Map<string, string>();
    for (const [key, value] of wire.entries()) if (!map.has(key)) map.set(key, value);
    return map;
  },
  'ratelimit.entries': (wire) =>
    wire.entries().map(
      ([key, value]) =>
        new Map([
          ['key', key],
          ['value', value],
        ]),
    ),
  // 0 in the request means 1; 0 in the descriptor means look without charging (envoyproxy/ratelimit GetHitsAddends).
  'ratelimit.hits': ({ request, descriptor }) => descriptor.hits ?? (request.hits || 1),
  'ratelimit.override': ({ descriptor: { override } }) => {
    return override === undefined || !isUnit(override.unit)
      ? undefined
      : new Map([
          ['limit', override.requestsPerUnit],
          ['per_ms', secondsOf(override.unit) * 1000],
        ]);
  },
  'context.time': ({ nowMs }) => Timestamp.fromMs(nowMs()),
});
