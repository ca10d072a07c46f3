import { loadBuiltIns } from '../../../src/adapters/loading/built-in.ts';
import { loadPolicy, loadPolicyText } from '../../../src/core/rules/load.ts';
import { findingText } from '../../../src/yaml/findings.ts';
import type { Policy } from '../../../src/core/rules/policy.ts';
import { type Needs, needsOf } from '../../../src/envoy/needs.ts';

const env = { REDIS_URL: 'redis://127.0.0.1:6379', KAFKA_BROKER: '127.0.0.1:9092' };

export const HANDLERS = `
handlers:
  limits: { adapter: quota-memory, config: {} }
  lines: { adapter: log-stdout, config: {} }
  slow: { adapter: check-http, config: { url: "http://127.0.0.1:1/" }, deadline: 500ms }
`;

/** Throws with the findings if the policy has errors. */
export async function policyOf(text: string): Promise<Policy> {
  const { policy, findings } = await loadPolicyText(new Map([['policy.yaml', text]]), {
    adapters: await loadBuiltIns(),
    env,
  });
  if (policy === undefined) throw new Error(findings.map(findingText).join('\n'));
  return policy;
}

export const needsOfText = async (text: string): Promise<Needs> => needsOf(await policyOf(text));

export async function policyIn(folder: string): Promise<Policy> {
  const { policy, findings } = await loadPolicy([folder], { adapters: await loadBuiltIns(), env });
  if (policy === undefined) throw new Error(findings.map(findingText).join('\n'));
  return policy;
}
