/** Problems of an expression and their positions. */
import { describe, expect, test } from 'vitest';
import { BOOL, INT, STRING } from '../../../src/attributes/types.ts';
import { compile } from '../../../src/expression/index.ts';
import { DECLARED_FOR } from '../../../src/expression/check/foreign-names.ts';
import { ATTRIBUTES, compiled, problemsOf, valueOf } from './attributes-of-tests.ts';
import { filledAttributes } from './filled-attributes.ts';

describe('names', () => {
  test.each([
    ['audit', `EXPRESSION_UNKNOWN_ATTRIBUTE 0-5 unknown attribute audit; a constant is written '"audit"'`],
    [
      'request.metod == "GET"',
      'EXPRESSION_UNKNOWN_ATTRIBUTE 0-13 unknown attribute request.metod; did you mean request.method?',
    ],
    [
      'true && requets.method == "GET"',
      'EXPRESSION_UNKNOWN_ATTRIBUTE 8-22 unknown attribute requets.method; did you mean request.method?',
    ],
    [
      'my.tenant.?limt.orValue(1)',
      'EXPRESSION_UNKNOWN_ATTRIBUTE 0-15 unknown attribute my.tenant.limt; did you mean my.tenant.limit?',
    ],
    [
      'has(my.tenant.limt)',
      'EXPRESSION_UNKNOWN_ATTRIBUTE 4-18 unknown attribute my.tenant.limt; did you mean my.tenant.limit?',
    ],
    [
      'my.tenant',
      'EXPRESSION_NOT_AN_ATTRIBUTE 0-9 my.tenant is not an attribute, but a prefix of my.tenant.limit, my.tenant.plan',
    ],
    [
      'request.url_path.startWith("/")',
      'EXPRESSION_UNKNOWN_FUNCTION 0-31 unknown function startWith(); did you mean startsWith?',
    ],
    [
      'startsWith(request.path, "/")',
      'EXPRESSION_UNKNOWN_FUNCTION 0-29 unknown function startsWith(); it is called x.startsWith()',
    ],
    [
      'json.decod("1") == 1',
      'EXPRESSION_UNKNOWN_FUNCTION 0-15 unknown function json.decod(); did you mean json.decode?',
    ],
    [
      'jsn.decode("1") == 1',
      'EXPRESSION_UNKNOWN_FUNCTION 0-15 unknown function jsn.decode(); did you mean json.decode?',
    ],
    [
      'math.grea(1, 2) == 1',
      'EXPRESSION_UNKNOWN_FUNCTION 0-15 unknown function math.grea(); known are math.ceil, math.floor, math.trunc, math.round, math.abs, math.sign ...',
    ],
    ['cel.bnd(a, 1, a) == 1', 'EXPRESSION_UNKNOWN_FUNCTION 0-16 unknown function cel.bnd(); did you mean cel.bind?'],
    ['json.parse("1") == 1', 'EXPRESSION_UNKNOWN_FUNCTION 0-15 unknown function json.parse(); known are json.decode'],
    ['foo.bar("1") == 1', 'EXPRESSION_UNKNOWN_ATTRIBUTE 0-3 unknown attribute foo; a constant is written \'"foo"\''],
    [
      'my.tenant.plan.startWith("a")',
      'EXPRESSION_UNKNOWN_FUNCTION 0-29 unknown function startWith(); did you mean startsWith?',
    ],
    ['request.method.size', 'EXPRESSION_NO_FIELD 0-19 string has no fields or keys; only maps and lists have'],
  ])('%s', (source, problem) => {
    expect(problemsOf(source)).toEqual([problem]);
  });

  test.each([
    ['my.flags.x-request-id == "a"', '0-21 a name has no hyphen, and - subtracts; write my.flags["x-request-id"]'],
    ['my.flags.x-user.startsWith("a")', '0-31 a name has no hyphen, and - subtracts; write my.flags["x-user"]'],
    ['my.flags.?x-user.orValue("")', '0-28 a name has no hyphen, and - subtracts; write my.flags[?"x-user"]'],
  ])('a key with a hyphen: %s', (source, problem) => {
    expect(problemsOf(source)).toEqual([`EXPRESSION_NO_OVERLOAD ${problem}`]);
  });

  test('a difference of two attributes, though one is named as a key of a map', () => {
    expect(problemsOf('my.flags.count-request.size == 1')).toEqual([]);
  });

  test.each([
    ['source.address == "a"', '0-14 unknown attribute source.address; write source.ip, and source.port'],
    ['xds.cluster_name == "a"', '0-16 unknown attribute xds.cluster_name; write context.upstream.cluster'],
    ['xds.node.id == "a"', '0-11 unknown attribute xds.node.id; write context.node.id, context.node.cluster'],
    ['context.request.http.path == "/"', '0-25 unknown attribute context.request.http.path; write request.path'],
    ['source.user == "a"', '0-11 unknown attribute source.user; write source.principal'],
    [
      'target.labels["a"] == "a"',
      '0-13 unknown attribute target.labels; write destination, such as destination.service',
    ],
    [
      'input.attributes.request.http.method == "a"',
      '0-36 unknown attribute input.attributes.request.http.method; write',
    ],
  ])('a name of Envoy, Istio, Mixer or OPA: %s', (source, problem) => {
    expect(problemsOf(source)[0]).toContain(`EXPRESSION_UNKNOWN_ATTRIBUTE ${problem}`);
  });

  test.each([
    ['response.status == 500', '0-15 unknown attribute response.status; write response.code'],
    ['http.method == "GET"', '0-11 unknown attribute http.method; write request.method'],
    ['req.path == "/"', '0-8 unknown attribute req.path; write request.path'],
    ['req.uri == "/"', '0-7 unknown attribute req.uri; write request.url_path, or request.path with its query'],
    ['upstream.port == 1', '0-13 unknown attribute upstream.port; write context.upstream.port'],
    ['upstream.address == "a"', '0-16 unknown attribute upstream.address; write context.upstream.ip, and'],
    ['request.ip == "a"', '0-10 unknown attribute request.ip; write source.ip, or origin.ip behind proxies of yours'],
    [
      'jwt.claims.sub == "a"',
      '0-14 unknown attribute jwt.claims.sub; write request.auth.claims["NAME"], or the output',
    ],
    [
      'headers["a"] == "a"',
      `0-7 unknown attribute headers; write request.headers["name"]; a constant is written '"headers"'`,
    ],
    ['response.body == "a"', '0-13 unknown attribute response.body; Envoy sends no bodies of responses'],
  ])('a name of gateways, OpenTelemetry or programs: %s', (source, problem) => {
    expect(problemsOf(source)[0]).toContain(`EXPRESSION_UNKNOWN_ATTRIBUTE ${problem}`);
  });

  test('a misspelt member of a declared family is no name of elsewhere', () => {
    const attributes = ATTRIBUTES.extend(filledAttributes({ 'user.role': STRING }));
    expect(compile('user.rol == "a"', attributes).problems.map(({ message }) => message)).toEqual([
      'unknown attribute user.rol; did you mean user.role?',
    ]);
  });

  test('the attributes that are written in place of names of elsewhere are declared', () => {
    const written = [...DECLARED_FOR.values()].flatMap((phrase) => phrase.match(/[a-z]+(?:\.\w+)+/gi) ?? []);
    expect(written.length).toBeGreaterThan(60);
    const isDeclared = (name: string): boolean =>
      [...ATTRIBUTES.names()].some((known) => `${name}.`.startsWith(`${known}.`) || known.startsWith(`${name}.`));
    expect([...new Set(written)].filter((name) => !isDeclared(name)).toSorted()).toEqual([
      'json.decode',
      'my.NAME',
      'settings.trustedHops',
    ]);
  });

  test.each([
    ['now() > timestamp(0)', 'unknown function now(); the time of the call is context.time'],
    ['request.path.lower() == "a"', 'unknown function lower(); write x.lowerAscii()'],
    ['conditional(true, 1, 2) == 1', 'unknown function conditional(); write c ? a : b'],
    ['dnsName("a") == dnsName("b")', 'unknown function dnsName(); compare request.host, which is in lower case'],
    ['not (request.size == 1)', 'unknown function not(); not is written !'],
    ['sets.contains([1, 2], [1])', 'unknown function sets.contains(); of two lists write b.all(one, one in a)'],
  ])('a function of another language: %s', (source, problem) => {
    expect(problemsOf(source)[0]).toContain(`EXPRESSION_UNKNOWN_FUNCTION 0-`);
    expect(problemsOf(source)[0]).toContain(problem);
  });

  test.each([
    ['request.size == 1 and true', '18-21 and does not fit here; and is &&'],
    ['request.size == 1 or true', '18-20 or does not fit here; or is ||'],
    ['request.size not in [1]', '13-16 not does not fit here; not is !, as in !(x in list)'],
    ['request.size <> 1', '14-15 > does not fit here; inequality is !='],
    ['request.path startsWith "/a"', '13-23 startsWith does not fit here; write x.startsWith("a")'],
    ['request.path =~ "^/a"', '13-14 "=" is not part of any expression; a pattern is x.matches("...")'],
    ['request.size constructor 1', '13-24 constructor does not fit here; expected an operator or the end'],
  ])('an operator of another language: %s', (source, problem) => {
    expect(problemsOf(source)).toEqual([`EXPRESSION_SYNTAX ${problem}`]);
  });

  test.each(['constructor', 'valueOf', 'toString', '__proto__', 'hasOwnProperty'])(
    '%s, a property of every JavaScript object, is neither an attribute nor a function',
    (name) => {
      expect(problemsOf(`${name} == type("a")`)).toEqual([
        `EXPRESSION_UNKNOWN_ATTRIBUTE 0-${name.length} unknown attribute ${name}; a constant is written '"${name}"'`,
      ]);
      expect(problemsOf(`${name}("a") == "a"`)[0]).toMatch(/^EXPRESSION_UNKNOWN_FUNCTION/);
      expect(problemsOf(`request.${name} == "a"`)[0]).toMatch(/^EXPRESSION_UNKNOWN_ATTRIBUTE/);
      expect(
        valueOf(`has(my.flags.${name}) || "${name}" in {"a": 1} || my.flags[?"${name}"].hasValue()`, {
          'my.flags': new Map(),
        }),
      ).toBe(false);
    },
  );

  test('all problems are reported at once', () => {
    expect(
      problemsOf('audit == 1 && request.nam == "a" && request.size == "a"').map((problem) =>
        problem.split(' ').slice(0, 2).join(' '),
      ),
    ).toEqual([
      'EXPRESSION_UNKNOWN_ATTRIBUTE 0-5',
      'EXPRESSION_UNKNOWN_ATTRIBUTE 14-25',
      'EXPRESSION_NO_OVERLOAD 36-55',
    ]);
  });
});

describe('types', () => {
  test.each([
    [
      '["UAEX"] == "UAEX"',
      'EXPRESSION_NO_OVERLOAD 0-18 no matching overload for list(string) == string; write VALUE in LIST',
    ],
    [
      'timestamp("2026-01-31T12:00:00+24:00") > timestamp(0)',
      'EXPRESSION_CONSTANT 10-37 "2026-01-31T12:00:00+24:00" is not an RFC 3339 time, such as "2026-01-31T12:00:00Z"',
    ],
    [
      'timestamp("2026-01-31T12:00:00-00:60") > timestamp(0)',
      'EXPRESSION_CONSTANT 10-37 "2026-01-31T12:00:00-00:60" is not an RFC 3339 time, such as "2026-01-31T12:00:00Z"',
    ],
    [
      'request.size == "a"',
      'EXPRESSION_NO_OVERLOAD 0-19 no matching overload for int == string; convert one of them: int(x) or string(x)',
    ],
    [
      'origin.ip == "10.0.0.1"',
      'EXPRESSION_NO_OVERLOAD 0-23 no matching overload for ip == string; write ip("192.0.2.1")',
    ],
    [
      'response.duration > "1s"',
      'EXPRESSION_NO_OVERLOAD 0-24 no matching overload for duration > string; write duration("1s")',
    ],
    [
      'origin.ip in cidr("10.0.0.0/8")',
      'EXPRESSION_NO_OVERLOAD 0-31 in takes a list or a map; write cidr("10.0.0.0/8").containsIP(x)',
    ],
    ['!request.method', 'EXPRESSION_TYPE 1-15 ! takes bool; found string'],
    ['true && request.size', 'EXPRESSION_TYPE 8-20 && takes bool; found int'],
    [
      'request.size.startsWith("a")',
      'EXPRESSION_NO_OVERLOAD 0-28 no matching overload for int.startsWith(string); known are string.startsWith(string)',
    ],
  ])('%s', (source, problem) => {
    expect(problemsOf(source)).toEqual([problem]);
  });

  test('the expected type', () => {
    expect(problemsOf('request.method', { expect: BOOL })).toEqual([
      'EXPRESSION_TYPE 0-14 expected bool; found string',
    ]);
    expect(problemsOf('[request.method]', { accept: ({ kind }) => kind === 'string', wanted: 'text' })).toEqual([
      'EXPRESSION_TYPE 0-16 expected text; found list(string)',
    ]);
    expect(compiled('1', { expect: INT }).constant).toBe(1);
    expect(problemsOf('1', { expect: STRING })).toHaveLength(1);
  });
});

describe('constants', () => {
  test.each([
    [
      'request.method.matches("(")',
      'EXPRESSION_CONSTANT 23-26 "(" is not an RE2 pattern: error parsing regexp: missing closing ): `(`',
    ],
    ['request.method.matches("(?=a)")', 'EXPRESSION_CONSTANT 23-30 "(?=a)" is not an RE2 pattern'],
    [
      'cidr("10.0.0.0/99").containsIP(origin.ip)',
      'EXPRESSION_CONSTANT 5-18 "10.0.0.0/99" is not a CIDR range, such as "10.0.0.0/8"',
    ],
    ['ip("10.0.0.256") == origin.ip', 'EXPRESSION_CONSTANT 3-15 "10.0.0.256" is not an IP address'],
    ['response.duration > duration("1")', 'EXPRESSION_CONSTANT 29-32 "1" is not a duration, such as "1.5s" or "1h30m"'],
    [
      'timestamp("yesterday") < request.time',
      'EXPRESSION_CONSTANT 10-21 "yesterday" is not an RFC 3339 time, such as "2026-01-31T12:00:00Z"',
    ],
    [
      'request.time.getHours("Mars/North") > 1',
      'EXPRESSION_CONSTANT 22-34 "Mars/North" is not a time zone, such as "Europe/Berlin" or "+01:00"',
    ],
    [
      '9223372036854775807 + 1 == 0',
      'EXPRESSION_OVERFLOW 0-23 this constant cannot be computed: a number is out of range, or divided by 0',
    ],
    [
      '1 / 0 == 0',
      'EXPRESSION_OVERFLOW 0-5 this constant cannot be computed: a number is out of range, or divided by 0',
    ],
    ['9223372036854775808 > 1', 'EXPRESSION_SYNTAX 0-19 9223372036854775808 is out of the range of int'],
  ])('%s', (source, problem) => {
    const [first = '', ...rest] = problemsOf(source);
    expect(first.slice(0, problem.length)).toBe(problem);
    expect(rest).toEqual([]);
  });
});

describe('syntax', () => {
  test.each([
    ['', '0-1 expected an expression; found nothing'],
    ['request.method = "a"', '15-16 "=" is not part of any expression; equality is =='],
    ['true & true', '5-6 "&" is not part of any expression; "and" is &&'],
    [
      '${request.method}',
      '0-1 "$" is not part of any expression; ${...} is for texts, and in an expression an attribute is its name alone; texts are joined by +',
    ],
    [
      '{request.method}',
      '15-16 } does not fit here; expected :, as in {"key": value}; an attribute is its name, without braces',
    ],
    ['"a', '0-2 the text that begins here has no closing "'],
    ['(1', '2-3 the expression ends here; expected )'],
    ['1 +', '3-4 the expression ends here; expected a value'],
    ['true ? 1', '8-9 the expression ends here; expected :'],
    ['"\\d"', '1-3 \\d is not an escape; write \\\\ for a backslash, or r"..." for raw text'],
    ['has(1)', '0-6 has() takes one attribute or field, such as has(source.principal)'],
    ['while', '0-5 while is a reserved word'],
  ])('%s', (source, problem) => {
    expect(problemsOf(source)).toEqual([`EXPRESSION_SYNTAX ${problem}`]);
  });

  test('depth and length are limited before the stack overflows', () => {
    expect(problemsOf(`${'('.repeat(400)}1${')'.repeat(400)}`)[0]).toContain('nested deeper than 250');
    expect(problemsOf(`1${' + 1'.repeat(5000)}`)[0]).toContain('more than 1000 operators in a row');
    expect(problemsOf(`true${' || request.method == "a"'.repeat(900)}`)).toEqual([]);
    expect(problemsOf(`"${'a'.repeat(100_001)}"`)[0]).toContain('at most 100000 characters');
  });
});

describe('a warning for an attribute that may be absent shows the guard', () => {
  const warningsOf = (source: string): string[] =>
    compiled(source).warnings.map(({ message }) =>
      message.replace(', which fails the expression; write', ':').replace(' to avoid that', ''),
    );
  test.each([
    [
      'source.principal == "x"',
      ['source.principal may be absent: has(source.principal) && ..., or source.?principal.orValue(...)'],
    ],
    [
      'request.headers["x"] == "a" || request.headers["x"] == "b"',
      ['request.headers["x"] may be absent: request.headers[?"x"].orValue(...)'],
    ],
    ['has(source.principal) && source.principal == "x"', []],
    ['source.?principal.orValue("") == "x"', []],
    ['has(source.principal) ? source.principal == "x" : false', []],
    ['!has(source.principal) || source.principal == "x"', []],
    ['request.method == "GET"', []],
  ])('%s', (source, warnings) => {
    expect(warningsOf(source)).toEqual(warnings);
  });
});
