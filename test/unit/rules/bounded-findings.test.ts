/** What a finding shows of a policy is bounded, whatever stands in it, and whatever the length of its lines. */
import { describe, expect, test } from 'vitest';
import { loadBuiltIns } from '../../../src/adapters/loading/built-in.ts';
import { findingText as forPeople } from '../../../src/cli/findings.ts';
import { loadPolicyText } from '../../../src/core/rules/load.ts';
import { paintErr } from '../../../src/text/paint.ts';
import type { Finding } from '../../../src/yaml/findings.ts';

const adapters = await loadBuiltIns();
const load = async (text: string): Promise<readonly Finding[]> =>
  (await loadPolicyText(new Map([['p.yaml', text]]), { adapters, env: {} })).findings;

const LONG = 'x'.repeat(30_000);
const handler = (text: string): string => `handlers:\n  h: ${text}\nrules: [{ name: a, deny: {} }]\n`;

describe('a text of 30 KB is shown in part', () => {
  test.each([
    ['a key', `rules: [{ name: a, deny: {}, ${LONG}: 1 }]\n`],
    ['a name', `rules: [{ name: "${LONG} a", deny: {} }]\n`],
    ['a header', `rules: [{ name: a, deny: { headers: { "${LONG}:": a } } }]\n`],
    ['an attribute', `rules: [{ name: a, match: my.${LONG}, deny: {} }]\n`],
    ['an expression', `rules: [{ name: a, match: '"${LONG}" + 1 == "a"', deny: {} }]\n`],
    ['a group', `rules: [{ name: a, deny: { unlessAllowed: ${LONG} } }]\n`],
    ['an adapter', handler(`{ adapter: ${LONG}, config: {} }`)],
    ['a value of a config', handler(`{ adapter: check-list, config: { kind: ${LONG} } }`)],
    ['an alias', `rules: *${LONG}\n`],
    [
      'a zone',
      handler('{ adapter: quota-memory, config: {} }') +
        `  - {name: b, quota: {handler: h, limit: 1, per: day, zone: ${LONG}, key: []}}\n`,
    ],
  ])('%s', async (_, text) => {
    const findings = await load(text);
    expect(findings.length).toBeGreaterThan(0);
    for (const finding of findings) expect(forPeople(finding, paintErr).length).toBeLessThan(1000);
  });
});

test('carets stand under the error of a long line', async () => {
  for (const before of [0, 20, 200, 5000])
    for (const after of [0, 20, 200, 5000]) {
      const text = `{ settings: { trustedHops: ${' '.repeat(before)}wrong }, ${' '.repeat(after)}rules: [{ name: a, deny: {} }] }`;
      const [{ excerpt = '' } = {}] = await load(text);
      const [line = '', carets = ''] = excerpt.split('\n');
      expect(line.slice(carets.indexOf('^'), carets.lastIndexOf('^') + 1)).toBe('wrong');
      expect(line.length).toBeLessThan(170);
    }
});

test('a secret is not shown where a line is cut inside of it', async () => {
  const secret = 'S3cret'.repeat(20);
  for (let gap = 0; gap < 160; gap += 7) {
    const text = `handlers: { h: { adapter: quota-redis, config: { url: "redis://ann:${secret}@a:1", ${' '.repeat(gap)}wrong: 1 } } }\nrules: [{ name: a, deny: {} }]\n`;
    const [{ excerpt = '' } = {}] = await load(text);
    expect(excerpt).toContain('wrong: ');
    expect(excerpt).not.toContain('S3cret');
  }
});

test('a terminal obeys nothing in a finding, nor in the name of a file', async () => {
  const text = 'rules: [{ name: a, deny: { body: "\u001b[2J\u202e" }, "\\e[31m\\nx": 1 }]\n';
  const { findings } = await loadPolicyText(new Map([['p\n\u001b[1m.yaml', text]]), { adapters, env: {} });
  expect(findings).toHaveLength(1);
  const shown = forPeople(findings[0] as Finding, { ...paintErr, strong: String, bad: String, warn: String });
  // eslint-disable-next-line no-control-regex
  expect(shown).not.toMatch(/[\u001b\u202e]/);
  expect(shown.split('\n')).toHaveLength(3);
});

test('an error of a long line costs no more than one of many lines', async () => {
  const cpuMs = async (separator: string): Promise<number> => {
    const rules = Array.from({ length: 1000 }, (_, at) => `{ name: r${at}, wrong: 1, deny: {} }`);
    const before = process.cpuUsage();
    expect(await load(`{ rules: [${rules.join(`,${separator}`)}] }`)).toHaveLength(1000);
    const { user, system } = process.cpuUsage(before);
    return (user + system) / 1000;
  };
  await cpuMs('\n');
  const lines = await cpuMs('\n');
  expect(await cpuMs(' '.repeat(300))).toBeLessThan(5 * lines + 500);
});
