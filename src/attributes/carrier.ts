/** The carriers by which a proxy can send a policy's attributes (docs/rules.md, section 3, `from`). */
export type Carrier =
  | { readonly kind: 'contextExtension'; readonly name: string }
  | { readonly kind: 'metadata'; readonly namespace: string; readonly path: readonly string[] }
  | { readonly kind: 'filterState'; readonly name: string }
  | { readonly kind: 'customTag'; readonly name: string }
  | { readonly kind: 'header'; readonly name: string };

/** The kinds of calls that reach the engine (docs/rules.md, section 4). */
export type CallKind = 'http' | 'tcp' | 'limit' | 'log' | 'tcp-log';

export const CALL_KINDS: readonly CallKind[] = ['http', 'tcp', 'limit', 'log', 'tcp-log'];

/** A record with one entry for each kind of call. */
export const perCallKind = <T>(of: (call: CallKind) => T): Readonly<Record<CallKind, T>> => ({
  http: of('http'),
  tcp: of('tcp'),
  limit: of('limit'),
  log: of('log'),
  'tcp-log': of('tcp-log'),
});

/** The calls that can have each carrier. */
export const CARRIED_BY: Readonly<Record<Carrier['kind'], readonly CallKind[]>> = {
  contextExtension: ['http'],
  metadata: ['http', 'tcp', 'log', 'tcp-log'],
  filterState: ['log', 'tcp-log'],
  customTag: ['log', 'tcp-log'],
  header: ['http', 'log'],
};
