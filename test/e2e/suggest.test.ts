/** `sluice suggest` on files of calls: its output is a policy. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
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
    expect(missing.code).toBe(1);
    expect(missing.err).toContain('TRAFFIC_UNREADABLE');
  });

  test.each([
    ['--min-calls', '0'],
    ['--headroom', '0.5'],
    ['--per', '1ms'],
    ['--trusted-hops', 'x'],
    ['--group-by', 'colour'],
  ])('refuses %s %s', async (flag, value) => {
    const { code, err } = await run(['suggest', file, flag, value]);
    expect(code).toBe(2);
    expect(err).toContain(flag);
  });
});
