import { describe, expect, test } from 'vitest';
import { queryOf, urlPathOf } from '../../../src/attributes/url.ts';

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
    expect(urlPathOf(path, how)).toBe(normal);
  });
});

describe('request.query', () => {
  test.each([
    ['/a', {}], ['/a?', {}], ['/a?x=1&y=%20b+c', { x: '1', y: ' b c' }], ['/a?x=1&x=2', { x: '1' }], ['/a?x', { x: '' }], ['/a?x=%zz#y=1', { x: '%zz' }],
  ])('%s', (path, query) => {
    expect(Object.fromEntries(queryOf(path))).toEqual(query);
  });
});
