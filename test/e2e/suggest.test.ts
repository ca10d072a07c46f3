/** `sluice suggest` on files of calls: its output is a policy. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { suggest } from '../../src/cli/actions/suggest.ts';
import { run } from './command.ts';

let folder: string;
let file: string;

const HEAD = '{"sluice":"calls","version":1,"began":"2026-11-29T10:00:00.000Z"}';

const line = (at: number, attributes: object, verdict: object = {}): string =>
  JSON.stringify({
    id: `c${at}`,
    time: new Date(Date.parse('2026-11-29T10:00:00Z') + at * 1000).toISOString(),
    call: 'http',
    tookMs: 0.1,
    attributes: {
      'request.method': 'GET',
      'request.authority': 'shop',
      'source.ip': '10.0.0.1',
      'source.principal': 'cluster.local/ns/web/sa/front',
      ...attributes,
    },
    verdict: { outcome: 'allow', rule: null, status: 200, shadow: [], revision: '1', reasons: [], ...verdict },
  });

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-suggest-'));
  file = join(folder, 'calls.ndjson');
  const lines = [
    ...Array.from({ length: 60 }, (_, at) => line(at, { 'request.path': `/ratings/${at}?page=1` })),
    ...Array.from({ length: 4 }, (_, at) => line(60 + at, { 'request.path': '/basket', 'request.method': 'POST' })),
    line(70, { 'request.path': '/.git/config' }),
    line(71, { 'request.path': '/admin' }, { outcome: 'deny', rule: 'closed', status: 403 }),
    'not json',
  ];
  await writeFile(file, `${[HEAD, ...lines].join('\n')}\n`);
});
afterAll(async () => {
  await rm(folder, { recursive: true });
});

describe('sluice suggest', () => {
  test('prints a policy that lint takes, with its evidence, and reports lines that it cannot read', async () => {
    const { code, out, err } = await run(['suggest', file]);
    expect(code).toBe(0);
    expect(err).toContain(`${file}:68 TRAFFIC_NOT_JSON`);
    expect(out).toContain('# Proposed by sluice suggest from 66 calls, 2026-11-29T10:00:00Z to 2026-11-29T10:01:11Z.');
    expect(out).toContain('# The rules cover 64 calls; 2 calls are left out and listed at the end.');
    expect(out).toContain('  # GET shop/ratings/{int}\n  # 60 calls (90.9 %) by 1 caller');
    expect(out).toContain('  # thin: only 4 calls\n  - name: shop-post-basket\n');
    expect(out).toContain('#   1 call: a path that scanners ask for\n#     GET shop/.git/config');
    expect(out).toContain('#   1 call: refused by the policy in force\n#     GET shop/admin by closed');
    const policy = join(folder, 'proposed.yaml');
    await writeFile(policy, out);
    const linted = await run(['lint', policy, '--json']);
    expect([linted.code, (JSON.parse(linted.out) as { findings: unknown[] }).findings]).toEqual([0, []]);
  });

  test('prints the proposal as JSON, grouped and limited as the options say', async () => {
    const options = ['--group-by', 'namespace', '--per', '10s', '--headroom', '1.5', '--min-calls', '5', '--json'];
    const { code, out } = await run(['suggest', file, ...options]);
    const proposal = JSON.parse(out) as {
      rules: { template: string; callers: string[] }[];
      limits: { limit: number; p999: number }[];
      leftOut: { why: string }[];
    };
    expect(code).toBe(0);
    expect(proposal.rules.map(({ template, callers }) => [template, callers])).toEqual([['/ratings/{int}', ['web']]]);
    expect(proposal.limits.map(({ limit, p999 }) => [limit, p999])).toEqual([[15, 10]]);
    expect(proposal.leftOut.map(({ why }) => why)).toContain('fewer than 5 calls');
  });

  test('ends with 1 and the reasons if there is nothing to propose', async () => {
    const { code, out, err } = await run(['suggest', file, '--min-calls', '1000']);
    expect([code, out]).toEqual([1, '']);
    expect(err).toContain('no rule to propose from 66 calls; left out: fewer than 1000 calls: 64');
    const missing = await run(['suggest', join(folder, 'missing.ndjson')]);
    expect(missing.code).not.toBe(0);
    expect(missing.err).toContain('TRAFFIC_UNREADABLE');
  });

  test('reads access logs of Envoy, and leaves out what was answered with 404', async () => {
    const log = join(folder, 'access.log');
    const entry = (path: string, code: number): string =>
      JSON.stringify({
        start_time: '2026-11-29T10:00:00Z',
        method: 'GET',
        authority: 'shop',
        path,
        response_code: code,
        region: 'eu',
      });
    await writeFile(log, [...Array(5).fill(entry('/a', 200)), entry('/b', 404)].join('\n'));
    const { code, out, err } = await run(['suggest', log]);
    expect(code).toBe(0);
    expect(out).toContain('# GET shop/a\n  # 5 calls');
    expect(out).toContain('#   1 call: answered with 404\n#     GET shop/b');
    expect(err).toContain('ignored keys of the access log: region');
  });

  const flags = { groupBy: 'principal', minCalls: '3', headroom: '2', per: '1m' } as const;
  test.each([
    ['--min-calls', { minCalls: '0' }],
    ['--min-calls', { minCalls: '1.5' }],
    ['--headroom', { headroom: '0.5' }],
    ['--per', { per: '1ms' }],
    ['--per', { per: 'soon' }],
    ['--trusted-hops', { trustedHops: 'x' }],
  ])('refuses %s: %o', async (flag, wrong) => {
    await expect(suggest([file], { ...flags, ...wrong })).rejects.toThrow(flag);
  });
});

describe('sluice lint --traffic', () => {
  const policy = `handlers: { limits: { adapter: quota-memory, config: {} } }
rules:
  - { name: no-git, match: 'request.url_path.startsWith("/.git")', deny: {} }
  - { name: old, match: 'request.host == "old"', deny: {} }
  - { name: per-caller, match: 'request.host == "shop"', quota: { handler: limits, limit: 1000, per: 1m, key: ['source.?principal.orValue("")'] } }
`;

  test('warns at the places of rules, says how much of each limit was used, and ends with 0', async () => {
    const path = join(folder, 'policy.yaml');
    await writeFile(path, policy);
    const { code, out, err } = await run(['lint', path, '--traffic', file]);
    expect(code).toBe(0);
    expect(out).toContain(`${path}:4:5 COVERAGE_RULE_UNMATCHED (warning) old applied to none of 66 recorded calls`);
    expect(out).toContain(`${path}:5:5 COVERAGE_LIMIT_FAR (warning) per-caller was never reached: at most`);
    expect(out).toMatch(/rule +asked +over +most used\nper-caller +\d+ +0 +\d+ of 1000/);
    expect(err).toContain('TRAFFIC_NOT_JSON');
    const json = await run(['lint', path, '--json', '--traffic', file]);
    const { findings, traffic } = JSON.parse(json.out) as {
      findings: { code: string }[];
      traffic: { calls: number; rules: Record<string, unknown>; limits: Record<string, { asks: number }> };
    };
    expect(findings.map((finding) => finding.code)).toEqual(['COVERAGE_RULE_UNMATCHED', 'COVERAGE_LIMIT_FAR']);
    expect([traffic.calls, traffic.rules['no-git']]).toEqual([66, { matched: 1, decided: 1 }]);
  });

  test('fails without any call, and for files of rate limits', async () => {
    const path = join(folder, 'policy.yaml');
    await writeFile(path, policy);
    const empty = join(folder, 'empty.ndjson');
    await writeFile(empty, `${HEAD}\n`);
    const { code, err } = await run(['lint', path, '--traffic', empty]);
    expect([code, err]).toEqual([expect.any(Number), expect.stringContaining('CLI_NO_CALLS')]);
    expect(code).not.toBe(0);
    const limits = join(folder, 'limits.yaml');
    await writeFile(limits, 'domain: shop\ndescriptors: []\n');
    expect((await run(['lint', limits, '--traffic', file])).code).toBe(2);
  });
});
