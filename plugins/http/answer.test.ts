import { describe, expect, test } from 'vitest';
import { Rejected, Unavailable } from 'sluice/plugin';
import { bodyOf, jsonOf, unexpected } from './answer.ts';
import { pointerOf, pointerSchema } from './pointer.ts';
import { validityOf } from './validity.ts';

const answer = (body: string | Buffer, headers: Record<string, string> = {}, status = 200) => ({
  status,
  headers,
  body: Buffer.from(body as string),
});

describe('the JSON of an answer', () => {
  test.each([
    ['', 'its answer is not JSON: it is empty'],
    ['<html>', /^its answer is not JSON: Unexpected token/],
    ['{"a":1', /^its answer is not JSON: /],
    [Buffer.from([0x22, 0xff, 0x22]), 'its answer is not UTF-8'],
    [`${'['.repeat(33)}${']'.repeat(33)}`, 'its answer is JSON deeper than 32 levels'],
    ['['.repeat(1_000_000) + ']'.repeat(1_000_000), 'its answer is JSON deeper than 32 levels'],
    ['['.repeat(1_000_000), 'its answer is JSON deeper than 32 levels'],
  ])('fails where there is none, or too deep', (body, says) => {
    expect(() => jsonOf(answer(body))).toThrow(Rejected);
    expect(() => jsonOf(answer(body))).toThrow(says);
  });

  test('may be 32 levels deep, and have a byte order mark', () => {
    expect(jsonOf(answer(`${'['.repeat(32)}${']'.repeat(32)}`))).toBeDefined();
    expect(jsonOf(answer('\ufeff{"a":1}'))).toEqual({ a: 1 });
    expect(jsonOf(answer(JSON.stringify({ a: '[{"\\'.repeat(50) })))).toEqual({ a: '[{"\\'.repeat(50) });
    expect(jsonOf(answer(`[${'[],{},'.repeat(50)}1]`))).toHaveLength(101);
  });

  test('fails where it is compressed', () => {
    expect(() => jsonOf(answer('x', { 'content-encoding': 'gzip' }))).toThrow(
      'its answer is compressed (gzip), which was not asked for',
    );
  });

  test('as an output is JSON, or text, or absent', () => {
    expect(bodyOf(answer('{"a":1}'))).toEqual({ a: 1 });
    expect(bodyOf(answer('not allowed', { 'content-type': 'text/plain' }))).toBe('not allowed');
    expect(bodyOf(answer('{"a"', { 'content-type': 'application/json' }))).toBeUndefined();
    expect(bodyOf(answer(''))).toBeUndefined();
    expect(bodyOf(answer(Buffer.from([0xff])))).toBeUndefined();
  });
});

describe('a pointer', () => {
  test('finds what is there, and nothing else', () => {
    const document = { result: { allow: true, 'a/b': 1, 'c~d': 2, '': 3 }, list: ['x', 'y'] };
    expect(
      ['', '/result/allow', '/result/a~1b', '/result/c~0d', '/result/', '/list/1'].map((text) =>
        pointerOf(text)(document),
      ),
    ).toEqual([document, true, 1, 2, 3, 'y']);
    for (const text of [
      '/result/deny',
      '/list/2',
      '/list/01',
      '/list/length',
      '/constructor',
      '/__proto__',
      '/result/allow/x',
    ])
      expect(pointerOf(text)(document), text).toBeUndefined();
    expect(pointerOf('/__proto__')(JSON.parse('{"__proto__": 5}'))).toBe(5);
  });

  test('that does not begin with a slash, or has a lone tilde, is refused', () => {
    expect(['result', 'a/b', '/a~b', '/~'].filter((text) => pointerSchema.safeParse(text).success)).toEqual([]);
  });
});

describe('the validity of an answer', () => {
  const NOW = Date.UTC(2026, 0, 1);
  const valid = (headers: Record<string, string>, config = {}, refuses = false): number | undefined =>
    validityOf({ status: 200, headers, body: Buffer.alloc(0) }, config, refuses, NOW).validForMs;

  test.each([
    [{}, undefined],
    [{ 'cache-control': 'no-store' }, undefined],
    [{ 'cache-control': 'max-age=60, no-store' }, undefined],
    [{ 'cache-control': 'max-age=0' }, 0],
    [{ 'cache-control': 'no-cache' }, 0],
    [{ 'cache-control': 'Max-Age=60' }, 60_000],
    [{ 'cache-control': 'private, max-age="60"' }, 60_000],
    [{ 'cache-control': 'private="a, max-age=5", max-age=60' }, 60_000],
    [{ 'cache-control': 'max-age=60, s-maxage=5' }, 5000],
    [{ 'cache-control': 'max-age=60', age: '20' }, 40_000],
    [{ 'cache-control': 'max-age=60', age: '90' }, 0],
    [{ 'cache-control': 'max-age=60', age: 'old' }, 60_000],
    [{ 'cache-control': 'max-age=soon' }, 0],
    [{ 'cache-control': 'max-age=-5' }, 0],
    [{ 'cache-control': 'max-age=5, max-age=60' }, 5000],
    [{ 'cache-control': 'public' }, undefined],
    [{ 'cache-control': 'max-age=99999999999999999999' }, 31_536_000_000],
    [{ 'retry-after': '30' }, undefined],
  ])('of %j is %s ms', (headers, ms) => {
    expect(valid(headers)).toBe(ms);
  });

  test('of a refusal is its retry-after, unless cache-control says otherwise', () => {
    expect(valid({ 'retry-after': '30' }, {}, true)).toBe(30_000);
    expect(valid({ 'retry-after': new Date(NOW + 5000).toUTCString() }, {}, true)).toBe(5000);
    expect(valid({ 'retry-after': new Date(NOW - 5000).toUTCString() }, {}, true)).toBe(0);
    expect(valid({ 'retry-after': 'later' }, {}, true)).toBeUndefined();
    expect(valid({ 'retry-after': '30', 'cache-control': 'max-age=5' }, {}, true)).toBe(5000);
    expect(valid({ 'retry-after': '30', 'cache-control': 'no-store' }, {}, true)).toBeUndefined();
  });

  test('may be bounded, or fixed', () => {
    expect(valid({ 'cache-control': 'max-age=60' }, { maxValidForMs: 5000 })).toBe(5000);
    expect(valid({}, { maxValidForMs: 5000 })).toBeUndefined();
    expect(valid({ 'cache-control': 'no-store' }, { validForMs: 100 })).toBe(100);
    expect(valid({ 'cache-control': 'max-age=60' }, { validForMs: 0 })).toBe(0);
  });
});

test('a status that is no answer fails, as unavailable if it may pass', () => {
  const of = (status: number, headers = {}) => unexpected(answer('', headers, status), '2xx, 403', 0);
  for (const status of [500, 502, 503, 504, 429, 408, 425]) expect(of(status)).toBeInstanceOf(Unavailable);
  for (const status of [301, 400, 404, 418]) expect(of(status)).toBeInstanceOf(Rejected);
  expect(of(503, { 'retry-after': '7' })).toMatchObject({ message: 'it answered 503', retryAfterMs: 7000 });
  expect(of(302, { location: 'http://elsewhere' }).message).toBe(
    'it answered 302; expected 2xx, 403 (redirects are not followed)',
  );
});
