/** How a case reaches the engine: in process, or by a real gRPC call. */
import type { Attributes } from '../../attributes/attributes.ts';
import type { Wire } from '../../attributes/bag.ts';
import { type Engine, type LimitVerdict, NO_CALLER, type Verdict } from '../../core/call.ts';
import { carriedByCase, caseWire } from './wire.ts';
import type { Case } from './schema.ts';
import type { SeenCheck, SeenLimit } from './observed.ts';

/** Makes the call of a case once. What a report came to is told by its handlers, not by the driver. */
export type Driver = (one: Case) => Promise<SeenCheck | SeenLimit | undefined>;

export function inProcess(engine: Engine, attributes: Attributes): Driver {
  return async (one) => {
    const wires: Wire[] = one.requests.map((given) => caseWire(attributes, given, carriedByCase(one), one.call));
    const [wire] = wires;
    if (wire === undefined) throw new Error('a case makes at least one request');
    switch (one.call) {
      case 'http':
      case 'tcp':
        return seenCheck(await engine.check(one.call, wire, NO_CALLER));
      case 'limit':
        return seenLimit(await engine.limit(wires, NO_CALLER));
      case 'log':
      case 'tcp-log':
        await engine.report(one.call, wire);
        return undefined;
    }
  };
}

const reasonsOf = (verdict: Verdict | LimitVerdict): string[] =>
  verdict.reasons.map(({ rule, text }) => `${rule}: ${text}`);

function seenCheck(verdict: Verdict): SeenCheck {
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

function seenLimit(verdict: LimitVerdict): SeenLimit {
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
