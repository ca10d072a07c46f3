/** What the supervisor of `sluice ratelimit` and a worker say to each other. */
import type { JsonAnswer, RequestHeaders } from '../../ratelimit/call.ts';
import type { ConfigFile } from '../../ratelimit/config/read.ts';
import type { Entries, Explanation, Inspection } from '../../ratelimit/inspect/inspector.ts';
import type { Counts } from '../../ratelimit/metrics/metrics.ts';
import type { Settings } from '../../ratelimit/settings/settings.ts';
import type { SharedCounts } from '../../ratelimit/charge/shared-store.ts';
import type { Address, TlsOptions } from '../../transport/index.ts';
import type { MemoryWish } from '../crew/shared-memory-request.ts';

/** Given to a worker when it starts. */
export interface WorkerData {
  readonly settings: Settings;
  readonly shared: SharedCounts;
}

/** One that does not listen yet is asked by nobody. */
export interface Health {
  readonly listens: boolean;
  /** Why it cannot answer. */ readonly why: string | undefined;
}

interface AboutOne {
  readonly domain: string;
  readonly entries: Entries;
}

/** What it has counted since it last told, and what its gauges show. */
export interface Counted {
  readonly counts: Counts;
  readonly gauges: readonly (readonly [name: string, value: number])[];
}

export interface RatelimitTalk {
  readonly asks: {
    /** Files that are known to be right. */
    readonly use: { readonly given: readonly ConfigFile[]; readonly answer: true };
    readonly renewTls: { readonly given: TlsOptions; readonly answer: true };
    /** The port; harmless when repeated. */
    readonly listen: { readonly given: Address; readonly answer: number };
    readonly health: { readonly given: undefined; readonly answer: Health };
    readonly json: {
      readonly given: { readonly body: string; readonly headers: RequestHeaders };
      readonly answer: JsonAnswer;
    };
    readonly explain: { readonly given: AboutOne; readonly answer: Explanation };
    readonly inspect: { readonly given: AboutOne; readonly answer: Inspection };
    readonly reset: { readonly given: AboutOne; readonly answer: Inspection };
    readonly forget: { readonly given: AboutOne; readonly answer: true };
    /** It tells before it answers. */
    readonly count: { readonly given: undefined; readonly answer: true };
  };
  readonly ready: undefined;
  readonly told: Counted | { readonly wish: MemoryWish };
}
