/** Drives the engine for a case: in process, or by a real gRPC call. */
import type { Attributes } from '../../attributes/attributes.ts';
import type { Wire } from '../../attributes/bag.ts';
import type { Caller, Engine, LimitVerdict, Verdict } from '../../core/call.ts';
import { plainWire } from '../../attributes/plain-wire.ts';
import type { Case } from './schema.ts';
import type { ObservedCheck, ObservedLimit } from './observed.ts';

/** Cases are about answers, not about how busy the machine is. */
export const CASE_MS = 10_000;
const PATIENT: Caller = { remainingMs: CASE_MS, signal: undefined };

/** Makes the call of a case once. Reports are recorded by their handlers, not by the driver. */
export type Driver = (one: Case) => Promise<ObservedCheck | ObservedLimit | undefined>;

export function inProcess(engine: Engine, attributes: Attributes): Driver {
  return async (one) => {
    const wires: Wire[] = one.requests.map((given) => plainWire(attributes, given, one.carried, one.call));
    const [wire] = wires;
    if (wire === undefined) throw new Error('a case makes at least one request');
    switch (one.call) {
      case 'http':
      case 'tcp':
      case 'authzen':
        return observedCheck(await engine.check(one.call, wire, PATIENT));
      case 'limit':
        return observedLimit(await engine.limit(wires, PATIENT));
      case 'log':
      case 'tcp-log':
      case 'log-interim':
      case 'tcp-log-interim':
      case 'otlp-log':
      case 'envoy-metric':
        await engine.report(one.call, wire);
        return undefined;
    }
  };
}

const reasonsOf = (verdict: Verdict | LimitVerdict): string[] =>
  verdict.reasons.map(({ rule, text }) => `${rule}: ${text}`);

function observedCheck(verdict: Verdict): ObservedCheck {
  const {
    outcome,
    rule,
    status,
    body,
    headers,
    changes: { request, response, query, metadata },
    shadow,
  } = verdict;
  return {
    kind: 'check',
    outcome,
    rule,
    status,
    body,
    headers,
    request,
    response,
    query,
    metadata,
    shadow,
    reasons: reasonsOf(verdict),
  };
}

function observedLimit(verdict: LimitVerdict): ObservedLimit {
  const statuses = verdict.statuses.map(({ over, rule, limit, remaining, resetMs }) => ({
    over,
    rule,
    limit,
    remaining,
    resetSeconds: Math.ceil(resetMs / 1000),
  }));
  return {
    kind: 'limit',
    outcome: verdict.outcome,
    rule: verdict.rule,
    statuses,
    response: verdict.response,
    shadow: verdict.shadow,
    reasons: reasonsOf(verdict),
  };
}
