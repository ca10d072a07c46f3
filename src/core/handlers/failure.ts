import { Rejected, Unavailable } from '../../adapters/contract.ts';
import type { FailureKind } from '../metrics/meters.ts';
import type { ErrorWord } from '../actions.ts';

/** A call of a handler that came to nothing. A value, not thrown: it is one of the two ways that a call ends. */
export class Failure {
  readonly kind: FailureKind;
  /** For people: names adapter and handler. */
  readonly why: string;
  readonly retryAfterMs: number;
  /** Of a batch of reports: the indexes of those refused, all if absent. */
  readonly entries: readonly number[] | undefined;
  /** Of a fault of the plugin: what was thrown. */
  readonly cause: unknown;

  constructor(
    kind: FailureKind,
    why: string,
    options: {
      readonly retryAfterMs?: number;
      readonly entries?: readonly number[] | undefined;
      readonly cause?: unknown;
    } = {},
  ) {
    this.kind = kind;
    this.why = why;
    this.retryAfterMs = options.retryAfterMs ?? 0;
    this.entries = options.entries;
    this.cause = options.cause;
  }

  /** `word`: the rule's own. What failed on this side never passes: the backend answers, and a burst must not open what it guards. */
  comesTo(word: ErrorWord): ErrorWord {
    return word === 'allow' && (this.kind === 'overload' || this.kind === 'gone') ? 'error' : word;
  }
}

/** By name too: a plugin from outside may bring the contract in an instance of its own. */
export function failureOf(thrown: unknown, label: string): Failure {
  if (thrown instanceof Unavailable || isNamed(thrown, 'Unavailable')) {
    const { message, retryAfterMs } = thrown as Unavailable;
    return new Failure('unavailable', `[${label}] ${message}`, {
      retryAfterMs: Number.isFinite(retryAfterMs) ? retryAfterMs : 0,
    });
  }
  if (thrown instanceof Rejected || isNamed(thrown, 'Rejected')) {
    const { message, entries } = thrown as Rejected;
    return new Failure('rejected', `[${label}] ${message}`, { entries });
  }
  const said = thrown instanceof Error ? `${thrown.name}: ${thrown.message}` : String(thrown);
  return new Failure('fault', `[${label}] a fault of the plugin: ${said}`, { cause: thrown });
}

const isNamed = (thrown: unknown, name: string): boolean => thrown instanceof Error && thrown.name === name;
