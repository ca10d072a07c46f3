/** Mixer's expression language: syntax, values and error messages (mixer/pkg/lang). */
import { describe, expect, test } from 'vitest';
import { answerOf } from '../../../../src/cli/eval/evaluation.ts';

const vocabulary = {
  ai: 'INT64',
  bi: 'INT64',
  ad: 'DOUBLE',
  as: 'STRING',
  bs: 'STRING',
  ab: 'BOOL',
  bb: 'BOOL',
  at: 'TIMESTAMP',
  adur: 'DURATION',
  aip: 'IP_ADDRESS',
  ar: 'STRING_MAP',
  br: 'STRING_MAP',
  adns: 'DNS_NAME',
  amail: 'EMAIL_ADDRESS',
  auri: 'URI',
  'request.path': 'STRING',
  au: 'uint',
};
type Given = Readonly<Record<string, unknown>>;
const asked = (expr: string, attributes?: Given) => answerOf({ expr, dialect: 'istio', vocabulary, attributes });
const problemOf = (expr: string, attributes?: Given): string => {
  const answer = asked(expr, attributes);
  if (!('error' in answer)) return 'none';
  const { phase, message } = answer.error;
  return `${phase}: ${message}`;
};

describe('values', () => {
  test.each<readonly [string, Given, unknown]>([
    ['1 + 2 + ai', { ai: 3 }, 6],
    ['as + "b"', { as: 'a' }, 'ab'],
    ['1.5 + .5', {}, 2],
    ['`raw\\`', {}, 'raw\\'],
    ['\'a\' + "\\x41\\u00e9\\101"', {}, 'aAéA'],
    ['(/* "*" and ** */ as | /**/ "b") // c', { as: 'a' }, 'a'],
    ['TRUE && !False == ab', {}, undefined],
    ['True', {}, true],
    ['010', {}, 10],
    ['request.path.startsWith("/a")', { 'request.path': '/a/b' }, true],
    ['"abc".endsWith("bc")', {}, true],
    ['(as).startsWith("x")', { as: 'xy' }, true],
    ['toLower(as).startsWith("x")', { as: 'XY' }, true],
    ['ar["k"].startsWith("v")', { ar: { k: 'v1' } }, true],
    ['ai == 1 &&\n bi == 2', { ai: 1, bi: 2 }, true],
    ['size(as)', { as: 'é' }, 2],
    ['as < "b"', { as: 'a' }, true],
    ['ad >= 1.0', { ad: 1 }, true],
    ['conditional(ab, "x", as)', { ab: true }, 'x'],
    ['emptyStringMap()', {}, {}],
    ['at == timestamp("2026-01-01T00:00:00Z")', { at: '2026-01-01T01:00:00+01:00' }, true],
    ['at < timestamp("2026-01-02T00:00:00Z")', { at: '2026-01-01T00:00:00Z' }, true],
    ['aip == ip("::ffff:10.0.0.1")', { aip: '10.0.0.1' }, true],
    ['ai + bi', { ai: '9223372036854775807', bi: 1 }, '-9223372036854775808'],
  ])('%s of %j', (expr, attributes, value) => {
    if (value === undefined) expect(problemOf(expr, attributes)).toBe('check: unknown function: NOT');
    else expect(asked(expr, attributes)).toMatchObject({ value });
  });

  test('text that Go parses as a duration is a duration', () => {
    expect(asked('"19ms"')).toEqual({ type: 'duration' });
    expect(asked('"0"')).toEqual({ type: 'duration' });
    expect(asked('"19 ms"')).toEqual({ type: 'string' });
    expect(asked('adur | "10s"', {})).toMatchObject({ value: '10s' });
  });

  test('the pattern is what matches() is called on, and it is not anchored', () => {
    expect(asked('"b+".matches(as)', { as: 'abbc' })).toMatchObject({ value: true });
    expect(problemOf('as.matches("x")', { as: '(' })).toMatch(/^eval: error parsing regexp: missing closing \)/);
  });

  test.each([
    ['ab*', 'abc', true],
    ['*bc', 'abc', true],
    ['*b*', 'abc', false],
    ['*b*', '*bc', true],
    ['abc', 'abc', true],
    ['a', 'abc', false],
  ])('match(as, %j) of %j', (pattern, as, value) => {
    expect(asked(`match(as, "${pattern}")`, { as })).toMatchObject({ value });
  });
});

describe('absent attributes', () => {
  test.each<readonly [string, Given, unknown, readonly string[]]>([
    ['ai | 5', {}, 5, ['-ai']],
    ['ai | 5', { ai: 1 }, 1, ['ai']],
    ['ai | bi | 7', { bi: 2 }, 2, ['-ai', 'bi']],
    ['as | "x" == bs', { bs: 'x' }, true, ['-as', 'bs']],
    ['as | "a" + "b"', {}, 'ab', ['-as']],
    ['ar["k"]', { ar: {} }, '', ['-ar[k]']],
    ['ar["k"] | "d"', { ar: {} }, 'd', ['-ar[k]']],
    ['ar["k"] | "d"', {}, 'd', ['-ar']],
    ['ar[as] | "d"', { ar: { k: 'v' } }, 'd', ['-as', 'ar']],
    ['ar["k"] | br["k"] | "d"', { ar: {}, br: { k: 'v' } }, 'v', ['-ar[k]', 'br[k]']],
    ['as | ar["k"]', { ar: {} }, '', ['-ar[k]', '-as']],
    ['(ar | br)["foo"]', { br: { foo: 'bar' } }, 'bar', ['-ar', 'br[foo]']],
    ['ab || bb', { ab: true }, true, ['ab']],
    ['ab && bb', { ab: false }, false, ['ab']],
    ['conditional(ab, ai, bi)', { ab: false, bi: 2 }, 2, ['ab', 'bi']],
    ['conditional(ab | false, ai, 3)', {}, 3, ['-ab']],
  ])('%s of %j', (expr, attributes, value, looked) => {
    expect(asked(expr, attributes)).toMatchObject({ value, looked });
  });

  // As seen in expressions that Mixer 1.4.9 evaluated: what an operator makes is no value for `|`, and stays below the default.
  test.each<readonly [string, Given, unknown]>([
    ['as + "x" | "d"', { as: 'A' }, 'd'],
    ['size(as) | 5', { as: 'abc' }, 5],
    ['(as == "A") | ab', { as: 'A', ab: false }, false],
    ['(ab && ab) | bb', { ab: true, bb: false }, false],
    ['(ab || ab) | bb', { ab: true, bb: false }, false],
    ['(as | bs + "x") | ""', { as: 'A', bs: 'B' }, ''],
    ['(as | bs) | "d"', { bs: 'B' }, 'B'],
    ['toLower(as) | "d"', { as: 'A' }, 'a'],
    ['as.startsWith("A") | ab', { as: 'A', ab: false }, true],
    ['conditional(ab, as, bs) | "d"', { ab: true, as: 'A' }, 'A'],
    ['ai + (bi + 1 | 7)', { ai: 100, bi: 1 }, 9],
    ['as == (as + "x" | "d")', { as: 'd' }, false],
    ['match("q", as + "x" | "d*")', { as: 'd' }, true],
  ])('an operator before | does not end the chain: %s of %j', (expr, attributes, value) => {
    expect(asked(expr, attributes)).toMatchObject({ value });
  });

  test('what stands below a default is not read as another type', () => {
    expect(problemOf('ar[as + "x" | "d"]', { ar: {}, as: 'a' })).toBe(
      'eval: invalid heap access: STRING_MAP expected, found STRING',
    );
    expect(problemOf('ab | (bb | (ab | bb))', {})).toBe('eval: stack underflow');
  });

  test.each<readonly [string, Given, string]>([
    ['ai == 1', {}, "eval: lookup failed: 'ai'"],
    ['ai | bi', {}, "eval: lookup failed: 'bi'"],
    ['ar["k"]', {}, "eval: lookup failed: 'ar'"],
    ['ip(as) | ip(bs)', { bs: '1.2.3.4' }, "eval: lookup failed: 'as'"],
    ['(ai == 1) | ab', { ab: true }, "eval: lookup failed: 'ai'"],
    ['ab || bb', { ab: false }, "eval: lookup failed: 'bb'"],
    ['bb || ab', { ab: true }, "eval: lookup failed: 'bb'"],
    ['conditionalString(ab, as, bs)', { ab: true, as: 'x' }, "eval: lookup failed: 'bs'"],
  ])('%s of %j fails', (expr, attributes, problem) => {
    expect(problemOf(expr, attributes)).toBe(problem);
  });
});

describe('problems have the messages of Mixer', () => {
  test.each([
    ['!ab', 'check: unknown function: NOT'],
    ['ai > -1', 'check: unknown function: SUB'],
    ['ai - 1', 'check: unknown function: SUB'],
    ['ai / 2', 'check: unknown function: QUO'],
    ['ai * 2', 'check: unknown function: MUL'],
    ['ai % 2', 'check: unknown function: REM'],
    ['ai & 2', 'check: unknown function: AND'],
    ['ai ^ 2', 'check: unknown function: XOR'],
    ['+ai', 'check: ADD($ai) arity mismatch. Got 1 arg(s), expected 2 arg(s)'],
    ['foo == 1', 'check: unknown attribute foo'],
    ['foo(1)', 'check: unknown function: foo'],
    ['reverse(as)', 'check: unknown function: reverse'],
    ['as == 1', 'check: EQ($as, 1) arg 2 (1) typeError got INT64, expected STRING'],
    ['ai | "x"', 'check: OR($ai, "x") arg 2 ("x") typeError got STRING, expected INT64'],
    ['ar[1]', 'check: INDEX($ar, 1) arg 2 (1) typeError got INT64, expected STRING'],
    ['ai.startsWith("x")', 'check: $ai:startsWith("x") target typeError got INT64, expected STRING'],
    ['startsWith(as, "x")', 'check: invoking instance method without an instance: startsWith'],
    ['as.toLower()', 'check: invoking regular function on instance method: toLower'],
    ['size()', 'check: size() arity mismatch. Got 0 arg(s), expected 1 arg(s)'],
    ['adur == adur', 'check: internal compiler error -- equality for type not yet implemented: DURATION'],
    ['ar == br', 'check: internal compiler error -- equality for type not yet implemented: STRING_MAP'],
    ['ab < bb', 'check: internal compiler error -- comparison for type not yet implemented: BOOL'],
    ['ab + bb', 'check: internal compiler error -- addition for type not yet implemented: BOOL'],
    ['au == au', "check: the attribute au is of a type that Istio's language does not have"],
    ['a().b', 'parse: unexpected expression: a().b'],
    ['c().e.d()', 'parse: unexpected expression: c().e'],
    ['0x1f', 'parse: strconv.ParseInt: parsing "0x1f": invalid syntax'],
    ['9223372036854775808', 'parse: strconv.ParseInt: parsing "9223372036854775808": value out of range'],
    ["'ab'", "parse: strconv.Unquote: 'ab': invalid syntax"],
    ['as ==', "parse: unable to parse expression 'as ==': 1:6: expected operand, found 'EOF'"],
    ['as\n== "x"', `parse: unable to parse expression 'as\n== "x"': 1:3: expected 'EOF', found newline`],
    ['as ? 1', `parse: unable to parse expression 'as ? 1': 1:4: illegal character "?"`],
    ['', "parse: unable to parse expression '': 1:1: expected operand, found 'EOF'"],
    ['('.repeat(1000), 'parse: nested deeper than 250'],
  ])('%s', (expr, problem) => {
    expect(problemOf(expr)).toBe(problem);
  });

  test.each([
    ['ip(as) == aip', 'eval: could not convert x to IP_ADDRESS'],
    ['timestamp(as) == at', "eval: could not convert 'x' to TIMESTAMP. expected format: '2006-01-02T15:04:05Z07:00'"],
    [
      'timestamp("2018-01-02t03:04:05z") == at',
      "eval: could not convert '2018-01-02t03:04:05z' to TIMESTAMP. expected format: '2006-01-02T15:04:05Z07:00'",
    ],
    ['email(as) == amail', "eval: error converting 'x' to e-mail: 'mail: missing phrase'"],
  ])('%s of text that is none', (expr, problem) => {
    expect(problemOf(expr, { as: 'x', aip: '::1', at: '2026-01-01T00:00:00Z', amail: 'a@b.c' })).toBe(problem);
  });
  test('dnsName and uri of invalid text', () => {
    expect(problemOf('dnsName("a..b")')).toBe('none'); // known only when evaluated
    expect(problemOf('dnsName("a..b") == adns', { adns: 'a' })).toMatch(
      /^eval: error converting 'a\.\.b' to dns name: /,
    );
    expect(problemOf('uri("") == auri', { auri: 'a' })).toBe('eval: error converting string to uri: empty string');
  });
});

describe('DNS names, addresses and URIs are compared by meaning', () => {
  test.each([
    ['adns == dnsName("FOO.example.com.")', { adns: 'foo.example.com' }, true],
    ['adns == dnsName("foo.example.org")', { adns: 'foo.example.com' }, false],
    ['adns == dnsName("münchen.de")', { adns: 'xn--mnchen-3ya.de' }, true],
    ['amail == email("ann@EXAMPLE.com")', { amail: 'ann@example.com' }, true],
    ['amail == email("Ann@example.com")', { amail: 'ann@example.com' }, false],
    ['auri == uri("HTTP://Example.com:/a")', { auri: 'http://example.com/a' }, true],
    ['auri == uri("http://host")', { auri: 'http://host/' }, false],
    ['auri == uri("http://host:80/")', { auri: 'http://host/' }, false],
    ['auri == uri("urn:A")', { auri: 'urn:a' }, false],
  ])('%s of %j', (expr, attributes, value) => {
    expect(asked(expr, attributes)).toMatchObject({ value });
  });
});
