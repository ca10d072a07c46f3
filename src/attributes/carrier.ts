/** The carriers by which a proxy can send a policy's attributes (docs/rules.md, section 3, `from`). */
export type Carrier =
  | { readonly kind: 'contextExtension'; readonly name: string }
  | { readonly kind: 'metadata'; readonly namespace: string; readonly path: readonly string[] }
  | { readonly kind: 'filterState'; readonly name: string }
  | { readonly kind: 'customTag'; readonly name: string }
  | { readonly kind: 'header'; readonly name: string };

/** The kinds of calls that reach the engine (docs/rules.md, section 4). */
export const CALL_KINDS = [
  'http',
  'tcp',
  'authzen',
  'limit',
  'log',
  'tcp-log',
  'log-interim',
  'tcp-log-interim',
  'otlp-log',
  'envoy-metric',
] as const;
export type CallKind = (typeof CALL_KINDS)[number];
export const isCallKind = (value: unknown): value is CallKind => CALL_KINDS.some((kind) => kind === value);

/** The calls that a rule may name: those that arrive, and `decision`, which the engine makes of a verdict. */
export const RULE_CALLS = [...CALL_KINDS, 'decision'] as const;
export type RuleCall = (typeof RULE_CALLS)[number];

/** Entries of an access log. `interim`: of a request or connection that has not ended. */
export const ENTRY_KINDS = ['log', 'tcp-log', 'log-interim', 'tcp-log-interim'] as const;
export type EntryKind = (typeof ENTRY_KINDS)[number];

/** Calls that record what happened; nobody waits for a verdict. */
export const RECORD_KINDS = [...ENTRY_KINDS, 'otlp-log', 'envoy-metric'] as const;
export type RecordKind = (typeof RECORD_KINDS)[number];

/** Compared one by one: a set would be looked up by hash in each call. */
export const isRecord = (call: CallKind): call is RecordKind =>
  call !== 'http' && call !== 'tcp' && call !== 'limit' && call !== 'authzen';

/** A record with one entry for each kind of call. */
export const perCallKind = <T>(of: (call: CallKind) => T): Readonly<Record<CallKind, T>> =>
  Object.fromEntries(CALL_KINDS.map((call) => [call, of(call)])) as Record<CallKind, T>;

/** The calls that can have each carrier. */
export const CARRIED_BY: Readonly<Record<Carrier['kind'], readonly RuleCall[]>> = {
  contextExtension: ['http', 'tcp', 'decision'],
  metadata: ['http', 'tcp', 'decision', ...ENTRY_KINDS],
  filterState: ENTRY_KINDS,
  customTag: ENTRY_KINDS,
  header: ['http', 'decision', 'log', 'log-interim'],
};
