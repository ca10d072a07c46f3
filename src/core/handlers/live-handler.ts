import { deadlinesOf } from '../actions.ts';
import type { Call, Capability, Log, QuotaAnswer, QuotaAsk } from '../../adapters/contract.ts';
import { BatchDelivery } from './batch-delivery.ts';
import type { LettersState, MemoryLetters } from './memory-letters.ts';
import { MemoryQueue } from './memory-queue.ts';
import type { ReportQueue, ReportQueueOptions, ReportQueueState } from './report-queue.ts';
import type { MakeQueue } from './spools.ts';
import type { TimerWheel } from '../../time/timer-wheel.ts';
import { AnswerCache } from './answer-cache.ts';
import { BURST_SILENCE_MS } from './answer-times.ts';
import { Gate } from './gate.ts';
import { HandlerMeters } from '../metrics/meters.ts';
import type { EncodedDefinition, StoredReport } from './spooled/record.ts';
import type { HandlerSpec } from '../rules/policy.ts';
import { messageOf } from '../../text/message-of.ts';
import type { SecretTexts } from '../../text/secret-texts.ts';
import type { OpenHandler } from '../../adapters/open-handler.ts';

/** Opens a handler of a policy: adapters in a server, canned answers in cases. */
export type OpenHandlers = (spec: HandlerSpec) => Promise<OpenHandler>;

/** A handler as operators see it. */
export interface HandlerState {
  readonly name: string;
  readonly adapter: string;
  readonly ready: boolean;
  readonly why: string | undefined;
  readonly breaker: 'closed' | 'open' | 'half-open';
  readonly running: number;
  readonly waiting: number;
  readonly queued: number;
  /** Of a handler that serves report. */
  readonly reports: ReportQueueState | undefined;
  /** Refused reports of a handler whose reports wait in memory. */
  readonly deadLetters: LettersState | undefined;
  /** `inline`, `worker`, or an address. */
  readonly runs: string;
  /** Calls that it did not answer at once, by {@link HANDLER_BOUNDS_MS}. */
  readonly durations: readonly number[];
  /** Of its worker or connection. */
  readonly restarts: number;
  /** The last failure of a call that was the handler's, or the reason of its last restart; `atMs` since 1970. */
  readonly lastError: { readonly why: string; readonly atMs: number } | undefined;
}

export interface LiveHandlerContext {
  readonly deadlines: TimerWheel;
  readonly log: Log;
  readonly meters: HandlerMeters;
  readonly reports: ReportQueueOptions;
  /** Asked for by a handler whose reports wait in memory. */
  readonly letters: () => MemoryLetters;
  /** Time for running calls and queued reports when the handler closes; asked then, since a drain may leave more. */
  readonly graceMs: () => number;
}

/** Inspections return their failures instead. */
export const SILENT_LOG: Log = { debug() {}, info() {}, warn() {}, error() {} };
/** A call that takes this long without waiting keeps all others waiting; longer than a thread waits for a core on a busy machine. */
export const HELD_MS = 500;
const NEVER_OPEN = { failures: Infinity, openForMs: 0, windowMs: 0 };

/** An open handler behind its gate. Kept over reloads while adapter and config stay equal. */
export class LiveHandler {
  readonly open: OpenHandler;
  readonly gate: Gate;
  /** For admin inspection: not metered, and with its own breaker, so that it cannot affect traffic. */
  readonly inspectionGate: Gate;
  readonly answers: AnswerCache;
  /** `charge` of a quota handler; one closure, since calls pass it on. */
  readonly charge: (asks: readonly QuotaAsk[], call: Call) => readonly QuotaAnswer[] | Promise<readonly QuotaAnswer[]>;
  /** Only if the handler serves report. */
  readonly reports: ReportQueue | undefined;
  /** Only if its reports wait in memory. */
  readonly letters: MemoryLetters | undefined;
  /** Deadline of one call, by capability. */
  deadlinesMs: Readonly<Record<Capability, number>>;
  /** Its queue, if reports wait in memory. */
  readonly #inMemory: MemoryQueue | undefined;
  readonly #context: LiveHandlerContext;
  #spec: HandlerSpec;
  #snapshots = 0;
  #closed: Promise<void> | undefined;
  #heldMs = 0;
  /** What neither its log nor its errors show; those of policies that keep it are included. */
  readonly secrets: SecretTexts;
  readonly #whenClosed = Promise.withResolvers<void>();

  /** `queue`: absent if reports wait in memory. */
  constructor(spec: HandlerSpec, open: OpenHandler, context: LiveHandlerContext, queue?: MakeQueue) {
    this.#spec = spec;
    this.secrets = spec.secrets;
    this.deadlinesMs = deadlinesOf(spec.deadlineMs);
    this.open = open;
    this.#context = context;
    this.answers = new AnswerCache(spec.cacheBytes, context.meters);
    const burstSilenceMs = open.handler.charge === undefined ? 0 : BURST_SILENCE_MS;
    this.gate = new Gate(spec, context.meters, context.deadlines, context.log, burstSilenceMs);
    this.inspectionGate = new Gate(
      { ...spec, breaker: NEVER_OPEN },
      new HandlerMeters(),
      context.deadlines,
      SILENT_LOG,
    );
    const { handler } = open;
    this.charge = (asks, call) => handler.charge?.(asks, call) as readonly QuotaAnswer[]; // anything else is reported
    if (handler.write !== undefined) {
      const delivery = new BatchDelivery(
        this.gate,
        (entries, call) => {
          const beganAtMs = performance.now();
          const written = handler.write?.(entries, call);
          this.#heldMs = Math.max(this.#heldMs, performance.now() - beganAtMs);
          return written;
        },
        spec,
      );
      let reports = queue?.(handler, delivery);
      if (reports === undefined) {
        this.letters = context.letters();
        reports = this.#inMemory = new MemoryQueue(delivery, spec, { ...context, letters: this.letters });
      }
      const waiting = (this.reports = reports);
      this.gate.health.waitingReports = () => waiting.size;
    }
  }

  get spec(): HandlerSpec {
    return this.#spec;
  }

  serves(spec: HandlerSpec): boolean {
    return (
      this.#closed === undefined &&
      this.#spec.implementation === spec.implementation &&
      this.#spec.signature === spec.signature &&
      this.#spec.folder === spec.folder
    );
  }

  configure(spec: HandlerSpec): void {
    this.#spec = spec;
    this.deadlinesMs = deadlinesOf(spec.deadlineMs);
    this.gate.configure(spec);
    this.inspectionGate.configure({ ...spec, breaker: NEVER_OPEN });
    this.reports?.configure(spec);
    this.answers.configure(spec.cacheBytes);
    this.answers.clear(); // the rules in force are new, and so are their answers
  }

  /**
   * A handler whose breaker is open, or whose backend did not take the last batch of reports, is not ready; one whose last call failed
   * is, and says why that failed.
   */
  state(): HandlerState {
    const { ready, why } = this.open.readiness();
    const { health, running, waiting } = this.gate;
    const { openWhy, untakenWhy, lastError } = health;
    const { where = 'inline', restarts = 0, lastEnd } = this.open.running?.() ?? {};
    return {
      name: this.#spec.name,
      adapter: this.#spec.adapter,
      ready: ready && openWhy === undefined && untakenWhy === undefined,
      why: why ?? openWhy ?? untakenWhy ?? health.downWhy,
      breaker: health.breaker.state,
      running,
      waiting,
      queued: this.reports?.size ?? 0,
      reports: this.reports?.state,
      deadLetters: this.letters?.state,
      runs: where,
      durations: [...health.meters.latency.buckets],
      restarts,
      lastError: lastEnd !== undefined && lastEnd.atMs >= (lastError?.atMs ?? 0) ? lastEnd : lastError,
    };
  }

  /** The longest time since the last look in which writing a batch did not wait. */
  takeHeldMs(): number {
    const heldMs = this.#heldMs;
    this.#heldMs = 0;
    return heldMs;
  }

  /** Sends dead letters again, by sinks of their definitions, since their rules may have gone. `done` must be called after the last one. */
  resending(): { send(report: StoredReport, definition: EncodedDefinition): void; done(): void } {
    const { handler } = this.open;
    const queue = this.#inMemory;
    const sinks = new Map<string, unknown>();
    return {
      /** Throws if the handler does not take the rule. */
      send: (report, definition) => {
        if (queue === undefined || this.isClosing) throw new Error('the handler closes');
        const { key, rule, params, shape } = definition;
        if (!sinks.has(key)) sinks.set(key, handler.sink?.({ rule, params, input: shape }));
        queue.again({ ...report, sink: sinks.get(key) }, definition);
      },
      done: () => {
        void queue
          ?.passed()
          .then(() => {
            for (const sink of sinks.values()) handler.forget?.(sink);
          })
          .catch((error: unknown) => this.logError('forgetting the sink of a rule failed', messageOf(error)));
      },
    };
  }

  retain(): void {
    this.#snapshots++;
  }

  /** Closes the handler when no snapshot uses it: drains reports, then running calls, then closes it. */
  release(): Promise<void> {
    this.#snapshots--;
    return this.#snapshots > 0 ? Promise.resolve() : this.close();
  }

  /** Settles when it has closed. */
  get closed(): Promise<void> {
    return this.#whenClosed.promise;
  }

  get isClosing(): boolean {
    return this.#closed !== undefined;
  }

  logError(message: string, error: string): void {
    this.#context.log.error(message, { handler: this.#spec.name, error: this.#spec.secrets.text(error) });
  }

  close(): Promise<void> {
    return (this.#closed ??= this.#close().finally(() => this.#whenClosed.resolve()));
  }

  async #close(): Promise<void> {
    const graceMs = this.#context.graceMs();
    const endsAtMs = performance.now() + graceMs;
    await this.reports?.close(graceMs);
    await this.gate.idle(Math.max(0, endsAtMs - performance.now()));
    try {
      await this.open.close();
    } catch (error) {
      this.logError('closing a handler failed', messageOf(error));
    }
  }
}
