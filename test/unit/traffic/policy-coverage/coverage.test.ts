/** `sluice lint --traffic`: a policy beside recorded calls, replayed by the real engine. */
import { describe, expect, test } from 'vitest';
import { loadBuiltIns } from '../../../../src/adapters/loading/built-in.ts';
import { openReplay } from '../../../../src/cli/actions/replay.ts';
import { loadPolicyText } from '../../../../src/core/rules/load.ts';
import { Coverage } from '../../../../src/traffic/policy-coverage/coverage.ts';
import { coverageFindings } from '../../../../src/traffic/policy-coverage/findings.ts';
import type { RecordedCall } from '../../../../src/traffic/format.ts';
import { recorded, type SentCall, times } from '../suggest/calls.ts';

const registry = await loadBuiltIns();

async function coverageOf(
  text: string,
  calls: readonly (SentCall | RecordedCall)[],
): Promise<{ coverage: Coverage; lines: string[] }> {
  const { policy, findings } = await loadPolicyText(new Map([['policy.yaml', text]]), { adapters: registry });
  if (policy === undefined) throw new Error(findings.map(({ message }) => message).join('\n'));
  const coverage = new Coverage(policy);
  const replay = await openReplay(policy, registry, {});
  try {
    replay.observe(coverage.add);
    for (const call of calls) await replay.decide('requests' in call ? call : recorded(call));
  } finally {
    await replay.close();
  }
  const lines = coverageFindings(policy, coverage).map(
    ({ position: { line, column }, code, message }) => `${line}:${column} ${code} ${message}`,
  );
  return { coverage, lines };
}

const linesOf = async (text: string, calls: readonly (SentCall | RecordedCall)[]): Promise<string[]> =>
  (await coverageOf(text, calls)).lines;

const QUOTA = 'handlers: { limits: { adapter: quota-memory, config: {} } }\n';

describe('rules', () => {
  test('a rule that never applied is named at its place, and one that did is not', async () => {
    const policy = `rules:
  - name: admin
    match: request.url_path.startsWith("/admin")
    deny: {}
  - name: old
    match: request.url_path.startsWith("/old")
    deny: {}
`;
    expect(await linesOf(policy, [{ path: '/admin' }, { path: '/a' }])).toEqual([
      '5:5 COVERAGE_RULE_UNMATCHED old applied to none of 2 recorded calls',
    ]);
  });

  test('rules for calls that were not recorded, and report rules, are not named', async () => {
    const policy = `handlers: { lines: { adapter: log-stdout, config: {} } }
rules:
  - { name: of-tcp, calls: [tcp], match: 'destination.port == 1', deny: {} }
  - { name: slow, match: response.code >= 500, report: { handler: lines, input: { path: request.path } } }
  - { name: all, deny: {}, calls: [http], mode: shadow }
`;
    expect(await linesOf(policy, [{ path: '/a' }])).toEqual([]);
  });

  test('a rule that an earlier one refuses before is named with that rule', async () => {
    const policy = `rules:
  - { name: admin, match: 'request.url_path.startsWith("/admin")', deny: {} }
  - { name: admin-deletes, match: 'request.method == "DELETE" && request.url_path.startsWith("/admin")', deny: {} }
`;
    const calls = [{ path: '/admin/1' }, { path: '/admin/2', method: 'DELETE' }];
    expect(await linesOf(policy, calls)).toEqual([
      '3:5 COVERAGE_RULE_SHADOWED admin-deletes would have refused 1 recorded call, each refused before by admin (1)',
    ]);
  });

  test('a rule on trial is not shadowed by one that stands after it', async () => {
    const policy = `rules:
  - { name: trial, match: 'request.url_path.startsWith("/admin")', deny: {}, mode: shadow }
  - { name: admin, match: 'request.url_path.startsWith("/admin")', deny: {} }
`;
    expect(await linesOf(policy, [{ path: '/admin/1' }])).toEqual([]);
  });

  test('a rule that decides some of its calls is not shadowed', async () => {
    const policy = `rules:
  - { name: admin, match: 'request.url_path.startsWith("/admin")', deny: {} }
  - { name: deletes, match: request.method == "DELETE", deny: {} }
`;
    const calls = [
      { path: '/admin/2', method: 'DELETE' },
      { path: '/a', method: 'DELETE' },
    ];
    expect(await linesOf(policy, calls)).toEqual([]);
  });

  test('a quota whose calls are all denied before is shadowed, not unmatched', async () => {
    const policy = `${QUOTA}rules:
  - { name: closed, match: 'request.url_path.startsWith("/a")', deny: {} }
  - { name: per-caller, match: 'request.url_path.startsWith("/a")', quota: { handler: limits, limit: 5, per: 1m, key: [] } }
`;
    expect(
      await linesOf(
        policy,
        times(3, () => ({ path: '/a' })),
      ),
    ).toEqual([
      '4:5 COVERAGE_RULE_SHADOWED per-caller would have counted 3 recorded calls, each refused before by closed (3)',
    ]);
  });
});

describe('hosts', () => {
  const policy = `rules:
  - { name: shop-reads, match: 'request.host == "shop" && request.method == "GET"', deny: {}, mode: shadow }
`;

  test('a host without a rule, and a method without one, are named with their calls', async () => {
    const calls = [
      { host: 'shop', path: '/' },
      { host: 'shop', path: '/', method: 'PUT' },
      ...times(3, () => ({ host: 'Web:8080', path: '/', method: 'POST' })),
    ];
    expect(await linesOf(policy, calls)).toEqual([
      '1:1 COVERAGE_HOST_UNCOVERED no rule applied to 3 recorded calls to web (POST)',
      '1:1 COVERAGE_METHOD_UNCOVERED no rule applied to 1 recorded call to shop with PUT',
    ]);
  });

  test('many hosts are bounded, and the rest is counted', async () => {
    const calls = [...times(1100, (at) => ({ host: `h${at}.example` })), { host: 'shop' }];
    const lines = await linesOf(policy, calls);
    expect(lines.length).toBeLessThan(60);
    expect(lines.slice(-2)).toEqual([
      '1:1 COVERAGE_HOST_UNCOVERED 950 more findings about hosts are not shown',
      '1:1 COVERAGE_HOST_UNCOVERED 101 recorded calls to further hosts were not looked at',
    ]);
  });
});

describe('limits', () => {
  const policyOf = (limit: number, more = ''): string =>
    `${QUOTA}rules:\n  - name: per-caller\n    quota: { handler: limits, limit: ${limit}, per: 1m, key: ['source.?principal.orValue("")']${more} }\n`;
  const calls = times(40, (at) => ({ principal: `p${at % 2}`, atMs: at * 100 }));

  test('a limit far above the observed use is named, with the maximum', async () => {
    expect(await linesOf(policyOf(1000), calls)).toEqual([
      '3:5 COVERAGE_LIMIT_FAR per-caller was never reached: at most 20 of 1000 were used in 40 recorded calls',
    ]);
  });

  test('a limit that most calls are over is named', async () => {
    expect(await linesOf(policyOf(2), calls)).toEqual([
      '3:5 COVERAGE_LIMIT_OVER per-caller was over its limit of 2 in 36 of 40 recorded calls',
    ]);
  });

  test('a limit near the observed rate is not, and its use is known', async () => {
    const { coverage, lines } = await coverageOf(policyOf(25), calls);
    expect(lines).toEqual([]);
    expect(coverage.limits.get('per-caller')).toEqual({ asks: 40, over: 0, maxUsed: 20, limit: 25 });
  });

  test('a burst counts as the limit of gcra, and leases do not count', async () => {
    const { coverage } = await coverageOf(policyOf(1000, ', algorithm: gcra, burst: 25'), calls);
    expect(coverage.limits.get('per-caller')?.limit).toBe(25);
    expect(await linesOf(policyOf(1000, ', algorithm: concurrency, once: request.path'), calls)).toEqual([]);
  });
});

describe('outputs of enrich rules', () => {
  const policyOf = (rule: string, attributes = ''): string => `${attributes}handlers:
  plans: { adapter: enrich-redis, config: { url: "redis://127.0.0.1:1", columns: { plan: string, owner: string } } }
rules:
  - name: plan
    enrich: { handler: plans, input: { key: request.path }, as: my.caller }
${rule}
`;
  const call = (filled: Record<string, unknown>): RecordedCall => {
    const one = recorded({ path: '/a' });
    return { ...one, requests: one.requests.map((request) => ({ ...request, filled })) };
  };
  const calls = [call({ 'my.caller.plan': 'gold', 'my.caller.owner': 'ann' })];

  test('an output that no rule reads is named, one that is read through a named expression is not', async () => {
    const attributes = 'attributes: { my.isGold: { is: my.caller.?plan.orValue("") == "gold" } }\n';
    const lines = await linesOf(
      policyOf(
        '  - { name: gold-only, match: "!my.isGold", deny: {} }\n  - { name: all, deny: {}, mode: shadow }',
        attributes,
      ),
      calls,
    );
    expect(lines).toEqual([
      expect.stringMatching(
        /^5:5 COVERAGE_OUTPUT_UNREAD my\.caller\.owner of plan was read by no rule in 1 recorded call$/,
      ),
      expect.stringContaining('COVERAGE_RULE_UNMATCHED gold-only'),
    ]);
  });
});
