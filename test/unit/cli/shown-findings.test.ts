/** As many findings as a person reads, none of whose codes hides another one. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { findingLines, shownFindings } from '../../../src/cli/findings.ts';
import { counted } from '../../../src/text/counted.ts';
import { paintOut } from '../../../src/text/paint.ts';
import { SOURCE_COMMAND } from '../../parts/command-path.ts';
import { run } from '../../e2e/command.ts';
import type { Finding } from '../../../src/yaml/findings.ts';

const many = (count: number, code: string, severity: Finding['severity'], from: number): Finding[] =>
  Array.from({ length: count }, (_, at) => ({
    severity,
    position: { file: 'p.yaml', line: from + at, column: 1 },
    code,
    message: 'a',
    excerpt: undefined,
  }));

test('up to 50 findings are shown as they are', () => {
  const findings = many(50, 'RULES_VALUE', 'error', 1);
  expect(shownFindings(findings)).toEqual({ shown: findings, rest: [] });
});

test('of more, each code has its share, in the order of lines, and the rest is counted', () => {
  const findings = [
    ...many(1200, 'RULES_UNUSED', 'warning', 1),
    ...many(2000, 'RULES_VALUE', 'error', 2000),
    ...many(1, 'RULES_NAME', 'error', 9000),
  ];
  const { shown, rest } = shownFindings(findings);
  expect(shown).toHaveLength(50);
  expect(Object.groupBy(shown, ({ code }) => code)).toMatchObject({
    RULES_UNUSED: { length: 24 },
    RULES_VALUE: { length: 25 },
    RULES_NAME: { length: 1 },
  });
  expect(shown).toEqual(shown.toSorted((a, b) => a.position.line - b.position.line));
  expect(rest).toEqual(['and 1 975 more of RULES_VALUE', 'and 1 176 more of RULES_UNUSED']);
  expect(findingLines(findings, paintOut)).toHaveLength(52);
  expect(findingLines(findings, paintOut, true)).toHaveLength(3201);
});

test('a count has its noun in the right number', () => {
  expect([0, 1, 2, 12_345].map((count) => counted(count, 'rule'))).toEqual([
    '0 rules',
    '1 rule',
    '2 rules',
    '12 345 rules',
  ]);
  expect([1, 2].map((count) => counted(count, 'proxy', 'proxies'))).toEqual(['1 proxy', '2 proxies']);
});

test('those of a mesh, too', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-shown-'));
  const file = join(folder, 'mesh.yaml');
  const service = (at: number): string =>
    `---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: { name: v${at}, namespace: a }\n` +
    `spec: { hosts: [x${at}.example.com], http: [{ rout: 1 }] }\n`;
  writeFileSync(file, Array.from({ length: 60 }, (_, at) => service(at)).join(''));
  try {
    const [some, all] = await Promise.all(
      [[], ['--all']].map((flags) => run(['mesh', 'lint', file, ...flags], { bin: SOURCE_COMMAND })),
    );
    expect(some?.out.split('MESH_FIELD ')).toHaveLength(51);
    expect(some?.out).toMatch(/and 10 more of MESH_FIELD\n60 errors\n$/);
    expect(all?.out.split('MESH_FIELD ')).toHaveLength(61);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
