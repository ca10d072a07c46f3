/** The messages between the supervisor of `sluice ratelimit` and a worker. */
import type { JsonAnswer, RequestHeaders } from '../../ratelimit/call.ts';
import type { SharedCounts } from '../../ratelimit/charge/open-stores.ts';
import type { ConfigFile } from '../../ratelimit/config/read.ts';
import type { ThreadLimitInspector } from '../../ratelimit/inspect/inspector.ts';
import type { Counts } from '../../ratelimit/metrics/metrics.ts';
import type { Settings } from '../../ratelimit/settings/settings.ts';
import type { RequestsOf } from '../crew/protocol.ts';

/** Counts since the last event, and the current gauges. */
export interface MetricsEvent {
  readonly counts: Counts;
  readonly gauges: readonly (readonly [name: string, value: number])[];
}

export interface RatelimitProtocol {
  readonly data: { readonly settings: Settings; readonly shared: SharedCounts };
  /** Files that are already validated. */
  readonly texts: readonly ConfigFile[];
  readonly requests: RequestsOf<ThreadLimitInspector> & {
    readonly health: { readonly given: undefined; readonly answer: { readonly unhealthyWhy: string | undefined } };
    readonly json: {
      readonly given: { readonly body: string; readonly headers: RequestHeaders };
      readonly answer: JsonAnswer;
    };
    /** It sends its metrics before it answers. */
    readonly flushMetrics: { readonly given: undefined; readonly answer: void };
  };
  readonly event: MetricsEvent;
}
