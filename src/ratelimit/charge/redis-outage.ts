/**
 * When failures of Redis are an outage, whole or in part.
 * **In**: successes and failures of round trips. **Out**: a log line when an outage begins, goes on, and ends. **Fails**: never.
 */
import type { OutageLog } from '../../adapters/outage-log.ts';
import { CLOSED } from '../../counting/redis/reason.ts';

/** Failures closer than this are one event. A partial outage ends after this time without a failure, or after several of its pauses. */
const QUIET_MS = 1000;
const QUIET_PAUSES = 3;
const LONGEST_QUIET_MS = 60_000;
/** A late answer now and then is no outage. */
const FORGOTTEN_MS = 600_000;
/** Failures of one event that are an outage in part, and the least time from the first to the last. */
const EVENT = { failures: 5, windowMs: 100 };

/** A server that closes a connection tells the next one why: another password, too many clients. */
const UNTOLD_MS = 250;

const STOPPED = 'Redis does not answer';
const STOPPED_IN_PART = 'Redis does not answer some calls';
const ANSWERS_AGAIN = 'Redis answers again';

export class RedisOutage {
  readonly #log: OutageLog | undefined;
  /** Failures with less than {@link QUIET_MS} between them: how many, the first, the last. */
  #failures = 0;
  #firstFailedAtMs = 0;
  /** -Infinity: none since the last outage. */
  #failedAtMs = -Infinity;
  /** Redis failed before this event, and was not found well since: a node that few calls need is down. */
  #isConfirmed = false;
  #quietMs = QUIET_MS;
  #isOut = false;
  /** The connection is closed, and nothing is logged yet. */
  #untold: { readonly why: string; readonly timer: NodeJS.Timeout } | undefined;

  constructor(log: OutageLog | undefined) {
    this.#log = log;
  }

  /** Connected; no command was sent yet. */
  connected(): void {
    this.#tell();
    this.#log?.succeeded(ANSWERS_AGAIN);
  }

  disconnected(why: string): void {
    if (why.endsWith(CLOSED)) {
      this.#log?.began();
      this.#untold ??= { why, timer: setTimeout(() => this.#tell(), UNTOLD_MS).unref() };
      return;
    }
    this.close();
    this.#log?.failed(STOPPED, why);
  }

  /** Logs no more. */
  close(): void {
    clearTimeout(this.#untold?.timer);
    this.#untold = undefined;
  }

  #tell(): void {
    const why = this.#untold?.why;
    this.close();
    if (why !== undefined) this.#log?.failed(STOPPED, why);
  }

  /** `wasOpen`: this success closed the breaker. */
  succeeded(wasOpen: boolean): void {
    if (!wasOpen && (!this.#isOut || performance.now() - this.#failedAtMs < this.#quietMs)) return;
    this.#isOut = false;
    this.#isConfirmed = false;
    this.#failures = 0;
    this.#failedAtMs = -Infinity;
    this.#quietMs = QUIET_MS;
    this.#log?.succeeded(ANSWERS_AGAIN);
  }

  /** `isOpen`: the breaker refuses calls. */
  failed(why: string, isOpen: boolean): void {
    this.#count();
    if (!isOpen && !this.#isPartial) return;
    this.#isOut = true;
    this.#log?.failed(isOpen ? STOPPED : STOPPED_IN_PART, why);
  }

  #count(): void {
    const nowMs = performance.now();
    const pauseMs = nowMs - this.#failedAtMs;
    if (pauseMs >= QUIET_MS) {
      this.#isConfirmed = pauseMs < FORGOTTEN_MS;
      if (this.#isConfirmed) this.#quietMs = Math.min(LONGEST_QUIET_MS, QUIET_PAUSES * pauseMs);
      this.#failures = 0;
      this.#firstFailedAtMs = nowMs;
    }
    this.#failures++;
    this.#failedAtMs = nowMs;
  }

  /** Some calls fail while others are answered: a node of a cluster is down. */
  get #isPartial(): boolean {
    if (this.#isConfirmed) return true;
    return this.#failures >= EVENT.failures && this.#failedAtMs - this.#firstFailedAtMs >= EVENT.windowMs;
  }
}
