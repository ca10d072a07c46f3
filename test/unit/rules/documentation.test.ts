/** docs/rules.md is kept true: its policies load, and its cases pass on the policy of its first section. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { loadBuiltIns } from '../../../src/adapters/loading/built-in.ts';
import { realAdapters } from '../../../src/cli/cases/real-adapters.ts';
import { runCase } from '../../../src/cli/cases/run.ts';
import { parseCase } from '../../../src/cli/cases/schema.ts';
import { ACTIONS, type RuleKind } from '../../../src/core/actions.ts';
import { FAILURE_KINDS } from '../../../src/core/metrics/meters.ts';
import { loadPolicyText } from '../../../src/core/rules/load.ts';
import { RULE_CALLS } from '../../../src/attributes/carrier.ts';

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

const authentication = readFileSync(join(import.meta.dirname, '../../../docs/authentication.md'), 'utf8');

test.each([...authentication.matchAll(/```yaml\n([\s\S]*?)```/g)].map(([, text = '']) => text))(
  'a policy of docs/authentication.md loads: %s',
  async (text) => {
    expect(await errorsOf(text.replace('{ $env: INTROSPECTION_SECRET }', 'secret'))).toEqual([]);
  },
);

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

  test('its table of calls says what the table of actions says', () => {
    const table = /^\| action \| http .*\n\|[-|]+\n((?:\|.*\n)+)/m.exec(page)?.[1] ?? '';
    const written = Object.fromEntries(
      table
        .trim()
        .split('\n')
        .flatMap((line) => {
          const [names = '', ...cells] = line
            .split('|')
            .slice(1, -1)
            .map((cell) => cell.trim());
          const calls = Object.fromEntries(
            cells.flatMap((cell, at) =>
              cell === 'no' ? [] : [[RULE_CALLS[at], cell === 'if named' ? 'named' : 'default']],
            ),
          );
          return names.split(', ').map((name) => [name === 'onAllow alone' ? 'none' : name, calls]);
        }),
    );
    const kinds = Object.keys(ACTIONS) as RuleKind[];
    expect(written).toEqual(Object.fromEntries(kinds.map((kind) => [kind, ACTIONS[kind].calls])));
  });

  test('it has the expected number of examples', () => {
    expect([policies.length, cases.length]).toEqual([15, 4]);
  });
});

test('no page configures Envoy to send the beginning of a body, which rules would take for all of it', () => {
  const folder = join(import.meta.dirname, '../../../docs');
  const pages = readdirSync(folder).filter((name) => name.endsWith('.md'));
  const configuring = pages.filter((name) =>
    /allow_partial_message"?: *true/.test(readFileSync(join(folder, name), 'utf8')),
  );
  expect(pages).toContain('http.md');
  expect(configuring).toEqual([]);
});

test('the runbook has each kind of failure of a handler, and no page another', () => {
  const folder = join(import.meta.dirname, '../../../docs');
  const text = (name: string): string => readFileSync(join(folder, name), 'utf8');
  const table = text('runbook.md').split('| `kind` |')[1]?.split('\n\n')[0] ?? '';
  expect([...table.matchAll(/^\| `(\w+)` \|/gm)].map(([, kind]) => kind)).toEqual(FAILURE_KINDS);
  const named = readdirSync(folder)
    .filter((name) => name.endsWith('.md'))
    .flatMap((name) => [...text(name).matchAll(/sluice_handler_failures_total\{kind="(\w+)"/g)])
    .map(([, kind]) => kind);
  expect(named).toContain('late');
  expect(FAILURE_KINDS).toEqual(expect.arrayContaining(named));
});
