/** Which verdicts an operator asks for. */
import type { CallKind } from '../../attributes/carrier.ts';
import type { Outcome } from '../call.ts';
import type { KeptVerdict } from './summary.ts';

export interface VerdictFilter {
  /** Id of the verdict or the request (x-request-id). */
  readonly id?: string;
  /** The rule that decided, or would have refused in shadow mode. */
  readonly rule?: string;
  readonly outcome?: Outcome;
  readonly call?: CallKind;
  readonly host?: string;
  /** `source.principal`; a trailing `*` matches any suffix. */
  readonly principal?: string;
  /** Without the query; a trailing `*` matches any suffix. */
  readonly path?: string;
  /** Default 100. */
  readonly limit?: number;
}

/** The part of a verdict that a filter may name; without a look at the request. */
export interface FilteredVerdict {
  readonly id: string;
  readonly outcome: Outcome;
  readonly rule: string | undefined;
  readonly shadow: readonly string[];
}

/** `request`: its fields as they are shown; called only if the filter names one. */
export function passesFilter(
  { id, rule, outcome, call, host, path, principal }: VerdictFilter,
  verdict: FilteredVerdict,
  own: CallKind,
  request: () => KeptVerdict['request'],
): boolean {
  if (outcome !== undefined && verdict.outcome !== outcome) return false;
  if (call !== undefined && own !== call) return false;
  if (rule !== undefined && verdict.rule !== rule && !verdict.shadow.includes(rule)) return false;
  if (id === undefined && host === undefined && path === undefined && principal === undefined) return true;
  const fields = request();
  if (id !== undefined && verdict.id !== id && fields.requestId !== id) return false;
  if (host !== undefined && String(fields.host).toLowerCase() !== host.toLowerCase()) return false;
  if (principal !== undefined && !isMeant(principal, textOf(fields.principal))) return false;
  return path === undefined || isMeant(path, textOf(fields.path).replace(/[?#].*$/s, ''));
}

const textOf = (value: unknown): string => (typeof value === 'string' ? value : '');
const isMeant = (pattern: string, text: string): boolean =>
  pattern.endsWith('*') ? text.startsWith(pattern.slice(0, -1)) : text === pattern;
