/** Each number and duration of the language has a range, and an error beyond it: a slip would deny each call, or never fire. */
import { describe, expect, test } from 'vitest';
import { loadBuiltIns } from '../../../src/adapters/loading/built-in.ts';
import { RANGES } from '../../../src/core/rules/keys.ts';
import { loadPolicyText } from '../../../src/core/rules/load.ts';

const adapters = await loadBuiltIns();

async function said(text: string): Promise<string[]> {
  const { findings } = await loadPolicyText(new Map([['p.yaml', text]]), { adapters, env: {} });
  return findings.map(({ code, message }) => `${code} ${message}`);
}

const BASE = {
  settings: 'trustedHops: 1',
  spool: 'maxBytes: 64MiB, segmentBytes: 8MiB, maxAge: 1d, sync: 1s',
  limits: 'deadline: 50ms, concurrency: 1, queue: 1',
  breaker: 'failures: 1, openFor: 1s, window: 1s',
  batch: 'max: 1, maxAge: 1s, maxBytes: 1',
  cache: 'maxBytes: 0',
  local: 'replicas: 2',
  quota: 'limit: 10, per: 1m, key: []',
  percent: 'percent: 5',
  deny: 'status: 403',
  decisions: 'sample: 1',
} as const;
type Place = keyof typeof BASE;

/** A policy with another value at one place. */
function policy(place?: Place, given = ''): string {
  const at = (one: Place): string => {
    const key = given.slice(0, given.indexOf(':'));
    const rest = BASE[one].split(', ').filter((pair) => one !== place || !pair.startsWith(`${key}:`));
    return [...rest, ...(one === place ? [given] : [])].join(', ');
  };
  return `settings: { ${at('settings')}, spool: { folder: /a, ${at('spool')} }, decisions: { ${at('decisions')} } }
handlers:
  m: { adapter: quota-memory, config: {} }
  l: { adapter: quota-redis, config: { url: "redis://a:1" }, ${at('limits')}, breaker: { ${at('breaker')} }, cache: { ${at('cache')} }, local: { handler: m, ${at('local')} } }
  o: { adapter: log-stdout, config: {}, batch: { ${at('batch')} }, spool: disk }
rules:
  - { name: a, quota: { handler: l, ${at('quota')} } }
  - { name: b, report: { handler: o, input: { a: request.path } }, sample: { ${at('percent')} } }
  - { name: c, deny: { ${at('deny')} } }
`;
}

test('no value of the base is out of its range', async () => expect(await said(policy())).toEqual([]));

/** Whole numbers; a word of YAML is none, and neither is a text. */
const WHOLE: readonly (readonly [Place, key: string, keyof typeof RANGES])[] = [
  ['settings', 'trustedHops', 'hops'],
  ['settings', 'trustedCertificateHops', 'hops'],
  ['limits', 'concurrency', 'concurrency'],
  ['limits', 'queue', 'queue'],
  ['breaker', 'failures', 'failures'],
  ['batch', 'max', 'batchMax'],
  ['local', 'replicas', 'replicas'],
  ['deny', 'status', 'status'],
];
const BYTES: typeof WHOLE = [
  ['spool', 'maxBytes', 'spoolBytes'],
  ['spool', 'segmentBytes', 'spoolBytes'],
  ['batch', 'maxBytes', 'batchBytes'],
  ['cache', 'maxBytes', 'cacheBytes'],
];
const SHARES: typeof WHOLE = [
  ['percent', 'percent', 'percent'],
  ['decisions', 'sample', 'percent'],
];
const TIMES: typeof WHOLE = [
  ['spool', 'maxAge', 'spoolAge'],
  ['spool', 'sync', 'sync'],
  ['limits', 'deadline', 'deadline'],
  ['breaker', 'openFor', 'breakerTime'],
  ['breaker', 'window', 'breakerTime'],
  ['batch', 'maxAge', 'batchAge'],
  ['quota', 'per', 'per'],
];
const NO_NUMBERS = ['.nan', '.inf', '-.inf', '1e99', '-1', '"5x"', 'true', '[]', '9007199254740993000'];

describe.each([...WHOLE, ...BYTES, ...SHARES])('%s, %s', (place, key, name) => {
  const [least, most] = RANGES[name];
  test('both ends are in its range', async () => {
    for (const value of [least, most]) expect(await said(policy(place, `${key}: ${value}`))).toEqual([]);
  });
  test('and nothing beyond', async () => {
    const wrong = [least - 1, most + 1, ...NO_NUMBERS, ...(name === 'percent' ? [] : ['1.5'])];
    for (const value of wrong) {
      const found = await said(policy(place, `${key}: ${value}`));
      expect(found, String(value)).toHaveLength(1);
      expect(found[0]).toMatch(new RegExp(`^RULES_VALUE ${key} is .*; expected a (?:whole )?number .*from `));
    }
  });
});

describe.each(TIMES)('%s, %s', (place, key, name) => {
  const [least, most] = RANGES[name];
  const unit = ['maxAge', 'per'].includes(key) && name !== 'batchAge' ? 's' : 'ms';
  const written = (ms: number): string => (unit === 's' ? `${ms / 1000}s` : `${ms}ms`);
  test('both ends are in its range', async () => {
    for (const ms of [least, most]) expect(await said(policy(place, `${key}: ${written(ms)}`))).toEqual([]);
  });
  test('and nothing beyond', async () => {
    for (const value of [written(0), written(most + 1000), '99999999999999999999s', ...NO_NUMBERS]) {
      const found = await said(policy(place, `${key}: ${value}`));
      expect(found, value).toHaveLength(1);
      expect(found[0]).toMatch(new RegExp(`^RULES_VALUE ${key} is .*; expected .*a duration `));
    }
    expect(await said(policy(place, `${key}: ${written(0)}`))).toEqual([
      expect.stringMatching(/expected a duration from \d+m?s to \d+[hd]/),
    ]);
  });
});

describe('limit, cost and burst', () => {
  const quota = (text: string): string => policy('quota', text).replace('per: 1m', 'per: 1m, algorithm: gcra');
  test.each(['limit', 'cost', 'burst'])('%s', async (key) => {
    for (const value of ['0', '10', '1.5', String(Number.MAX_SAFE_INTEGER), "'request.size'"])
      expect((await said(quota(`${key}: ${value}`))).filter((one) => !/NEVER_GRANTED|MAY_BE_ABSENT/.test(one))).toEqual(
        [],
      );
    for (const value of ['-1', '.nan', '.inf', '1e99', '9007199254740992', "'2 - 3'", "'1e99'", '\'double("inf")\'']) {
      const found = await said(quota(`${key}: ${value}`));
      expect(found, value).toHaveLength(1);
      expect(found[0]).toMatch(new RegExp(`^RULES_VALUE ${key} is .*; expected a number from 0 to 9007199254740991$`));
    }
  });

  test('a cost that no counter has is a warning', async () => {
    expect(await said(policy('quota', 'cost: 11'))).toEqual([
      'RULES_NEVER_GRANTED a call costs 11, and the limit is 10, so none ever passes; raise the limit, or write partial: true',
    ]);
    expect(await said(policy('quota', 'limit: 0.5'))).toHaveLength(1);
    expect(await said(quota('cost: 5, burst: 4'))).toEqual([
      'RULES_NEVER_GRANTED a call costs 5, and the burst is 4, so none ever passes; raise the burst, or write partial: true',
    ]);
    for (const fine of ['cost: 10', 'cost: 11, partial: true', 'limit: 0', "cost: 'request.?size.orValue(11)'"])
      expect(await said(policy('quota', fine))).toEqual([]);
  });
});
