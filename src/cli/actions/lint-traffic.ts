/**
 * `sluice lint --traffic`: a policy beside recorded calls.
 * **In**: a policy, files of calls. **Out**: warnings at the places of its rules, and how much of each limit was used.
 * **Fails**: with a CliError if no call can be read, and with a SnapshotError if a handler cannot be opened.
 */
import { counted, grouped } from '../../text/counted.ts';
import type { Registry } from '../../adapters/registry.ts';
import type { Policy } from '../../core/rules/policy.ts';
import type { Finding } from '../../yaml/findings.ts';
import { paintOut } from '../../text/paint.ts';
import { Coverage } from '../../traffic/policy-coverage/coverage.ts';
import { coverageFindings, numberText } from '../../traffic/policy-coverage/findings.ts';
import { columns, printOut } from '../terminal.ts';
import { openReplay, Traffic, type TrafficFlags } from './replay.ts';

export interface PolicyTraffic {
  readonly coverage: Coverage;
  readonly findings: readonly Finding[];
  /** What could not be read, on stderr. */
  printNotes(): void;
  /** For JSON. */
  readonly row: object;
}

export async function policyTraffic(
  policy: Policy,
  registry: Registry,
  files: readonly string[],
  flags: TrafficFlags,
): Promise<PolicyTraffic> {
  const traffic = new Traffic(files, flags);
  const coverage = new Coverage(policy);
  const replay = await openReplay(policy, registry, flags);
  try {
    replay.observe(coverage.add);
    for await (const { call } of traffic.calls()) {
      const decided = replay.decide(call);
      if (decided instanceof Promise) await decided;
    }
  } finally {
    await replay.close();
  }
  traffic.requireCalls(coverage.calls);
  return {
    coverage,
    findings: coverageFindings(policy, coverage),
    printNotes: () => traffic.printNotes(replay),
    row: {
      calls: coverage.calls,
      rules: Object.fromEntries(
        [...coverage.rules].map(([name, { matched, decided }]) => [name, { matched, decided }]),
      ),
      limits: Object.fromEntries(coverage.limits),
      ...traffic.noted(replay),
    },
  };
}

export function printLimits({ calls, limits }: Coverage): void {
  if (limits.size === 0) return;
  printOut();
  printOut(`Limits in ${counted(calls, 'recorded call')}:`);
  const rows = [...limits].map(([name, { asks, over, maxUsed, limit }]) => [
    name,
    grouped(asks),
    grouped(over),
    `${numberText(maxUsed)} of ${numberText(limit)}`,
  ]);
  for (const line of columns([['rule', 'asked', 'over', 'most used'], ...rows], [paintOut.name])) printOut(line);
}
