/** docs/rules.md is kept true: its policies load, and its cases pass on the policy of its first section. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { loadBuiltIns } from '../../../src/adapters/built-in.ts';
import { realAdapters } from '../../../src/cli/cases/real-adapters.ts';
import { runCase } from '../../../src/cli/cases/run.ts';
import { parseCase } from '../../../src/cli/cases/schema.ts';
import { loadPolicyText } from '../../../src/core/rules/load.ts';

const adapters = await loadBuiltIns();
const page = readFileSync(join(import.meta.dirname, '../../../docs/rules.md'), 'utf8');
const blocks = [...page.matchAll(/```yaml\n([\s\S]*?)```/g)].map(([, text = ''], index) => ({
  text,
  name: `block ${index + 1}: ${text.split('\n')[0]}`,
}));
const policies = blocks.filter(({ text }) => /^rules:/m.test(text));
const [first] = policies;
const errorsOf = async (text: string): Promise<readonly string[]> =>
  (await loadPolicyText(new Map([['shop.yaml', text]]), { adapters })).findings
    .filter(({ severity }) => severity === 'error')
    .map(({ message }) => message);

const cases: unknown[] = [];
for (const { text } of blocks.filter((block) => /^cases:/m.test(block.text))) {
  const { cases: documents } = await loadPolicyText(new Map([['cases.yaml', text]]), { adapters });
  cases.push(...documents.flatMap((document) => document.cases as unknown[]));
}

describe('docs/rules.md', () => {
  test.each(policies)('$name loads', async ({ text }) => {
    expect(await errorsOf(text)).toEqual([]);
  });

  test.each(cases.map((raw) => parseCase(raw)))('its case passes: $case.name', async ({ case: one, problems }) => {
    expect(problems).toEqual([]);
    const { policy } = await loadPolicyText(new Map([['shop.yaml', first?.text ?? '']]), { adapters });
    if (one === undefined || policy === undefined) throw new Error('neither loaded');
    expect(await runCase(one, policy, { adapters, open: realAdapters() })).toEqual([]);
  });

  test('there is something to keep true', () => {
    expect([policies.length, cases.length]).toEqual([10, 4]);
  });
});
