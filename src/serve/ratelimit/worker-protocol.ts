/** The messages between the supervisor of `sluice ratelimit` and a worker. */
import type { LeasePage } from '../../adapters/contract.ts';
import type { JsonAnswer, RequestHeaders } from '../../ratelimit/call.ts';
import type { SharedCounts } from '../../ratelimit/charge/open-stores.ts';
import type { ConfigFile } from '../../ratelimit/config/read.ts';
import type { Entries, Explanation } from '../../ratelimit/inspect/explanation.ts';
import type { Inspection } from '../../ratelimit/inspect/inspector.ts';
import type { Counts } from '../../ratelimit/metrics/metrics.ts';
import type { Settings } from '../../ratelimit/settings/settings.ts';

interface Descriptor {
  readonly domain: string;
  readonly entries: Entries;
}

/** Counts since the last event, and the current gauges. */
export interface MetricsEvent {
  readonly counts: Counts;
  readonly gauges: readonly (readonly [name: string, value: number])[];
}

export interface RatelimitProtocol {
  readonly data: { readonly settings: Settings; readonly shared: SharedCounts };
  /** Files that are already validated. */
  readonly texts: readonly ConfigFile[];
  readonly requests: {
    readonly health: { readonly given: undefined; readonly answer: { readonly unhealthyWhy: string | undefined } };
    readonly json: {
      readonly given: { readonly body: string; readonly headers: RequestHeaders };
      readonly answer: JsonAnswer;
    };
    readonly explain: { readonly given: Descriptor; readonly answer: Explanation };
    readonly inspect: {
      readonly given: Descriptor & { readonly leases: LeasePage | undefined };
      readonly answer: Inspection;
    };
    readonly reset: { readonly given: Descriptor; readonly answer: Inspection };
    readonly forget: { readonly given: Descriptor; readonly answer: true };
    /** It sends its metrics before it answers. */
    readonly flushMetrics: { readonly given: undefined; readonly answer: true };
  };
  readonly event: MetricsEvent;
}
