/** How expressions read attributes: resolution, absence, guards (docs/rules.md, sections 3 and 4). */
import { describe, expect, test } from 'vitest';
import { FAILED } from '../../../src/expression/index.ts';
import { bagOf, compiled, problemsOf, valueOf } from './attributes-of-tests.ts';

const readsOf = (source: string): string[] =>
  compiled(source).reads.map(({ name, guarded, keys, offset }) => {
    const shown = keys.map(({ key, guarded: isGuarded }) => `${isGuarded ? '?' : ''}${key}`);
    return `${name}${guarded ? '?' : ''} at ${offset}${shown.length > 0 ? ` keys ${shown.join(' ')}` : ''}`;
  });

describe('resolution', () => {
  test('the longest declared name wins, then fields of its value', () => {
    expect(valueOf('my.tenant.limit + 1', { 'my.tenant.limit': 4 })).toBe(5);
    expect(valueOf('my.deep.a.b', { 'my.deep': new Map([['a', new Map([['b', 'x']])]]) })).toBe('x');
    expect(readsOf('my.deep.a.b')).toEqual(['my.deep at 0 keys a']);
  });

  test('a variable of a macro hides a root of that name', () => {
    expect(valueOf('[{"method": 1}].exists(request, request.method == 1)')).toBe(true);
    expect(
      valueOf('ratelimit.entries.map(e, e.key) == ["user", "path"]', {
        'ratelimit.entries': [
          new Map([
            ['key', 'user'],
            ['value', 'ann'],
          ]),
          new Map([
            ['key', 'path'],
            ['value', '/'],
          ]),
        ],
      }),
    ).toBe(true);
  });

  test('header names are case-insensitive', () => {
    const values = { 'request.headers': new Map([['x-role', 'admin']]) };
    expect(valueOf('request.headers["X-Role"]', values)).toBe('admin');
    expect(valueOf('"X-Role" in request.headers', values)).toBe(true);
    expect(valueOf('request.headers[?"X-ROLE"].orValue("")', values)).toBe('admin');
    expect(valueOf('has(request.headers["X-Role"])', values)).toBe(true);
    expect(compiled('request.headers["X-Role"]').reads[0]?.keys).toEqual([
      { key: 'x-role', guarded: false, exposed: true },
    ]);
    expect(
      valueOf('my.flags["X"]', {
        'my.flags': new Map([
          ['X', '1'],
          ['x', '2'],
        ]),
      }),
    ).toBe('1');
  });
});

describe('absence', () => {
  test('reading what is absent fails', () => {
    expect(valueOf('source.principal == "a"')).toBe(FAILED);
    expect(valueOf('request.headers["x"] == "a"', { 'request.headers': new Map() })).toBe(FAILED);
  });

  test('has() is false, and .? none, where any part of a declared attribute is absent', () => {
    expect(valueOf('has(my.tenant.limit)')).toBe(false);
    expect(valueOf('has(my.flags.a)')).toBe(false);
    expect(valueOf('has(my.flags.a)', { 'my.flags': new Map([['a', '']]) })).toBe(true);
    expect(valueOf('my.tenant.?limit.orValue(10)')).toBe(10);
    expect(valueOf('my.tenant.?limit.orValue(10)', { 'my.tenant.limit': 3 })).toBe(3);
    expect(valueOf('my.?flags.a.orValue("none")')).toBe('none');
    expect(valueOf('my.?flags.a.orValue("none")', { 'my.flags': new Map([['a', 'b']]) })).toBe('b');
    expect(valueOf('source.?principal.hasValue()')).toBe(false);
  });

  test('inside a map only the last part may be absent, as in CEL', () => {
    expect(valueOf('has(my.deep.a.b)', { 'my.deep': new Map([['a', new Map()]]) })).toBe(false);
    expect(valueOf('has(my.deep.a.b)', { 'my.deep': new Map() })).toBe(FAILED);
  });

  test('a side that decides absorbs the failure of the other', () => {
    const values = { 'request.method': 'GET' };
    expect(valueOf('source.principal == "a" || request.method == "GET"', values)).toBe(true);
    expect(valueOf('request.method == "GET" || source.principal == "a"', values)).toBe(true);
    expect(valueOf('source.principal == "a" && request.method == "PUT"', values)).toBe(false);
    expect(valueOf('source.principal == "a" && request.method == "GET"', values)).toBe(FAILED);
    expect(valueOf('[0, 1].exists(n, 1 / n == 1)')).toBe(true);
    expect(valueOf('[0, 1].all(n, 1 / n == 1)')).toBe(FAILED);
  });

  test('why() names absent attributes and keys, and shows no value', () => {
    const one = compiled('source.principal == "a" && request.headers["x-token"].startsWith(request.host)');
    expect(one.why(bagOf({ 'request.headers': new Map([['authorization', 'secret']]), 'request.host': 'shop' }))).toBe(
      'source.principal and request.headers["x-token"] are absent',
    );
    expect(one.why(bagOf({ 'source.principal': 'b' }))).toBe('');
    const conversion = compiled('int(request.headers[?"x-n"].orValue("1")) == 1').why(
      bagOf({ 'request.headers': new Map([['x-n', 'hunter2']]) }),
    );
    expect(conversion).toContain('text that cannot be converted');
    expect(conversion).not.toContain('hunter2');
  });
});

describe('reads', () => {
  test.each([
    ['source.principal == "a"', ['source.principal at 0']],
    ['has(source.principal)', ['source.principal? at 4']],
    ['has(source.principal) && source.principal == "a"', ['source.principal? at 4']],
    ['has(source.principal) ? source.principal : ""', ['source.principal? at 4']],
    ['!has(source.principal) || source.principal == "a"', ['source.principal? at 5']],
    ['has(source.principal) || source.principal == "a"', ['source.principal at 25']],
    ['has(source.principal) ? "" : source.principal', ['source.principal at 29']],
    ['source.principal == "a" && has(source.principal)', ['source.principal at 0']],
    ['source.?principal.orValue("") == "a"', ['source.principal? at 0']],
    ['request.headers[?"a"].orValue(request.headers["b"])', ['request.headers at 0 keys ?a b']],
    ['"a" in request.headers && request.headers["a"] == "1"', ['request.headers at 7 keys ?a']],
    ['ratelimit.descriptor.user + ratelimit.descriptor["path"]', ['ratelimit.descriptor at 0 keys user path']],
    ['1 + 1 == 2', []],
  ])('%s', (source, reads) => {
    expect(readsOf(source)).toEqual(reads);
  });

  test('the warning for a key that may be absent shows the guard', () => {
    expect(compiled('request.headers["x-role"] == "a"').warnings).toEqual([
      {
        code: 'EXPRESSION_MAY_BE_ABSENT',
        start: 0,
        end: 25,
        message:
          'request.headers["x-role"] may be absent, which fails the expression; write request.headers[?"x-role"].orValue(...) to avoid that',
      },
    ]);
    expect(compiled('has(request.headers.a) && request.headers.a == "1"').warnings).toEqual([]);
    expect(compiled('"A" in request.headers && request.headers["a"] == "1"').warnings).toEqual([]);
  });

  test('a pattern before its text, as in Mixer, is warned of', () => {
    const said = (source: string): readonly string[] => compiled(source).warnings.map(({ message }) => message);
    expect(compiled('true || "^/a".matches(request.path)').warnings).toEqual([
      {
        code: 'EXPRESSION_PATTERN_FIRST',
        start: 8,
        end: 35,
        message:
          'the text "^/a" is tested by the pattern in request.path; the pattern is the argument: write request.path.matches("^/a")',
      },
    ]);
    expect(said('matches("^a", request.headers[?"x-a"].orValue(""))')).toEqual([
      'the text "^a" is tested by the pattern in request.headers[?"x-a"].orValue(""); the pattern is the argument: write request.headers[?"x-a"].orValue("").matches("^a")',
    ]);
    expect(said('"a".matches("^" + request.path)')).toEqual([
      'the text "a" is tested by the pattern in "^" + request.path; the pattern is the argument: write ("^" + request.path).matches("a")',
    ]);
    expect(said('"a".matches(dyn(request.path))')).toHaveLength(1);
    expect(said('request.path.matches("^/a") && "a".matches("a") && request.path.matches(request.method)')).toEqual([]);
  });

  test('constants are folded at load', () => {
    expect(compiled('2 * 3 + 1').constant).toBe(7);
    expect(compiled('request.size + 1').constant).toBeUndefined();
  });

  test('an expression must not have an optional type', () => {
    expect(problemsOf('request.headers[?"x"]')).toEqual([
      'EXPRESSION_TYPE 0-21 this may be absent (optional(string)); add a default with .orValue(...)',
    ]);
  });
});
