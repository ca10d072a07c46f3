/** The JSON pages. Secrets are hidden already in the configs and verdicts that come here. */
import { withoutCredentials, withoutCredentialsIn } from '../attributes/credentials.ts';
import { HANDLER_BOUNDS_MS, quantileMs } from '../core/metrics/meters.ts';
import type { Finding } from '../yaml/findings.ts';
import type { Policy } from '../core/rules/policy.ts';
import type { PolicyLoading } from './sources.ts';
import type { HandlerState } from '../core/handlers/live-handler.ts';

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
