/** Services of the host for a handler. */

export interface Call {
  /** Aborted when the call's time is over or its caller is gone. Created when first read. */
  readonly signal: AbortSignal;
  /** Whole milliseconds left for this call, as `AbortSignal.timeout` takes them. */
  readonly remainingMs: number;
  /** Identifies the request in every log line about it. */
  readonly id: string;
}

export type LogFields = Readonly<Record<string, unknown>>;
export interface Log {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
}

export interface Counter {
  add(amount?: number): void;
}

export type PageText = string | AsyncIterable<string>;

export interface Host {
  /** Its lines carry the names of handler and adapter. */
  readonly log: Log;
  /** Wall-clock time in ms since 1970, and a monotonic clock in ms for durations. */
  readonly clock: { nowMs(): number; monotonicMs(): number };
  /** Aborted before `close` is called. */
  readonly signal: AbortSignal;
  /** The folder of the file that declares the handler; relative paths in its config start there. */
  readonly folder: string;
  /** Starts background work. If it fails it is logged and restarted, and the handler is not ready until it works again. */
  background(name: string, work: (signal: AbortSignal) => Promise<void>): void;
  /** Sets whether the backend can be asked, and why not; shown at the admin port. A handler starts ready. */
  ready(isReady: boolean, why?: string): void;
  readonly metrics: {
    /** A counter on Sluice's metrics page: `sluice_plugin_<name>_total`, with the handler's name as label. */
    counter(name: string, help: string): Counter;
    /**
     * A page in Prometheus text format, appended to /metrics. A long page is a generator of pieces that waits for a turn of the event loop
     * after each. A sample may have an exemplar, as in OpenMetrics: `a_total 1 # {trace_id="4bf9"} 1 1700000000.123`.
     */
    page(render: () => PageText | Promise<PageText>): void;
    /**
     * A value that the next handler of this name finds again, such as counts: after a reload with another config it opens before this one
     * closes. Made at the first call, and dropped when no handler of the name is open. A handler in a process of its own begins anew.
     */
    kept<T>(name: string, make: () => T): T;
  };
  /** With `serve --workers` each worker has a handler of this name. `number` starts at 1; `count` is 1 without workers. */
  readonly worker: { readonly number: number; readonly count: number };
  /**
   * Memory shared by the handlers of this name in all workers, zeroed when first requested. Its first 32 bits belong to a `SharedLock`;
   * without one, leave them 0.
   */
  shared(name: string, bytes: number): SharedArrayBuffer;
}
