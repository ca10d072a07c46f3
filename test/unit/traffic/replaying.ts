/** Policies that decide recorded calls in a test. */
import { onTestFinished } from 'vitest';
import { loadBuiltIns } from '../../../src/adapters/loading/built-in.ts';
import { realAdapters } from '../../../src/cli/cases/real-adapters.ts';
import { findingText } from '../../../src/yaml/findings.ts';
import { loadPolicyText } from '../../../src/core/rules/load.ts';
import type { Policy } from '../../../src/core/rules/policy.ts';
import type { RecordedCall, RecordedRequest } from '../../../src/traffic/format.ts';
import { Replay } from '../../../src/traffic/replay/replay.ts';
import type { ReplayHandlers } from '../../../src/traffic/replay/replay-handlers.ts';

const registry = await loadBuiltIns();

export async function builtInPolicy(text: string): Promise<Policy> {
  const { policy, findings } = await loadPolicyText(new Map([['p.yaml', text]]), { adapters: registry, env: {} });
  if (policy === undefined) throw new Error(findings.map((finding) => findingText(finding)).join('\n'));
  return policy;
}

export async function replayOf(policy: Policy | string, options: Partial<ReplayHandlers> = {}): Promise<Replay> {
  const memory = registry.get('quota-memory');
  if (memory === undefined) throw new Error('no quota-memory');
  const replay = await Replay.open(typeof policy === 'string' ? await builtInPolicy(policy) : policy, {
    open: realAdapters(),
    memory,
    countsQuotas: true,
    ...options,
  });
  onTestFinished(() => replay.close());
  return replay;
}

export const T0 = Date.UTC(2026, 0, 31, 12);

/** A call of the kind http. */
export function callAt(
  atMs: number,
  attributes: Readonly<Record<string, unknown>> = {},
  rest: Partial<RecordedRequest> & Partial<Pick<RecordedCall, 'verdict' | 'id'>> = {},
): RecordedCall {
  const { id = `id-${atMs}`, verdict, ...request } = rest;
  return {
    id,
    timeMs: T0 + atMs,
    call: 'http',
    tookMs: 1,
    verdict,
    requests: [
      {
        attributes: { 'request.method': 'GET', 'request.path': '/', 'source.ip': '10.0.0.7', ...attributes },
        carried: {},
        filled: {},
        answers: {},
        ...request,
      },
    ],
  };
}

/** `allow`, `deny by a-rule`. */
export async function verdictOf(replay: Replay, call: RecordedCall): Promise<string> {
  const { outcome, rule } = await replay.decide(call);
  return rule === undefined ? outcome : `${outcome} by ${rule}`;
}
