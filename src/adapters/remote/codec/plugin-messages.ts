/**
 * Messages of a plugin as they are on the wire (`sluice.plugin.v1.HandleResponse`): there are several kinds of answers, one for each call.
 */
import type { QuotaAnswer, QuotaLease, QuotaPlace } from '../../contract.ts';
import type { Closed, Counted, HasPage, LogLine, OpenFailed, Prepared, Readiness } from '../../isolated/protocol.ts';
import type { Variants } from './batch.ts';
import { double, flag, list, maybe, message, optional, text, whole, wholes, word } from './fields.ts';
import { LOG_LINE } from './log-line.ts';
import { maybeValuesBy } from './values.ts';

type Values = Readonly<Record<string, unknown>>;

export interface AllowFields {
  readonly validForMs: number | undefined;
  readonly uses: number | undefined;
  readonly output: Values | undefined;
}
interface DenyFields {
  readonly code: number;
  readonly reason: string;
  readonly validForMs: number | undefined;
  readonly output: Values | undefined;
  /** Texts. */
  readonly headers: Values | undefined;
}

export interface CheckAnswered {
  readonly kind: 'check';
  readonly number: number;
  readonly allow?: AllowFields | undefined;
  readonly deny?: DenyFields | undefined;
}
export interface LookupAnswered {
  readonly kind: 'lookup';
  readonly number: number;
  readonly output: Values | undefined;
  readonly validForMs: number | undefined;
  readonly uses: number | undefined;
}
export interface ChargeAnswered {
  readonly kind: 'charge';
  readonly number: number;
  readonly answers: readonly QuotaAnswer[];
}
export interface LookAnswered {
  readonly kind: 'look';
  readonly number: number;
  readonly places: readonly QuotaPlace[];
}
export interface PageAnswered {
  readonly kind: 'page';
  readonly number: number;
  readonly text: string;
}
export interface Done {
  readonly kind: 'done';
  readonly number: number;
}
export interface FailedFields {
  readonly kind: 'failed';
  readonly number: number;
  readonly fault: 'unavailable' | 'rejected' | 'fault';
  readonly message: string;
  readonly retryAfterMs: number;
  readonly entries: readonly number[] | undefined;
  readonly name: string;
  readonly stack: string;
}
export interface OpenedFields {
  readonly kind: 'opened';
  readonly look: boolean;
  readonly reset: boolean;
}
export interface Pong {
  readonly kind: 'pong';
}
export type PluginMessage =
  | CheckAnswered
  | LookupAnswered
  | ChargeAnswered
  | LookAnswered
  | PageAnswered
  | Done
  | FailedFields
  | OpenedFields
  | OpenFailed
  | Prepared
  | Readiness
  | LogLine
  | Counted
  | HasPage
  | Closed
  | Pong;

type Bare<M> = Omit<M, 'kind'>;
type Named<K extends PluginMessage['kind']> = Bare<Extract<PluginMessage, { readonly kind: K }>>;

const HOLDER = message<{ readonly who: string; readonly units: number }>({ who: [1, text], units: [2, double] });
const LEASE = message<QuotaLease>({
  id: [1, optional(text)],
  units: [2, double],
  heldMs: [3, double],
  endsInMs: [4, double],
});

/** Without the declared types: the host reads the same values, whichever kind a number or a text is sent as. */
const output = maybeValuesBy(() => 'any');

export const PLUGIN_MESSAGES: Variants<PluginMessage> = {
  check: [
    1,
    message<Named<'check'>>({
      number: [1, whole],
      allow: [
        2,
        maybe(
          message<AllowFields>({ validForMs: [1, optional(double)], uses: [2, optional(double)], output: [3, output] }),
        ),
      ],
      deny: [
        3,
        maybe(
          message<DenyFields>({
            code: [1, whole],
            reason: [2, text],
            validForMs: [3, optional(double)],
            output: [4, output],
            headers: [5, output],
          }),
        ),
      ],
    }),
  ],
  lookup: [
    2,
    message<Named<'lookup'>>({
      number: [1, whole],
      output: [2, output],
      validForMs: [3, optional(double)],
      uses: [4, optional(double)],
    }),
  ],
  charge: [
    3,
    message<Named<'charge'>>({
      number: [1, whole],
      answers: [
        2,
        list(
          message<QuotaAnswer>({
            granted: [1, flag],
            limit: [2, double],
            remaining: [3, double],
            resetMs: [4, double],
            charged: [5, optional(double)],
          }),
        ),
      ],
    }),
  ],
  done: [4, message<Named<'done'>>({ number: [1, whole] })],
  failed: [
    5,
    message<Named<'failed'>>({
      number: [1, whole],
      fault: [2, word(['unavailable', 'rejected'], 'fault')],
      message: [3, text],
      retryAfterMs: [4, double],
      entries: [5, wholes],
      name: [6, text],
      stack: [7, text],
    }),
  ],
  prepared: [6, message<Named<'prepared'>>({ slot: [1, whole], why: [2, optional(text)] })],
  opened: [7, message<Named<'opened'>>({ look: [1, flag], reset: [2, flag] })],
  openFailed: [8, message<Omit<Named<'openFailed'>, 'code'>>({ why: [1, text] })],
  readiness: [9, message<Named<'readiness'>>({ ready: [1, flag], why: [2, optional(text)] })],
  log: [10, LOG_LINE],
  counted: [11, message<Named<'counted'>>({ name: [1, text], help: [2, text], amount: [3, double] })],
  look: [
    12,
    message<Named<'look'>>({
      number: [1, whole],
      places: [
        2,
        list(
          message<QuotaPlace>({
            counter: [1, optional(text)],
            holders: [2, list(HOLDER)],
            leases: [3, list(LEASE)],
            leaseCount: [4, optional(whole)],
          }),
        ),
      ],
    }),
  ],
  page: [13, message<Named<'page'>>({ number: [1, whole], text: [2, text] })],
  hasPage: [14, message<Named<'hasPage'>>({})],
  closed: [15, message<Named<'closed'>>({})],
  pong: [16, message<Named<'pong'>>({})],
};
