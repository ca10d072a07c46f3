/** The JSON pages. Secrets are hidden already in the configs and verdicts that come here. */
import { withoutCredentials, withoutCredentialsIn } from '../attributes/credentials.ts';
import { HANDLER_BOUNDS_MS, quantileMs } from '../core/metrics/meters.ts';
import { countsAt, type RuleCounts } from '../core/metrics/rule-counts.ts';
import type { Finding } from '../yaml/findings.ts';
import type { Policy } from '../core/rules/policy.ts';
import type { Action, Rule } from '../core/rules/rule.ts';
import type { PolicyLoading } from './sources.ts';
import type { HandlerState } from '../core/handlers/live-handler.ts';

/** `counts`: null for each rule if no worker has answered with those of this policy. */
export function rulesPage(policy: Policy | undefined, counts: RuleCounts | undefined): object {
  const own = counts?.revision === policy?.revision ? counts : undefined;
  return {
    revision: policy?.revision ?? null,
    rules:
      policy?.rules.map((rule, at) => ({ ...ruleRow(rule), counts: own === undefined ? null : countsRow(own, at) })) ??
      [],
  };
}

function countsRow(counts: RuleCounts, at: number): object {
  const { lastAtMs, ...numbers } = countsAt(counts, at);
  return { ...numbers, lastAt: lastAtMs === undefined ? null : new Date(lastAtMs).toISOString() };
}

/** Most findings on the page; the log has all. */
const MAX_SHOWN = 1000;

/** The policy in force and since when, and the errors of a newer one that was refused. */
export function policyPage(policy: Policy | undefined, { atMs, configs, refusal, history }: PolicyLoading): object {
  return {
    revision: policy?.revision ?? null,
    loadedAt: policy === undefined ? null : new Date(atMs).toISOString(),
    ageMs: policy === undefined ? null : Date.now() - atMs,
    configs,
    origin: history[0]?.origin ?? null,
    history: history.map((past) => ({
      revision: past.revision,
      loadedAt: new Date(past.atMs).toISOString(),
      origin: past.origin,
    })),
    pending:
      refusal === undefined
        ? null
        : {
            refusedAt: new Date(refusal.atMs).toISOString(),
            why: refusal.why,
            findings: findingRows(refusal.findings),
          },
  };
}

/** `excerpt`: the source line, and a line with carets under the place. */
export const findingRows = (findings: readonly Finding[]): object[] =>
  findings.slice(0, MAX_SHOWN).map(({ position: { file, line, column }, severity, code, message, excerpt }) => ({
    at: `${file}:${line}:${column}`,
    severity,
    code,
    message,
    excerpt: excerpt === undefined ? null : withoutCredentials(excerpt),
  }));

function ruleRow(rule: Rule): object {
  const { file, line } = rule.position;
  return {
    name: rule.name,
    description: rule.description ?? null,
    at: `${file}:${line}`,
    calls: [...rule.calls],
    match: rule.match?.source ?? true,
    action: rule.action === undefined ? null : actionRow(rule.action),
    changes: rule.onAllow !== undefined,
    mode:
      rule.mode.kind === 'percent'
        ? { percent: rule.mode.percent, by: rule.mode.keyExpression?.source ?? null }
        : rule.mode.kind,
    onError: rule.onError,
    sample:
      rule.sample === undefined
        ? null
        : { percent: rule.sample.percent, by: rule.sample.keyExpression?.source ?? null },
  };
}

function actionRow(action: Action): object {
  switch (action.kind) {
    case 'deny':
      return { kind: 'deny', unlessAllowed: action.unlessAllowed ?? null };
    case 'allow':
      return { kind: 'allow', group: action.group, handler: action.handler ?? null };
    case 'check':
      return { kind: 'check', handler: action.handler };
    case 'quota':
      return {
        kind: 'quota',
        handler: action.handler,
        counter: action.counter,
        algorithm: action.algorithm,
        limit: action.limit.source,
        perMs: action.perMs,
        key: action.key.map(({ source }) => source),
      };
    case 'report':
      return { kind: 'report', handler: action.handler };
    case 'enrich':
      return { kind: 'enrich', handler: action.handler, outputs: action.outputs.map(({ name }) => name) };
  }
}

export function handlersPage(policy: Policy | undefined, states: readonly HandlerState[]): object {
  return {
    handlers: states.map(({ durations, ...state }) => {
      const spec = policy?.handlers.get(state.name);
      return {
        ...state,
        latency: latencyOf(durations),
        why: withoutCredentialsIn(state.why ?? null),
        lastError: withoutCredentialsIn(state.lastError ?? null),
        config: withoutCredentialsIn(spec?.shown ?? null),
        deadlineMs: spec?.deadlineMs ?? null,
      };
    }),
  };
}

/** Of calls that were not answered at once. */
function latencyOf(durations: readonly number[]): object {
  const quantile = (part: number): number | null => quantileMs(part, HANDLER_BOUNDS_MS, durations) ?? null;
  return { count: durations.reduce((sum, one) => sum + one, 0), p50Ms: quantile(0.5), p99Ms: quantile(0.99) };
}
