/** Recorded calls for tests, and the proposal that they come to. */
import type { RecordedCall } from '../../../../src/traffic/format.ts';
import { Observations, type ObservationOptions } from '../../../../src/traffic/suggest/observations.ts';
import { type Proposal, proposalOf } from '../../../../src/traffic/suggest/proposal.ts';

const BEGAN_MS = Date.parse('2026-11-29T10:00:00Z');

export interface SentCall {
  readonly method?: string;
  readonly host?: string;
  readonly path?: string;
  readonly principal?: string;
  readonly ip?: string;
  readonly atMs?: number;
  readonly code?: number;
  readonly useragent?: string;
  readonly outcome?: 'allow' | 'deny';
  readonly call?: RecordedCall['call'];
}

export function attributesOf(sent: SentCall): Record<string, unknown> {
  const { method = 'GET', host = 'shop', path = '/', principal, ip = '10.0.0.1', code, useragent } = sent;
  return {
    'request.method': method,
    'request.authority': host,
    'request.path': path,
    'source.ip': ip,
    ...(principal === undefined ? {} : { 'source.principal': principal }),
    ...(code === undefined ? {} : { 'response.code': code }),
    ...(useragent === undefined ? {} : { 'request.headers': { 'user-agent': useragent } }),
  };
}

export function recorded(sent: SentCall): RecordedCall {
  const { atMs = 0, outcome = 'allow', call = 'http' } = sent;
  return {
    id: '1',
    timeMs: BEGAN_MS + atMs,
    call,
    tookMs: 0.1,
    requests: [{ attributes: attributesOf(sent), carried: {}, filled: {}, answers: {} }],
    verdict: {
      outcome,
      rule: outcome === 'allow' ? null : 'closed',
      status: outcome === 'allow' ? 200 : 403,
      shadow: [],
      revision: '1',
      reasons: [],
    },
  };
}

export function observed(sent: readonly SentCall[], options: Partial<ObservationOptions> = {}): Observations {
  const observations = new Observations({
    groupBy: 'principal',
    trustedHops: undefined,
    windowMs: 60_000,
    ...options,
  });
  for (const one of sent) observations.add(recorded(one));
  return observations;
}

export const proposed = (
  sent: readonly SentCall[],
  options: Partial<ObservationOptions> & { readonly minCalls?: number; readonly headroom?: number } = {},
): Proposal =>
  proposalOf(observed(sent, options), { minCalls: options.minCalls ?? 1, headroom: options.headroom ?? 2 });

export const times = <T>(count: number, make: (at: number) => T): T[] =>
  Array.from({ length: count }, (_, at) => make(at));
