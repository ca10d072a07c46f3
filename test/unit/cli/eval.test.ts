/** `sluice eval`: one expression for people, lines for scripts. */
import { spawnSync } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import { COMMAND } from '../../parts/command-path.ts';
import { answerOf, type EvalRequest } from '../../../src/cli/eval/evaluation.ts';

const vocabulary = {
  ai: 'int',
  au: 'uint',
  ad: 'double',
  s: 'string',
  ab: 'bytes',
  at: 'timestamp',
  an: 'duration',
  ip: 'ip',
  net: 'cidr',
  m: 'map(string, string)',
  mi: 'map(string, int)',
  li: 'list(int)',
};
const asked = (expr: string, attributes?: Readonly<Record<string, unknown>>, more: Partial<EvalRequest> = {}) =>
  answerOf({ expr, vocabulary, attributes, ...more });

describe('values', () => {
  test.each([
    ['ai', { ai: 5 }, 5],
    ['ai', { ai: '5' }, 5],
    ['ai', { ai: '9223372036854775807' }, '9223372036854775807'],
    ['ai', { ai: '-9223372036854775808' }, '-9223372036854775808'],
    ['au', { au: '18446744073709551615' }, '18446744073709551615'],
    ['ad', { ad: 1.5 }, 1.5],
    ['ad / 0.0', { ad: 1 }, 'Infinity'],
    ['s', { s: 'ü' }, 'ü'],
    ['ab', { ab: 'AAH/' }, 'AAH/'],
    ['at', { at: '2026-01-31T12:00:00.5+01:00' }, '2026-01-31T11:00:00.5Z'],
    ['an', { an: '90s' }, '90s'],
    ['ip', { ip: '::ffff:10.0.0.1' }, '10.0.0.1'],
    ['net', { net: '10.0.0.0/8' }, '10.0.0.0/8'],
    ['m', { m: { a: 'b' } }, { a: 'b' }],
    ['mi', { mi: { a: '9007199254740993' } }, { a: '9007199254740993' }],
    ['li', { li: [1, '2'] }, [1, 2]],
    ['[dyn(1), 2u, "x"]', {}, [1, 2, 'x']],
    ['optional.none()', {}, null],
    ['type(1)', {}, 'int'],
    ['null', {}, null],
  ])('%s of %j', (expr, attributes, value) => {
    expect(asked(expr, attributes)).toMatchObject({ value });
  });

  test.each([
    [{ ai: 'x' }, 'ai is "x"; expected a whole number (int)'],
    [{ ai: 1.5 }, 'ai is 1.5; expected a whole number (int)'],
    [{ ai: '9223372036854775808' }, 'ai is "9223372036854775808"; expected a whole number (int)'],
    [{ au: -1 }, 'au is -1; expected a whole number from 0 on (uint)'],
    [{ ab: '!' }, 'ab is "!"; expected base64 (bytes)'],
    [{ nobody: 1 }, 'attributes: nobody is not in the vocabulary'],
  ])('%j is refused', (attributes, message) => {
    expect(asked('true', attributes)).toEqual({
      error: { phase: 'check', code: 'CLI_EVAL', message, line: 1, column: 1 },
    });
  });
});

describe('errors say where', () => {
  test.each([
    ['ai >', 'parse', 'EXPRESSION_SYNTAX', 1, 5],
    ['ai > "a"', 'check', 'EXPRESSION_NO_OVERLOAD', 1, 1],
    ['true &&\n  bi > 1', 'check', 'EXPRESSION_UNKNOWN_ATTRIBUTE', 2, 3],
    ['ai + 9223372036854775807 > 0', 'eval', 'EXPRESSION_FAILED', 1, 1],
    ['s == "x" || m["k"] == "x"', 'eval', 'EXPRESSION_FAILED', 1, 13],
    ['li[ai] == 1', 'eval', 'EXPRESSION_FAILED', 1, 1],
    ['li.exists(x, x / 0 == ad)', 'eval', 'EXPRESSION_FAILED', 1, 14],
  ])('%s', (expr, phase, code, line, column) => {
    expect(asked(expr, { ai: 7, s: 'y', m: {}, li: [1] })).toMatchObject({ error: { phase, code, line, column } });
  });

  test('what failed is said in words, without values', () => {
    const messageOf = (expr: string): unknown =>
      (asked(expr, { ai: 7, m: {}, li: [1], s: 'secret' }) as { error?: { message: string } }).error?.message;
    expect(['s + m["k"] == ""', 'ad > 1.0', 'li[ai] == 1', '10 % (ai - 7) == 1', 'int(s) == 1'].map(messageOf)).toEqual(
      [
        'no such key: "k"',
        'ad is absent',
        'index out of range',
        'divided by zero',
        'int() does not accept these values',
      ],
    );
  });

  test('another type than is wanted', () => {
    expect(asked('ai', undefined, { type: 'bool' })).toMatchObject({
      error: { phase: 'check', code: 'EXPRESSION_TYPE' },
    });
    expect(asked('ai > 1', undefined, { type: 'bool' })).toEqual({ type: 'bool' });
    expect(answerOf({ expr: 'request.method == "GET"' })).toEqual({ type: 'bool' });
  });
});

describe('what was looked at', () => {
  test.each([
    ['ai > 1 && s == "x"', { ai: 0 }, ['ai']],
    ['ai > 1 || s == "x"', { ai: 5 }, ['ai']],
    ['ai > 1 || m["a"] == "x"', { m: { a: 'x' } }, ['-ai', 'm[a]']],
    ['m[?"b"].orValue("") == ""', { m: { a: 'x' } }, ['-m[b]']],
    ['has(m.a) && "b" in m', { m: { a: 'x' } }, ['-m[b]', 'm[a]']],
    ['m.all(k, m[k] == "x")', { m: { a: 'x', b: 'x' } }, ['m', 'm[a]', 'm[b]']],
    ['size(m) == 1', { m: { a: 'x' } }, ['m']],
    ['m == {"a": "x"}', { m: { a: 'x' } }, ['m']],
    ['1 == 1', {}, []],
  ])('%s', (expr, attributes, looked) => {
    const answer = asked(expr, attributes) as { looked?: readonly string[] };
    if (expr === 'm == {"a": "x"}') expect(answer.looked).toContain('m');
    else expect(answer.looked).toEqual(looked);
  });
});

const run = (args: readonly string[], input = ''): { code: number | null; out: string; err: string } => {
  const { status, stdout, stderr } = spawnSync(process.execPath, [COMMAND, 'eval', ...args], {
    input,
    encoding: 'utf8',
  });
  return { code: status, out: stdout, err: stderr };
};

describe('the command', () => {
  test('answers each line in order, and a bad line does not end it', () => {
    const lines = [
      '{"id": 1, "expr": "1 + 1", "attributes": {}}',
      'junk',
      '',
      '{"id": 2}',
      '{"id": {"a": 3}, "expr": "true"}',
      '{"id": 4, "expr": "x", "vocabulary": {"x": "strng"}}',
    ];
    const { code, out } = run(['--lines'], `${lines.join('\n')}\n`);
    const answers = out
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(code).toBe(0);
    expect(answers.map(({ id }) => id)).toEqual([1, undefined, 2, { a: 3 }, 4]);
    expect(answers[0]).toEqual({ id: 1, type: 'int', value: 2, looked: [] });
    expect(answers.map(({ error }) => (error as { code?: string } | undefined)?.code)).toEqual([
      undefined,
      'CLI_EVAL',
      'CLI_EVAL',
      undefined,
      'CLI_EVAL',
    ]);
  });

  test('no line ends the others, and no answer is longer than so much', () => {
    const long = 'a'.repeat(60_000);
    const lines = [
      { expr: 'valueOf', attributes: {} },
      { expr: 'constructor == type(1)', attributes: {} },
      { expr: 's', vocabulary: { s: `${'list('.repeat(50_000)}string${')'.repeat(50_000)}` } },
      { expr: 's.replace("", s)', vocabulary: { s: 'string' }, attributes: { s: long } },
      {
        expr: '[s, s, s, s, s, s, s, s, s, s].map(a, [s, s, s, s, s, s, s, s, s, s])',
        vocabulary: { s: 'string' },
        attributes: { s: long },
      },
      {
        expr: 's.split(",").exists(a, s.split(",").exists(b, a + b == "zz"))',
        vocabulary: { s: 'string' },
        attributes: { s: ','.repeat(12_000) },
      },
      { expr: '1 + 1', attributes: {} },
    ];
    const { code, out, err } = run(
      ['--lines'],
      lines.map((line, id) => `${JSON.stringify({ id, ...line })}\n`).join(''),
    );
    const answers = out
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as { id: number; value?: unknown; error?: { code: string; message: string } });
    expect([code, err]).toEqual([0, '']);
    expect(answers.map(({ id }) => id)).toEqual([0, 1, 2, 3, 4, 5, 6]);
    expect(answers.map(({ error }) => error?.code)).toEqual([
      'EXPRESSION_UNKNOWN_ATTRIBUTE',
      'EXPRESSION_UNKNOWN_ATTRIBUTE',
      'CLI_EVAL',
      'EXPRESSION_FAILED',
      'CLI_EVAL',
      'EXPRESSION_FAILED',
      undefined,
    ]);
    expect(answers[4]?.error?.message).toMatch(/^the value is longer than 4194304 characters of JSON/);
    expect(out.length).toBeLessThan(400_000);
  });

  test('checks, evaluates and explains one', () => {
    expect(run(['request.method == "GET"'])).toEqual({ code: 0, out: 'bool\n', err: '' });
    expect(run(['request.method', '--attributes', '-'], 'request.method: GET')).toEqual({
      code: 0,
      out: '"GET"\n',
      err: '',
    });
    const { code, out } = run(
      ['request.method == "GET" && request.size > 1', '--attributes', '-', '--explain'],
      '{"request.method": "GET", "request.size": 3}',
    );
    expect(code).toBe(0);
    expect(out).toBe(`request.method == "GET" && request.size > 1  bool    true
  request.method == "GET"                    bool    true
    request.method                           string  "GET"
    "GET"                                    string  "GET"
  request.size > 1                           bool    true
    request.size                             int     3
    1                                        int     1
looked at request.method request.size
`);
  });

  test('derives attributes of a request as the engine does, flat or nested, for people and in lines', () => {
    const request = '{"request.path": "/a/../ratings?page=2", "source": {"ip": "10.1.2.3"}}';
    const expression =
      'request.url_path == "/ratings" && request.query.page == "2" && cidr("10.0.0.0/8").containsIP(origin.ip)';
    expect(run([expression, '--attributes', '-'], request)).toMatchObject({ code: 0, out: 'true\n' });
    expect(run(['--lines'], `{"expr": ${JSON.stringify(expression)}, "attributes": ${request}}\n`).out).toContain(
      '"value":true',
    );
    expect(run(['request.path', '--attributes', '-'], 'request.pth: /a').err).toContain(
      'attributes: no attribute is named request.pth; did you mean request.path?',
    );
  });

  test('works where code may not be made from text', () => {
    const { status, stdout } = spawnSync(
      process.execPath,
      [
        '--disallow-code-generation-from-strings',
        COMMAND,
        'eval',
        'request.method == "GET" && request.size in [1, 3]',
        '--attributes',
        '-',
      ],
      { input: '{"request.method": "GET", "request.size": 3}', encoding: 'utf8' },
    );
    expect([status, stdout]).toEqual([0, 'true\n']);
  });

  test('exits with 1 where it is wrong or fails, 2 without an expression', () => {
    expect(run(['request.metod'])).toMatchObject({
      code: 1,
      out: '',
      err: expect.stringContaining(
        '1:1 EXPRESSION_UNKNOWN_ATTRIBUTE unknown attribute request.metod; did you mean request.method?\n  request.metod\n  ^^^^^^^^^^^^^',
      ) as unknown,
    });
    expect(run(['request.method', '--attributes', '-'], '{}')).toMatchObject({
      code: 1,
      err: expect.stringContaining('request.method is absent') as unknown,
    });
    expect(run([]).code).toBe(2);
  });
});
