/** Findings and log lines as printed for people; without colour, since vitest's streams are not terminals. */
import { describe, expect, test } from 'vitest';
import { findingText, shownPath } from '../../../src/cli/findings.ts';
import { type Finding, findingsCount } from '../../../src/yaml/findings.ts';
import { logText } from '../../../src/log/log.ts';
import { loggedFields } from '../../../src/log/logged-fields.ts';
import { columns } from '../../../src/cli/terminal.ts';
import type { Paint } from '../../../src/text/paint.ts';

const same = (text: string): string => text;
const PLAIN: Paint = { strong: same, faint: same, good: same, bad: same, warn: same, name: same };
const finding = (severity: Finding['severity']): Finding => ({
  severity,
  code: 'RULE_SOMETHING',
  message: 'is wrong; write it right',
  excerpt: 'match: x\n       ^',
  position: { file: `${process.cwd()}/policy/a.yaml`, line: 3, column: 12 },
});

describe('a finding', () => {
  test('has the place, the code, the message and the line', () => {
    expect(findingText(finding('error'), PLAIN)).toBe(
      'policy/a.yaml:3:12 RULE_SOMETHING is wrong; write it right\n    match: x\n           ^',
    );
  });

  test('is marked where it is a warning', () => {
    expect(findingText(finding('warning'), PLAIN)).toContain('RULE_SOMETHING (warning)');
  });

  test('a file elsewhere keeps its whole path', () => {
    expect(shownPath('/etc/sluice/a.yaml', '/home/me')).toBe('/etc/sluice/a.yaml');
  });

  test.each([
    [['error'], '1 error'],
    [['error', 'error', 'warning'], '2 errors and 1 warning'],
    [['warning', 'warning'], '2 warnings'],
    [[], '0 errors'],
  ] as const)('%j are counted', (severities, text) => {
    expect(findingsCount(severities.map((severity) => finding(severity)))).toBe(text);
  });
});

test('a log line has time, level, message and fields', () => {
  const line = JSON.stringify({
    level: 'warn',
    time: '2026-01-02T03:04:05.678Z',
    handler: 'limits',
    why: 'gone away',
    attempt: 3,
    msg: 'Redis is away',
  });
  expect(logText(line, PLAIN)).toBe('03:04:05.678 warn  Redis is away  handler=limits why="gone away" attempt=3');
});

describe('a log line holds', () => {
  const logged = (fields: Record<string, unknown>, withStack = false): Record<string, unknown> =>
    JSON.parse(JSON.stringify(loggedFields(fields, withStack))) as Record<string, unknown>;
  const shown = (fields: Record<string, unknown>, msg = 'it failed'): string =>
    logText(
      JSON.stringify({ level: 'error', time: '2026-01-02T03:04:05.678Z', ...loggedFields(fields, false), msg }),
      PLAIN,
    );

  test('an error with its name, code and causes', () => {
    const error = new TypeError('no answer', {
      cause: Object.assign(new Error('connect failed'), { code: 'ECONNREFUSED' }),
    });
    expect(logged({ error })).toEqual({
      error: {
        name: 'TypeError',
        message: 'no answer',
        cause: { name: 'Error', message: 'connect failed', code: 'ECONNREFUSED' },
      },
    });
    expect(shown({ error })).toBe(
      '03:04:05.678 error it failed  error="TypeError: no answer, since Error: connect failed (ECONNREFUSED)"',
    );
  });

  test('the stack of an error at level debug', () => {
    const { error } = logged({ error: new Error('x') }, true) as { error: { stack: string } };
    expect(error.stack).toContain('printed.test.ts');
  });

  test('errors within other values, and an AggregateError with its parts', () => {
    expect(logged({ at: { deep: [new Error('a')] }, all: new AggregateError([new Error('b'), 'c'], 'both') })).toEqual({
      at: { deep: [{ name: 'Error', message: 'a' }] },
      all: { name: 'AggregateError', message: 'both', errors: [{ name: 'Error', message: 'b' }, 'c'] },
    });
  });

  test('no endless chain of causes, and no failing getter', () => {
    const error: Error = new Error('round');
    error.cause = error;
    const bad = {
      get broken(): string {
        throw new Error('no');
      },
    };
    expect(() => JSON.stringify(loggedFields({ error, bad }, true))).not.toThrow();
  });

  test('controls of a terminal escaped', () => {
    expect(shown({ a: '\u001b]0;owned\u0007', b: 'x\u009by', error: new Error('one\ntwo') }, 'a\u001b[2Jb')).toBe(
      '03:04:05.678 error a\\u001b[2Jb  a=\\u001b]0;owned\\u0007 b=x\\u009by error="Error: one\\ntwo"',
    );
  });

  test.each([
    ['redis://user:pass@10.0.0.1:6379/1', 'redis://(secret)@10.0.0.1:6379/1'],
    ['rediss://:p@ss@redis.example', 'rediss://(secret)@redis.example'],
    ['redis://:a/b?c@redis.example is away', 'redis://(secret)@redis.example is away'],
    [
      'see https://u:p@example.com/x@y and http://example.com/a@b',
      'see https://(secret)@example.com/x@y and http://example.com/a@b',
    ],
    ['redis://127.0.0.1:6379', 'redis://127.0.0.1:6379'],
  ])('no credentials of %s', (text, safe) => {
    expect(logged({ text, error: new Error(text, { cause: text }) })).toEqual({
      text: safe,
      error: { name: 'Error', message: safe, cause: safe },
    });
    expect(findingText({ ...finding('error'), message: text, excerpt: `url: ${text}` }, PLAIN)).toBe(
      `policy/a.yaml:3:12 RULE_SOMETHING ${safe}\n    url: ${safe}`,
    );
  });
});

test('columns are as wide as their widest cell, and the last is not padded', () => {
  expect(
    columns([
      ['a', 'bb', 'c'],
      ['aaa', 'b', ''],
    ]),
  ).toEqual(['a    bb  c', 'aaa  b']);
});
