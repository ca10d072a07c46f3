import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseCidr, parseIp } from '../../../src/attributes/network.ts';
import { parseDuration, parseTimestamp } from '../../../src/attributes/time-text.ts';
import type { Value } from '../../../src/attributes/values.ts';
import { VOCABULARY } from '../../../src/attributes/vocabulary.ts';
import { type Attribute, Attributes } from '../../../src/attributes/attributes.ts';
import { RequestBag } from '../../../src/attributes/bag.ts';
import { plainWire } from '../../../src/attributes/plain-wire.ts';
import { withoutCredentials } from '../../../src/attributes/credentials.ts';
import { withoutSecretParameters } from '../../../src/attributes/secrets.ts';
import { RedactedRequest } from '../../../src/attributes/redacted-request.ts';
import { jsonOfValue } from '../../../src/attributes/json-of-value.ts';
import { STRING } from '../../../src/attributes/types.ts';

const named = (name: string, evaluate: (bag: RequestBag) => Value | undefined): Attribute => ({
  name,
  type: STRING,
  meaning: 'For these tests.',
  source: { kind: 'is', evaluate, text: '', reads: [] },
  carriedBy: {},
  always: false,
  secret: false,
});
const slotIn = ({ attributes }: RequestBag, name: string): number => attributes.slotOf(name) ?? -1;

test('credentials are hidden in URLs, and paths of packages with a scope are none', () => {
  expect(withoutCredentials('redis://user:a/b@host:1/0 and https://u:p@host/a@b')).toBe(
    'redis://(secret)@host:1/0 and https://(secret)@host/a@b',
  );
  const path = 'file:///srv/node_modules/@acme/sluice-entitled/index.ts';
  expect(withoutCredentials(`Stripping types is unsupported for "${path}"`)).toContain(path);
});

test('all credentials are found, as by patterns that begin with the scheme', () => {
  const simply = (text: string): string =>
    text
      .replaceAll(/\b([a-z][a-z0-9+.-]*:\/\/)[^\s/?#"'<>]*@/gi, '$1(secret)@')
      .replaceAll(/\b((?!https?:|file:)[a-z][a-z0-9+.-]*:\/\/)[^\s"'<>@]*@/gi, '$1(secret)@');
  const unit = fc.constantFrom(
    'a',
    '1',
    '-',
    '+',
    ':',
    '/',
    '@',
    '#',
    ' ',
    '"',
    '\n',
    'https:',
    'file://',
    'git+http://',
    '://',
  );
  fc.assert(
    fc.property(fc.string({ unit, maxLength: 20 }), (text) => {
      expect(withoutCredentials(text)).toBe(simply(text));
    }),
    { numRuns: 10_000 },
  );
});

test.each(['a://', 'a-', 'a:', 'a@', 'a://@'])('of a text of a client, %s 16 000 times, in linear time', (part) => {
  const text = `${part.repeat(16_000)} ://`;
  const took = Array.from({ length: 3 }, () => {
    const before = process.cpuUsage();
    withoutCredentials(text);
    return process.cpuUsage(before).user / 1000;
  });
  expect(Math.min(...took)).toBeLessThan(200); // 0.9 s and more in quadratic time
});

test('every type of value has its written form', () => {
  const values: [Value | undefined, unknown][] = [
    [parseIp('::ffff:192.0.2.1'), '192.0.2.1'],
    [parseCidr('10.0.0.0/8'), '10.0.0.0/8'],
    [parseDuration('1500ms'), '1.5s'],
    [parseTimestamp('2026-01-02T03:04:05Z'), '2026-01-02T03:04:05Z'],
    [2n ** 60n, '1152921504606846976'],
    [
      ['a', 1, null],
      ['a', 1, null],
    ],
    [new Map<Value, Value>([['k', new Map<Value, Value>([[1, true]])]]), { k: { 1: true } }],
  ];
  for (const [value, shown] of values) expect(jsonOfValue(value ?? 'not parsed')).toEqual(shown);
});

const bagOf = (given: Record<string, unknown>, own: readonly Attribute[] = []): RequestBag => {
  const attributes = new Attributes([...VOCABULARY, ...own]);
  return new RequestBag(attributes, plainWire(attributes, given, {}, 'http'));
};

describe('redacted are', () => {
  test('secret attributes, headers and query parameters', () => {
    const shown = new RedactedRequest(
      bagOf({
        'request.path': '/a?page=1&api_key=abcd',
        'request.headers': {
          authorization: 'Bearer x',
          cookie: 'a=b',
          'x-user': 'ann',
          referer: 'https://h/?token=abc#code=d',
        },
      }),
    );
    expect(shown.named('request.api_key')).toBe('(secret)');
    expect(shown.named('request.header_values')).toEqual({
      authorization: '(secret)',
      cookie: '(secret)',
      'x-user': ['ann'],
      referer: ['https://h/?token=(secret)#code=(secret)'],
    });
    expect(shown.named('request.headers')).toEqual({
      authorization: '(secret)',
      cookie: '(secret)',
      'x-user': 'ann',
      referer: 'https://h/?token=(secret)#code=(secret)',
    });
    expect(shown.named('request.path')).toBe('/a?page=1&api_key=(secret)');
    expect(shown.named('request.query')).toEqual({ page: '1', api_key: '(secret)' });
    expect(shown.named('request.url_path')).toBe('/a');
    expect(shown.named('request.scheme')).toBeNull();
    expect(shown.named('no.such')).toBeNull();
  });

  test('named expressions that depend on a secret', () => {
    const bag = bagOf({ 'request.path': '/a?code=abcd', 'request.headers': { authorization: 'Bearer topsecret' } }, [
      named('my.token', (one) =>
        (one.get(slotIn(one, 'request.headers')) as ReadonlyMap<string, string>).get('authorization'),
      ),
      named('my.code', (one) => (one.get(slotIn(one, 'request.query')) as ReadonlyMap<string, string>).get('code')),
      named('my.plain', (one) => one.get(slotIn(one, 'request.url_path'))),
    ]);
    const shown = new RedactedRequest(bag);
    expect([shown.named('my.token'), shown.named('my.code'), shown.named('my.plain')]).toEqual([
      '(secret)',
      '(secret)',
      '/a',
    ]);
    expect(shown.text('Bearer topsecret and topsecret were refused for /a?code=abcd')).toBe(
      '(secret) and (secret) were refused for /a?code=(secret)',
    );
  });
});

const KEY = 'top/"secret"=of ann?';
test.each([
  ['as it is', KEY],
  ['in a URL', encodeURIComponent(KEY)],
  ['in JSON', JSON.stringify(KEY).slice(1, -1)],
  ['in base64', Buffer.from(KEY).toString('base64')],
  ['in base64 for URLs, without padding', Buffer.from(KEY).toString('base64url')],
])('a secret of a request is hidden in a text: %s', (_, form) => {
  const shown = new RedactedRequest(bagOf({ 'request.path': '/', 'request.headers': { 'x-api-key': KEY } }));
  expect(shown.text(`refused ${form}, twice: ${form}.`)).toBe('refused (secret), twice: (secret).');
  expect(shown.text(`cut: ${form.slice(0, 12)}`)).toBe('cut: (secret)');
  expect(shown.text(`cut: ${form.slice(0, 12)}...`)).toBe('cut: (secret)');
  expect(shown.text('the topic is not secret')).toBe('the topic is not secret');
  expect(shown.isIn(`{"path":"/${form === KEY ? JSON.stringify(KEY).slice(1, -1) : form}"}`)).toBe(true);
  expect(shown.isIn('{"path":"/topics"}')).toBe(false);
});

test.each([
  ['/a?b=1', '/a?b=1'],
  ['/a?API_Key=x&b=1', '/a?API_Key=(secret)&b=1'],
  ['/a?%6bey=x', '/a?%6bey=(secret)'],
  ['/a??token=x', '/a??token=(secret)'],
  ['/a?b=1;key=x;y', '/a?b=1;key=(secret)'],
  ['/a?code=x=y&code=z', '/a?code=(secret)&code=(secret)'],
  ['/a#access_token=x', '/a#access_token=(secret)'],
  ['/a?Api-Key=x&apiKey=y', '/a?Api-Key=(secret)&apiKey=(secret)'],
  ['/a?client_secret=x&id_token=y&page_token=z', '/a?client_secret=(secret)&id_token=(secret)&page_token=z'],
  ['/a?X-Amz-Signature=x&X-Amz-Date=y', '/a?X-Amz-Signature=(secret)&X-Amz-Date=y'],
  ['/a?password=x&sig=y&passwords=z', '/a?password=(secret)&sig=(secret)&passwords=z'],
  ['/key=x', '/key=x'],
  ['/a?monkey=x', '/a?monkey=x'],
  ['/a?%zz=1&key=', '/a?%zz=1&key=(secret)'],
])('of the path %s is shown %s', (path, shown) => {
  expect(withoutSecretParameters(path)).toBe(shown);
});
