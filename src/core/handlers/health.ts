/**
 * Whether a handler's backend answers.
 * **In**: how each call ended. **Out**: the breaker's state, metrics, log lines. **Fails**: never.
 */
import type { Log, LogFields } from '../../adapters/contract.ts';
import { RedactedRequest } from '../../attributes/redacted-request.ts';
import type { HandlerMeters } from '../metrics/meters.ts';
import type { HandlerSpec } from '../rules/policy.ts';
import { Breaker, type Turn } from './breaker.ts';
import type { CallScope } from './call-scope.ts';
import { Failure } from './failure.ts';
import { OutageLog } from '../../adapters/outage-log.ts';
import { counted } from '../../text/counted.ts';
import { thrownAt } from '../../adapters/thrown-place.ts';
import { ThrottledLine } from './throttled-line.ts';

/** So many late calls, with no answer in between, mean that the handler hangs; one proves little. */
const MANY_LATE = 32;

export class Health {
  /** `adapter/handler`, in all messages. */
  readonly label: string;
  readonly breaker: Breaker;
  readonly meters: HandlerMeters;
  readonly #faults: ThrottledLine;
  readonly #slowCalls: ThrottledLine;
  readonly #rejections: ThrottledLine;
  readonly #leftOut: ThrottledLine;
  readonly #outage: OutageLog;
  /** Entries that wait for the backend, on the lines of an outage; set if the handler serves report. */
  waitingReports: (() => number) | undefined;
  /** Why the last call failed, until one is answered. */
  #downWhy: string | undefined;
  #lateInARow = 0;
  /** Why the last batch of reports was not taken, until an answer comes. */
  #untakenWhy: string | undefined;
  #lastError: { readonly why: string; readonly atMs: number } | undefined;

  constructor(
    { name, adapter, breaker }: Pick<HandlerSpec, 'name' | 'adapter' | 'breaker'>,
    meters: HandlerMeters,
    log: Log,
  ) {
    const fields = { handler: name, adapter };
    this.label = `${adapter}/${name}`;
    this.breaker = new Breaker(breaker);
    this.meters = meters;
    this.#faults = new ThrottledLine(log, 'error', 'error in a plugin', fields);
    this.#slowCalls = new ThrottledLine(log, 'warn', 'a call to a handler was slow', fields);
    this.#rejections = new ThrottledLine(log, 'warn', 'a handler rejected a call', fields);
    this.#leftOut = new ThrottledLine(log, 'warn', 'a lookup answered with what its adapter does not declare', fields);
    this.#outage = new OutageLog(log, fields);
  }

  /** The last failure that was the handler's; `atMs` since 1970. */
  get lastError(): { readonly why: string; readonly atMs: number } | undefined {
    return this.#lastError;
  }

  get downWhy(): string | undefined {
    return this.#downWhy;
  }

  /** Why no call is sent, while the breaker is open. */
  get openWhy(): string | undefined {
    return this.breaker.state === 'open' ? `its breaker is open: ${this.#downWhy ?? 'it failed'}` : undefined;
  }

  /** Why it is not ready for reports: the backend did not take the last batch. */
  get untakenWhy(): string | undefined {
    return this.#untakenWhy;
  }

  /**
   * A batch of reports failed, and is sent again. One that was late is enough for an outage, since batches are sent one at a time: a
   * backend that accepts connections and answers nothing would take minutes to be late often enough.
   */
  untaken(why: string): void {
    this.#untakenWhy = why;
    if (this.#downWhy !== undefined) return; // logged with the call
    this.#downWhy = why;
    this.#outage.failed('a handler does not answer', why, this.#waiting);
  }

  /** A call took most of its deadline, or more. */
  slow(call: string, tookMs: number, deadlineMs: number): void {
    this.#slowCalls.write(() => ({ call, tookMs: Math.round(tookMs), deadlineMs }));
  }

  leftOut(why: () => string): void {
    this.#leftOut.write(() => ({ why: why() }));
  }

  /** The failure of a call that the breaker did not admit. */
  refused(): Failure {
    const failure = this.refusal();
    this.#count(failure);
    return failure;
  }

  /** The same for a call that it admitted, and that waited in the queue until the breaker was open. */
  refusal(): Failure {
    const { waitMs, spec } = this.breaker;
    const why = `[${this.label}] is not asked for ${Math.ceil(waitMs)} ms: it failed ${counted(spec.failures, 'time')} in a row`;
    return new Failure('breaker', why, { retryAfterMs: waitMs });
  }

  /** Call it once for each call that the breaker admitted, with its turn. */
  settled<T>(answer: T | Failure, turn: Turn, scope: CallScope): T | Failure {
    if (!(answer instanceof Failure)) {
      this.#answered();
      return answer;
    }
    // A rejected input proves that the backend answers; a call that was not sent, or whose caller left, proves nothing about it.
    if (answer.kind === 'rejected') this.#rejected(answer.why, scope);
    else if (answer.kind === 'gone' || answer.kind === 'overload' || answer.kind === 'breaker')
      this.breaker.unknown(turn);
    else this.#unanswered(answer, this.breaker.failed(turn));
    this.#count(answer);
    return answer;
  }

  /** Of reports their delivery says what becomes of them. */
  #rejected(why: string, { bags }: CallScope): void {
    this.#answered();
    if (bags !== undefined) this.#rejections.write(() => ({ why }));
  }

  #answered(): void {
    this.breaker.succeeded();
    this.#lateInARow = 0;
    this.#untakenWhy = undefined;
    if (this.#downWhy === undefined) return;
    this.#downWhy = undefined;
    this.#outage.succeeded('a handler answers again', this.#waiting);
  }

  /** An unavailable backend, a breaker that opens, or many late calls mean that it is down. */
  #unanswered({ kind, isLogged, why }: Failure, hasOpened: boolean): void {
    this.#lastError = isLogged ? this.#lastError : { why, atMs: Date.now() };
    if (kind === 'late') this.#lateInARow++;
    const isDown = kind === 'unavailable' || hasOpened || this.#lateInARow >= MANY_LATE;
    if (!isDown && this.#downWhy === undefined) return;
    this.#downWhy = why;
    if (isLogged) return;
    this.#outage.failed(
      hasOpened
        ? 'a handler does not answer: its breaker is open, and it is not asked for a while'
        : 'a handler does not answer',
      why,
      this.#waiting,
    );
  }

  readonly #waiting = (): LogFields =>
    this.waitingReports === undefined ? {} : { waitingReports: this.waitingReports() };

  /** Of an answer that was settled before. */
  faulty(failure: Failure): Failure {
    this.#count(failure);
    return failure;
  }

  #count({ kind, cause, why }: Failure): void {
    this.meters.failures[kind]++;
    if (kind === 'fault')
      this.#faults.write(() => {
        const at = thrownAt(cause);
        return { ...(at === undefined ? {} : { at }), why };
      });
  }

  /** An error of the plugin without the secrets of the call. */
  shown(text: string, { bags, batch }: CallScope): string {
    if (batch !== undefined) return batch.text(text);
    if (bags === undefined) return text;
    return [bags].flat().reduce((before, bag) => new RedactedRequest(bag).text(before), text);
  }
}
