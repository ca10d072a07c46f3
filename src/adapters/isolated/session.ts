/**
 * The handler's end of a channel: opens one handler and answers the host's requests.
 * **In**: messages of the host. **Out**: messages to the host; those of one turn of the event loop leave in one write.
 * **Fails**: never by throwing. What a handler throws, or answers that cannot be passed on, fails that call alone.
 */
import {
  type Adapter,
  type AnyHandler,
  type Found,
  isFound,
  type Log,
  type QuotaAsk,
  type ReportEntry,
  type Validity,
  valuesOf,
} from '../contract.ts';
import { AdapterError } from '../errors.ts';
import { logByLevel } from '../log/by-level.ts';
import { type HandlerEnvironment, openHandler, type OpenHandler } from '../open-handler.ts';
import { messageOf } from '../../text/message-of.ts';
import { promiseOf } from '../../time/promise-of.ts';
import { saidBy } from '../thrown-place.ts';
import { errorFields, loggedFields } from './error-fields.ts';
import { type Made, madeBy } from './made-by.ts';
import type { CallFields, CallNumber, FromHandler, Open, Prepare, Slot, ToHandler } from './protocol.ts';
import { SessionCall } from './session-call.ts';
import { SessionMetrics } from './session-metrics.ts';

export interface SessionOptions extends Pick<
  HandlerEnvironment,
  'clock' | 'shared' | 'closeWithinMs' | 'restartAfterMs'
> {
  /** Rejects if no adapter has this name, or its module cannot be imported. */
  readonly adapterOf: (name: string) => Adapter | Promise<Adapter>;
  /** Throws if a message cannot be cloned or encoded; then none of them was sent. */
  readonly send: (messages: readonly FromHandler[]) => void;
  /** Called after each message, so that a watchdog can tell a long list of messages from a loop. */
  readonly onProgress?: () => void;
  /** Called when the handler has closed, before the host is told. */
  readonly onClosed?: () => void;
}

/** Answers for rules are sent at least this often, so that the host knows which rule a handler hangs in. */
const PREPARED_WITHIN_MS = 1;

export class Session {
  readonly #options: SessionOptions;
  readonly #metrics: SessionMetrics;
  readonly #made = new Map<Slot, Made>();
  readonly #calls = new Map<CallNumber, SessionCall>();
  readonly #ended = new AbortController();
  #out: FromHandler[] = [];
  #flushedAtMs = 0;
  /** Messages that came before the handler was open. */
  #early: ToHandler[] | undefined = [];
  #open: OpenHandler | undefined;
  #readiness: string | undefined;
  /** Writes lines of the host's log about the handler; bound them before. */
  readonly log: Log;

  constructor(options: SessionOptions) {
    this.#options = options;
    this.#metrics = new SessionMetrics((message) => this.send(message));
    this.log = logByLevel((level) => (message, fields = {}): void => {
      this.send({ kind: 'log', level, message, fields: loggedFields(fields) });
    });
  }

  receive(messages: readonly ToHandler[]): void {
    for (const message of messages) {
      if (message.kind === 'open') void this.#opened(message);
      else if (this.#early === undefined) this.#take(message);
      else this.#early.push(message);
    }
  }

  /** Sent with the other messages of this turn. */
  send(message: FromHandler): void {
    if (this.#out.push(message) === 1) queueMicrotask(() => this.flush());
  }

  flush(): void {
    const messages = this.#out;
    if (messages.length === 0) return;
    this.#out = [];
    try {
      this.#options.send(messages);
    } catch {
      for (const message of messages) this.#sendAlone(message);
    }
  }

  /** The host has gone: aborts calls and closes the handler. Idempotent. */
  async end(why: string): Promise<void> {
    this.#ended.abort(new Error(why));
    for (const call of this.#calls.values()) call.abort(why);
    await this.#open?.close();
    this.#options.onClosed?.();
  }

  #sendAlone(message: FromHandler): void {
    try {
      this.#options.send([message]);
    } catch (error) {
      const why = `cannot be passed to the host: ${messageOf(error)}`;
      if (message.kind === 'answered')
        this.#options.send([
          { kind: 'failed', number: message.number, error: errorFields(new Error(`its answer ${why}`)) },
        ]);
      else if (message.kind === 'log')
        this.#options.send([{ ...message, fields: { problem: `the fields of this line ${why}` } }]);
    }
  }

  async #opened({ handler: name, adapter: adapterName, config, folder, worker, openWithinMs }: Open): Promise<void> {
    try {
      const { clock, shared, closeWithinMs, restartAfterMs } = this.#options;
      this.#open = await openHandler(
        await this.#options.adapterOf(adapterName),
        { name, config, folder },
        {
          log: this.log,
          metrics: this.#metrics,
          shared,
          worker,
          signal: this.#ended.signal,
          openWithinMs,
          onReadiness: () => this.#tellReadiness(),
          ...(clock === undefined ? {} : { clock }),
          ...(closeWithinMs === undefined ? {} : { closeWithinMs }),
          ...(restartAfterMs === undefined ? {} : { restartAfterMs }),
        },
      );
    } catch (error) {
      const label = `[${adapterName}/${name}] `;
      const message = messageOf(error);
      const why = message.startsWith(label) ? message.slice(label.length) : message;
      return this.send({ kind: 'openFailed', why, ...(error instanceof AdapterError ? { code: error.code } : {}) });
    }
    const { handler } = this.#open;
    this.send({ kind: 'opened', has: { reset: 'reset' in handler, look: 'look' in handler } });
    this.#tellReadiness();
    const early = this.#early ?? [];
    this.#early = undefined;
    for (const message of early) this.#take(message);
  }

  #tellReadiness(): void {
    if (this.#open === undefined) return;
    const { why } = this.#open.readiness();
    if (why === this.#readiness) return;
    this.#readiness = why;
    this.send({ kind: 'readiness', ready: why === undefined, ...(why === undefined ? {} : { why }) });
  }

  #take(message: ToHandler): void {
    const open = this.#open;
    if (open === undefined) return;
    const { handler } = open;
    switch (message.kind) {
      case 'prepare':
        this.#prepare(handler, message);
        break;
      case 'forget':
        this.#forget(handler, message.slot);
        break;
      case 'ask':
        this.#answer(message.call, (call) => this.#functionOf(message.slot)(message.input as never, call));
        break;
      case 'charge':
        this.#answer(message.call, (call) => handler.charge?.(this.#ofBuckets(message.asks), call));
        break;
      case 'write':
        this.#answer(message.call, (call) => handler.write?.(this.#ofSinks(message.entries), call));
        break;
      case 'look':
      case 'reset':
        this.#answer(message.call, () => handler[message.kind]?.(this.#ofBuckets(message.asks), message.leases));
        break;
      case 'renderPage':
        this.#answer(message.call, () => this.#metrics.render());
        break;
      case 'cancel':
        this.#calls.get(message.number)?.abort(message.why);
        break;
      case 'close':
        void this.end('the handler is closed').then(() => this.send({ kind: 'closed' }));
        break;
      case 'open':
        break; // one handler a channel
    }
    this.#options.onProgress?.();
  }

  #prepare(handler: AnyHandler, { slot, capability, rule }: Prepare): void {
    const nowMs = performance.now();
    if (nowMs - this.#flushedAtMs >= PREPARED_WITHIN_MS) {
      this.#flushedAtMs = nowMs;
      this.flush();
    }
    let made: Made;
    try {
      made = madeBy(handler, capability, rule);
    } catch (error) {
      made = { why: saidBy(error) };
    }
    this.#made.set(slot, made);
    this.send({ kind: 'prepared', slot, ...('why' in made ? { why: made.why } : {}) });
  }

  #forget(handler: AnyHandler, slot: Slot): void {
    const made = this.#made.get(slot);
    this.#made.delete(slot);
    if (made === undefined || 'why' in made) return;
    try {
      handler.forget?.('function' in made ? made.function : made.value);
    } catch (error) {
      this.send({ kind: 'log', level: 'error', message: 'forgetting a rule failed', fields: loggedFields({ error }) });
    }
  }

  #answer(fields: CallFields, ask: (call: SessionCall) => unknown): void {
    const { number } = fields;
    const call = new SessionCall(fields);
    let answer: unknown;
    let later: Promise<unknown> | undefined;
    try {
      answer = ask(call);
      later = promiseOf(answer);
    } catch (error) {
      return this.send({ kind: 'failed', number, error: errorFields(error) });
    }
    if (later === undefined) return this.#answered(number, answer);
    this.#calls.set(number, call);
    later.then(
      (value) => {
        this.#calls.delete(number);
        this.#answered(number, value);
      },
      (error: unknown) => {
        this.#calls.delete(number);
        this.send({ kind: 'failed', number, error: errorFields(error) });
      },
    );
  }

  /** The host checks the answer, as it does where the handler runs inline. */
  #answered(number: CallNumber, answer: unknown): void {
    const validity = validityOf(answer);
    this.send(
      validity === undefined
        ? { kind: 'answered', number, answer: answer as never }
        : { kind: 'answered', number, answer: valuesOf(answer as Found), validity },
    );
  }

  #functionOf(slot: Slot): (input: never, call: SessionCall) => unknown {
    const made = this.#made.get(slot);
    if (made !== undefined && 'function' in made) return made.function;
    throw new Error(made !== undefined && 'why' in made ? made.why : 'the rule is not prepared');
  }

  #valueOf(slot: unknown): unknown {
    const made = this.#made.get(slot as Slot);
    if (made !== undefined && 'value' in made) return made.value;
    throw new Error(made !== undefined && 'why' in made ? made.why : 'the rule is not prepared');
  }

  /** The messages are our own copy. */
  #ofBuckets(asks: readonly QuotaAsk[]): readonly QuotaAsk[] {
    for (const ask of asks as readonly { bucket: unknown }[]) ask.bucket = this.#valueOf(ask.bucket);
    return asks;
  }

  #ofSinks(entries: readonly ReportEntry[]): readonly ReportEntry[] {
    for (const entry of entries as readonly { sink: unknown }[]) entry.sink = this.#valueOf(entry.sink);
    return entries;
  }
}

/** Of an answer by `found()`; its symbol would not be cloned. */
function validityOf(answer: unknown): Validity | undefined {
  if (typeof answer !== 'object' || answer === null || !isFound(answer)) return undefined;
  return { validForMs: answer.validForMs, uses: answer.uses };
}
