/**
 * Messages between the host and a handler that runs elsewhere: in a child process, or behind gRPC (`sluice.plugin.v1`).
 * A channel carries lists of them, so that all messages of one turn of the event loop cost one write. Order is kept. Every value can be
 * cloned; a channel over a network encodes them.
 */
import type {
  Capability,
  CheckAnswer,
  LeasePage,
  LogFields,
  QuotaAnswer,
  QuotaAsk,
  QuotaPlace,
  ReportEntry,
  Validity,
} from '../contract.ts';
import type { Algorithm, Shape } from '../contract.ts';
import type { AdapterErrorCode } from '../errors.ts';

/** Identifies the function, bucket or sink that a handler prepared for one rule. Chosen by the host, never used again. */
export type Slot = number;
/** Matches a call with its answer. Chosen by the host, never used again. */
export type CallNumber = number;

export interface CallFields {
  readonly number: CallNumber;
  /** The request's id, for log lines. */
  readonly id: string;
  /** The handler aborts its own work when it is over; an answer after it is ignored. */
  readonly remainingMs: number;
}

/** A rule in {@link Prepare}. Besides `rule` and `params`, the first three fields are for quota, the others for report. */
export interface RuleFields {
  readonly rule: string;
  readonly params: unknown;
  readonly counter?: string;
  readonly algorithm?: Algorithm;
  readonly perMs?: number;
  readonly input?: Shape;
}

/** First on a channel; answered by {@link Opened} or {@link OpenFailed}. */
export interface Open {
  readonly kind: 'open';
  readonly handler: string;
  readonly adapter: string;
  /** As parsed by the adapter's schema in the host, secrets included. */
  readonly config: unknown;
  readonly folder: string;
  readonly worker: { readonly number: number; readonly count: number };
  readonly openWithinMs: number;
}
/** Answered by {@link Prepared}. Repeated for every slot in use after a reconnect. */
export interface Prepare {
  readonly kind: 'prepare';
  readonly slot: Slot;
  readonly capability: Capability;
  readonly rule: RuleFields;
}
/** No snapshot uses the slot any more. */
export interface Forget {
  readonly kind: 'forget';
  readonly slot: Slot;
}
export interface Ask {
  /** A check or a lookup, by the slot's capability. */
  readonly kind: 'ask';
  readonly call: CallFields;
  readonly slot: Slot;
  readonly input: Readonly<Record<string, unknown>>;
}
export interface Charge {
  readonly kind: 'charge';
  readonly call: CallFields;
  readonly asks: readonly QuotaAsk<Slot>[];
}
export interface Write {
  readonly kind: 'write';
  readonly call: CallFields;
  readonly entries: readonly ReportEntry<Slot>[];
}
/** For operators. */
export interface Inspect {
  readonly kind: 'look' | 'reset';
  readonly call: CallFields;
  readonly asks: readonly QuotaAsk<Slot>[];
  /** Of a look. */
  readonly leases?: LeasePage | undefined;
}
/** The caller has gone. No answer is expected. */
export interface Cancel {
  readonly kind: 'cancel';
  readonly number: CallNumber;
  readonly why: string;
}
/** Asks for the text of the handler's metrics pages. */
export interface RenderPage {
  readonly kind: 'renderPage';
  readonly call: CallFields;
}
/** Last on a channel; answered by {@link Closed}. */
export interface Close {
  readonly kind: 'close';
  readonly withinMs: number;
}
/** Messages that are answered, under their number. */
export type CallMessage = Ask | Charge | Write | Inspect | RenderPage;
export type ToHandler = CallMessage | Open | Prepare | Forget | Cancel | Close;

/** `has`: optional methods and pages that exist, so that the host offers no more. */
export interface Opened {
  readonly kind: 'opened';
  readonly has: { readonly reset: boolean; readonly look: boolean };
}
export interface OpenFailed {
  readonly kind: 'openFailed';
  /** Default: `ADAPTER_OPEN_FAILED`. */
  readonly code?: AdapterErrorCode;
  /** Without the names of adapter and handler. */
  readonly why: string;
}
export interface Prepared {
  readonly kind: 'prepared';
  readonly slot: Slot;
  /** Why the handler rejects the rule; absent if it accepts it. */
  readonly why?: string;
}
export interface Answered {
  readonly kind: 'answered';
  readonly number: CallNumber;
  readonly answer:
    | CheckAnswer
    | Readonly<Record<string, unknown>>
    | readonly QuotaAnswer[]
    | readonly QuotaPlace[]
    | string
    | undefined;
  /** Of a lookup that answered by `found()`; `answer` are its values. */
  readonly validity?: Validity;
  /** Where the channel has a message for each kind of answer. */
  readonly by?: AnswerKind;
}
/** The kinds of answers; `done` answers writes and resets. */
export type AnswerKind = 'check' | 'lookup' | 'charge' | 'done' | 'look' | 'page';
export interface Failed {
  readonly kind: 'failed';
  readonly number: CallNumber;
  readonly error: ErrorFields;
}
/** An error as it was thrown. `Unavailable` and `Rejected` are known by name; any other is a fault of the plugin. */
export interface ErrorFields {
  readonly name: string;
  readonly message: string;
  /** Names the place of the fault in the host's log. */
  readonly stack?: string;
  readonly retryAfterMs?: number;
  readonly entries?: readonly number[];
}
/** An error that nobody caught: an unhandled rejection, a throw in a timer. */
export interface Escaped {
  readonly kind: 'escaped';
  readonly how: 'rejection' | 'throw';
  readonly error: ErrorFields;
}
/** Whether the backend can be asked now; sent when it changes. A handler starts ready. */
export interface Readiness {
  readonly kind: 'readiness';
  readonly ready: boolean;
  readonly why?: string;
}
export interface LogLine {
  readonly kind: 'log';
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  readonly message: string;
  readonly fields: LogFields;
  /** Where the channel decodes message and fields when they are read: of how much. */
  readonly octets?: number;
}
/** The increments of a counter since the last message. */
export interface Counted {
  readonly kind: 'counted';
  readonly name: string;
  readonly help: string;
  readonly amount: number;
}
/** The handler has a metrics page from now on. */
export interface HasPage {
  readonly kind: 'hasPage';
}
export interface Closed {
  readonly kind: 'closed';
}
export type FromHandler =
  | Opened
  | OpenFailed
  | Prepared
  | Answered
  | Failed
  | Escaped
  | Readiness
  | LogLine
  | Counted
  | HasPage
  | Closed;

/** One handler's connection to where it runs. A channel that ended is not used again; the host makes another. */
export interface Channel {
  /** Throws if a message cannot be cloned or encoded; then none of them was sent. A broken connection is reported by `gone` instead. */
  send(messages: readonly ToHandler[]): void;
  /** Ends it at once, without a {@link Close}. Idempotent. */
  end(why: string): void;
}
/** Events of a channel, for its host. */
export interface ChannelEvents {
  received(messages: readonly FromHandler[]): void;
  /** The other side takes no more channels where this one is, and ends this one some time: the host moves to another one. */
  leaving(): void;
  /**
   * Once: the process exited, the connection broke, or the other side broke the protocol. Not after `end`. `isAway`: it could not be asked,
   * so a handler that was being opened is away; else opening has failed.
   */
  gone(why: string, isAway?: boolean): void;
}
/** Makes a channel. `received` is not called before it returns. Rejects if the other side cannot be reached now. */
export type OpenChannel = (events: ChannelEvents, signal: AbortSignal) => Promise<Channel>;
