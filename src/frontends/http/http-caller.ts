/** The caller of a call over HTTP: its deadline, and whether it is still connected. */
import type { ServerResponse } from 'node:http';
import type { Caller, CallerObserver } from '../../core/call.ts';
import type { Dialect } from './routes.ts';

/** For a caller that states none; longer than any proxy waits for an answer of ours by default. */
const DEADLINE_MS = 10_000;
/** The router of an asking Envoy states its timeout; a client's own header is replaced by it. */
const ENVOY_TIMEOUT = 'x-envoy-expected-rq-timeout-ms';

/** `performance` is a getter of the global object; keep a local reference on the hot path. */
const monotonic = performance;

export class HttpCaller implements Caller {
  readonly arrivedAtMs: number;
  readonly endsAtMs: number;
  #observers: CallerObserver[] | undefined;
  #controller: AbortController | undefined;
  #why: string | undefined;

  constructor(headers: ReadonlyMap<string, string>, dialect: Dialect | undefined) {
    this.arrivedAtMs = monotonic.now();
    const stated = dialect === 'envoy' ? headers.get(ENVOY_TIMEOUT) : undefined;
    const statedMs = stated !== undefined && /^\d{1,9}$/.test(stated) ? Number(stated) : 0;
    this.endsAtMs = this.arrivedAtMs + (statedMs > 0 ? Math.min(statedMs, DEADLINE_MS) : DEADLINE_MS);
  }

  get remainingMs(): number {
    return Math.max(0, this.endsAtMs - monotonic.now());
  }

  get signal(): AbortSignal {
    this.#controller ??= new AbortController();
    if (this.#why !== undefined) this.#controller.abort(new Error(this.#why));
    return this.#controller.signal;
  }

  observe(observer: CallerObserver): void {
    if (this.#why === undefined) (this.#observers ??= []).push(observer);
    else observer.callerGone(this.#why);
  }

  /** Watches an answer that is not ready: `late` is called once if its deadline passes first. */
  wait(response: ServerResponse, late: () => void): void {
    const timer = setTimeout(() => {
      this.#end('the deadline has passed');
      late();
    }, this.remainingMs);
    response.once('close', () => {
      clearTimeout(timer);
      if (!response.writableFinished) this.#end('the caller has disconnected');
    });
  }

  #end(why: string): void {
    this.#why ??= why;
    this.#controller?.abort(new Error(why));
    for (const observer of this.#observers ?? []) observer.callerGone(why);
    this.#observers = undefined;
  }
}
