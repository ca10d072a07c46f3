/** What is printed for people: findings and log lines. Vitest's streams are no terminal, so there is no colour. */
import { describe, expect, test } from 'vitest';
import { findingsCount, findingText, shownPath } from '../../../src/cli/findings.ts';
import { logText } from '../../../src/cli/log.ts';
import { columns, type Paint } from '../../../src/cli/terminal.ts';
import type { Finding } from '../../../src/core/rules/policy.ts';

const same = (text: string): string => text;
const PLAIN: Paint = { strong: same, faint: same, good: same, bad: same, warn: same, name: same };
const finding = (severity: Finding['severity']): Finding => ({
  severity, code: 'RULE_SOMETHING', message: 'is wrong; write it right', excerpt: 'match: x\n       ^',
  position: { file: `${process.cwd()}/policy/a.yaml`, line: 3, column: 12 },
});

describe('a finding', () => {
  test('says the place, the code, what is wrong, and shows the line', () => {
    expect(findingText(finding('error'), PLAIN)).toBe('policy/a.yaml:3:12 RULE_SOMETHING is wrong; write it right\n    match: x\n           ^');
  });

  test('says that it is only a warning', () => {
    expect(findingText(finding('warning'), PLAIN)).toContain('RULE_SOMETHING (warning)');
  });

  test('a file elsewhere keeps its whole path', () => {
    expect(shownPath('/etc/sluice/a.yaml', '/home/me')).toBe('/etc/sluice/a.yaml');
  });

  test.each([
    [['error'], '1 error'], [['error', 'error', 'warning'], '2 errors and 1 warning'], [['warning', 'warning'], '2 warnings'], [[], '0 errors'],
  ] as const)('%j are counted', (severities, text) => {
    expect(findingsCount(severities.map((severity) => finding(severity)))).toBe(text);
  });
});

test('a line of the log is read at a glance', () => {
  const line = JSON.stringify({ level: 'warn', time: '2026-01-02T03:04:05.678Z', handler: 'limits', why: 'gone away', attempt: 3, msg: 'Redis is away' });
  expect(logText(line, PLAIN)).toBe('03:04:05.678 warn  Redis is away  handler=limits why="gone away" attempt=3');
});

test('columns are as wide as their widest cell, and the last is left as it is', () => {
  expect(columns([['a', 'bb', 'c'], ['aaa', 'b', '']])).toEqual(['a    bb  c', 'aaa  b']);
});
