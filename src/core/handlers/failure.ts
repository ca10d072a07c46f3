import { Rejected, Unavailable } from '../../adapters/contract.ts';
import type { FailureKind } from '../metrics/meters.ts';
import type { ErrorWord } from '../actions.ts';
import { messageOf } from '../../text/message-of.ts';
import { shortened } from '../../text/shortened.ts';
import { MAX_REASON } from '../text-bounds.ts';

/** The failure of a handler's call; returned, not thrown. */
export class Failure {
  readonly kind: FailureKind;
  /** Names adapter and handler, for operators. */
  readonly why: string;
  readonly retryAfterMs: number;
  /** Rejected reports of a batch, by index; all if absent. */
  readonly entries: readonly number[] | undefined;
  /** The error that the plugin threw. */
  readonly cause: unknown;
  /** The log says already why the handler cannot be asked: it does not run. */
  readonly isLogged: boolean;

  constructor(
    kind: FailureKind,
    why: string,
    options: {
      readonly retryAfterMs?: number;
      readonly entries?: readonly number[] | undefined;
      readonly cause?: unknown;
      readonly isLogged?: boolean;
    } = {},
  ) {
    this.kind = kind;
    this.why = shortened(why, MAX_REASON);
    this.retryAfterMs = options.retryAfterMs ?? 0;
    this.entries = options.entries;
    this.cause = options.cause;
    this.isLogged = options.isLogged ?? false;
  }

  /** Applies the rule's `onError`. An overload here never passes: the backend works, and a burst must not disable the rule. */
  comesTo(word: ErrorWord): ErrorWord {
    return word === 'allow' && (this.kind === 'overload' || this.kind === 'gone') ? 'error' : word;
  }
}

/** Of a plugin's text, without secrets. */
type Shown = (text: string) => string;

/** A plugin may throw anything, also what throws when it is read. */
export function failureOf(thrown: unknown, label: string, shown: Shown): Failure {
  try {
    return readFailure(thrown, label, shown);
  } catch {
    return new Failure('fault', `[${label}] error in the plugin: what it threw cannot be read`);
  }
}

/** Also by name, since a plugin may bundle its own copy of the contract. */
function readFailure(thrown: unknown, label: string, shown: Shown): Failure {
  if (thrown instanceof Unavailable || isNamed(thrown, 'Unavailable')) {
    const { message, retryAfterMs, isLogged } = thrown as Unavailable & { readonly isLogged?: unknown };
    return new Failure('unavailable', `[${label}] ${redacted(message, shown)}`, {
      retryAfterMs: Number.isFinite(retryAfterMs) ? retryAfterMs : 0,
      isLogged: isLogged === true,
    });
  }
  if (thrown instanceof Rejected || isNamed(thrown, 'Rejected')) {
    const { message, entries } = thrown as Rejected;
    return new Failure('rejected', `[${label}] ${redacted(message, shown)}`, { entries });
  }
  const text = thrown instanceof Error ? `${thrown.name}: ${thrown.message}` : messageOf(thrown);
  return new Failure('fault', `[${label}] error in the plugin: ${redacted(text, shown)}`, { cause: thrown });
}

/** Redacted before it is shortened, since cutting might leave part of a secret. Text far beyond the bound is dropped first. */
const redacted = (message: unknown, shown: Shown): string => shown(String(message).slice(0, 16 * MAX_REASON));

const isNamed = (thrown: unknown, name: string): boolean => thrown instanceof Error && thrown.name === name;
