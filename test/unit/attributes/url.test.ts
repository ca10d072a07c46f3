import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isPlainPath, queryOf, urlPathOf } from '../../../src/attributes/url.ts';

describe('request.url_path', () => {
  test.each([
    ['NONE', '/a/../b%2Fc//d?x', '/a/../b%2Fc//d'],
    ['BASE', '/a/../b%2Fc//d?x', '/b%2Fc//d'],
    ['BASE', '/%61%2d/./b/%2e%2e/c', '/a-/c'],
    ['BASE', '\\admin\\x', '/admin/x'],
    ['BASE', '/a%5Cb%5cc', '/a%5Cb%5Cc'],
    ['BASE', '/a/..', '/'],
    ['BASE', '/../../a', '/a'],
    ['MERGE_SLASHES', '//a///b/', '/a/b/'],
    ['MERGE_SLASHES', '/a%2F%2Fb', '/a%2F%2Fb'],
    ['DECODE_AND_MERGE_SLASHES', '/a%2F%2fb%5Cc', '/a/b/c'],
    ['DECODE_AND_MERGE_SLASHES', '/public/..%2Fadmin', '/admin'],
    ['DECODE_AND_MERGE_SLASHES', '*', '*'],
    ['DECODE_AND_MERGE_SLASHES', '/plain/path#part?x', '/plain/path'],
    ['DECODE_AND_MERGE_SLASHES', '/%zz', '/%zz'],
  ] as const)('%s: %s is %s', (how, path, normal) => {
    expect(urlPathOf(path, { path: how, pathParameters: 'keep' })).toBe(normal);
  });
});

test.each([
  ['/;x/admin', '/admin'],
  ['/;/admin;y', '/admin'],
  ['/a/;x/;y/b', '/a/b'],
  ['/a;x/b;y/', '/a/b/'],
])('without parameters %s is %s', (path, normal) => {
  expect(urlPathOf(path, { path: 'DECODE_AND_MERGE_SLASHES', pathParameters: 'strip' })).toBe(normal);
});

test.each([
  ['/a%20b', true],
  ['/caf%c3%a9', true],
  ['/a?x=%', true],
  ['/a%', false],
  ['/a%zz', false],
  ['/%%36%31dmin', false],
  ['/a%u002fb', false],
  ['/a%c0%afb', false],
  ['/a%ed%a0%80', false],
  ['/a%ff', false],
  ['/a\ufffdb', false],
])('whether %s is plain: %s', (path, isPlain) => {
  expect(isPlainPath(path)).toBe(isPlain);
});

describe('request.query', () => {
  test.each([
    ['/a', {}],
    ['/a?', {}],
    ['/a?x=1&y=%20b+c', { x: '1', y: ' b c' }],
    ['/a?x=1&x=2', { x: '1' }],
    ['/a?x', { x: '' }],
    ['/a?x=%zz#y=1', { x: '%zz' }],
    ['/a??x=1&x=2', { '?x': '1', x: '2' }],
    ['/a?&x=1', { x: '1' }],
  ])('%s', (path, query) => {
    expect(Object.fromEntries(queryOf(path))).toEqual(query);
  });
});

test('a query is parsed as new URL() does', () => {
  const query = fc
    .array(
      fc.constantFrom('?', '&', '=', 'a', 'b', '1', '+', '%', '%20', '%3F', '%26', ';', '/', '.', 'ä', '\u{1f702}'),
      { maxLength: 12 },
    )
    .map((parts) => parts.join(''));
  fc.assert(
    fc.property(query, (text) => {
      const wanted = new Map<string, string>();
      for (const [name, value] of new URL(`http://h/a?${text}`).searchParams)
        if (!wanted.has(name)) wanted.set(name, value);
      expect([...queryOf(`/a?${text}`)]).toEqual([...wanted]);
      for (const name of ['', 'a', 'b', 'a=', 'b&a', '?a', ...wanted.keys()]) {
        const value = wanted.get(name);
        expect([name, queryOf(`/a?${text}`).get(name)]).toEqual([name, value]);
      }
    }),
    { numRuns: 2000 },
  );
});

test.each([
  ['/', true],
  ['/a/b.html/', true],
  ['/a?x=//;..', true],
  ['/a#//', true],
  ['/.well-known/a..b/...', true],
  ['/a%20b', true],
  ['/%C3%A4', true],
  ['*', true],
  ['//', false],
  ['/a//b', false],
  ['/a/./b', false],
  ['/a/..', false],
  ['/..', false],
  ['/a/.', false],
  ['/a;b', false],
  ['/a%3Bb', false],
  ['/a\\b', false],
  ['/a%5cb', false],
  ['/a%2Fb', false],
  ['/%2e', false],
  ['/a%252f', false],
  ['/a%00', false],
  ['/a\u0001', false],
])('%j is read in one way: %j', (path, isPlain) => {
  expect(isPlainPath(path)).toBe(isPlain);
});

test.each([
  ['/admin;x=y', '/admin'],
  ['/a/..;/admin', '/admin'],
  ['/a;b=1;c/d;e?f;g', '/a/d'],
  ['/;', '/'],
  ['/a%3Bb', '/a%3Bb'],
])('without its parameters %s is %s', (path, normal) => {
  expect(urlPathOf(path, { path: 'DECODE_AND_MERGE_SLASHES', pathParameters: 'strip' })).toBe(normal);
  expect(urlPathOf('/a;b', { path: 'DECODE_AND_MERGE_SLASHES', pathParameters: 'keep' })).toBe('/a;b');
});
