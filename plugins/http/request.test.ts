import { posix } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Rejected } from 'sluice/plugin';
import { z } from 'zod';
import { inputsOf, requestMaker, requestShape } from './request.ts';

const schema = z.strictObject(requestShape);
const problems = (params: unknown): string =>
  (schema.safeParse(params).error?.issues ?? []).map(({ path, message }) => `${path.join('.')}: ${message}`).join('\n');

function make(params: unknown, url = 'http://authz:8181/v1/data', headers: Record<string, string> = {}) {
  return requestMaker({ url, headers }, schema.parse(params));
}

describe('a request', () => {
  test('is made of params and inputs, below the path of the url', () => {
    const request = make(
      {
        method: 'POST',
        path: 'users/{user}/roles',
        query: { tenant: '{tenant}', page: '1' },
        headers: { 'x-user': 'u:{user}' },
      },
      'https://authz/api/?v=2',
      { Authorization: 'Bearer t' },
    )({ user: 'ann b/c?#%', tenant: 'a&b=ü', body: { input: { n: 1 } } });
    expect(request).toEqual({
      method: 'POST',
      path: '/api/users/ann%20b%2Fc%3F%23%25/roles?v=2&tenant=a%26b%3D%C3%BC&page=1',
      headers: 'accept|application/json|content-type|application/json|authorization|Bearer t|x-user|u:ann b/c?#%'.split(
        '|',
      ),
      body: '{"input":{"n":1}}',
    });
  });

  test('without params asks for the url itself', () => {
    expect(make({}, 'http://authz')({})).toEqual({ method: 'GET', path: '/', headers: ['accept', 'application/json'] });
    expect(make({}, 'http://authz/v1/')({}).path).toBe('/v1/');
  });

  test('names its inputs, each required unless it may be absent wherever it is used', () => {
    const shape = (params: unknown): unknown => inputsOf(schema.parse(params));
    expect(shape({ path: '{a}', query: { b: '{b?}', c: '{c?}' }, headers: { 'x-c': '{c}' } })).toEqual({
      a: 'string',
      b: 'string?',
      c: 'string',
    });
    expect(shape({ method: 'POST' })).toEqual({ body: 'any' });
    expect(shape({})).toEqual({});
  });

  test('leaves out a parameter or a header whose input is absent', () => {
    const request = make({ query: { a: '{a?}', b: 'x{b?}' }, headers: { 'x-a': '{a?}' } });
    expect(request({}).path).toBe('/v1/data');
    expect(request({}).headers).toEqual(['accept', 'application/json']);
    expect(request({ a: '', b: '1' }).path).toBe('/v1/data?a=&b=x1');
  });

  test('has the header of the params in place of that of the config', () => {
    const request = make({ headers: { 'X-Key': '{key}', Accept: 'text/plain' } }, 'http://a', {
      'x-key': 'of the config',
    });
    expect(request({ key: 'own' }).headers).toEqual(['X-Key', 'own', 'Accept', 'text/plain']);
  });

  test('sends text beyond ASCII in headers as UTF-8', () => {
    const [, , , value = ''] = make({ headers: { 'x-user': '{user}' } })({ user: 'Jürgen' }).headers;
    expect(Buffer.from(value, 'latin1').toString('utf8')).toBe('Jürgen');
  });

  test('keeps slashes and escapes where the params say so, and encodes the rest', () => {
    const request = make({ path: 'check/{+path}' });
    expect(request({ path: '/a/b%20c/d?e#f\\g%zz ü' }).path).toBe('/v1/data/check/a/b%20c/d%3Fe%23f%5Cg%25zz%20%C3%BC');
  });

  test.each(['..', '.', '../x', 'x/..', 'x/../y', '%2e%2e', 'x/%2E./y', '..%2fx', '..\\x', 'x\\..', ''])(
    'fails where the part "%s" would change what the path asks for',
    (value) => {
      for (const path of ['users/{part}', 'users/{+part}', '{part}/roles'])
        expect(() => make({ path })({ part: value }), path).toThrow(Rejected);
    },
  );

  test('fails where a segment of dots is made of several parts', () => {
    expect(() => make({ path: 'a/{x}{y}/b' })({ x: '.', y: '.' })).toThrow(Rejected);
    expect(() => make({ path: 'a/.{+x}' })({ x: './b' })).toThrow(Rejected);
  });

  test('encodes letters that are those of ASCII if case is ignored', () => {
    expect(make({ path: 'a/{+x}' })({ x: '\u017f\u212a' }).path).toMatch(/\/a\/%C5%BF%E2%84%AA$/);
  });

  test('never leaves host and path of the url, whatever the inputs are', () => {
    const request = make({ path: '{a}/x{+b}/{+a}', query: { q: '{a}' } }, 'http://authz:8181/base/path/');
    const wild = fc.string({
      unit: fc.constantFrom('.', '/', '\\', '%', '2', 'e', 'f', '5', 'c', '?', '#', '@', ':', 'x', '\n', '\ud800'),
    });
    fc.assert(
      fc.property(fc.oneof(wild, fc.string({ unit: 'binary' })), wild, (a, b) => {
        let path: string;
        try {
          ({ path } = request({ a, b }));
        } catch (error) {
          expect(error).toBeInstanceOf(Rejected);
          return;
        }
        expect(path).toMatch(/^[!-~]+$/);
        const url = new URL(`http://authz:8181${path}`);
        expect([url.host, url.pathname.startsWith('/base/path/')]).toEqual(['authz:8181', true]);
        expect(url.pathname, 'a URL parser finds nothing to normalise').toBe(path.split('?')[0]);
        // A service may decode the path before it normalises it.
        const decoded = Buffer.from(unescape(path.split('?')[0] ?? ''), 'latin1')
          .toString()
          .replaceAll('\\', '/');
        expect(posix.normalize(decoded).startsWith('/base/path/')).toBe(true);
      }),
      { numRuns: 3000 },
    );
  });

  test('fails for a control character in a header, and does not show the value', () => {
    const request = make({ headers: { authorization: 'Bearer {token}' } });
    for (const token of ['a\r\nx-admin: yes', 'a\nb', 'a\0b', 'a\x7fb', 'a\tb']) {
      expect(() => request({ token })).toThrow(Rejected);
      expect(() => request({ token })).toThrow(/^the header authorization has control characters$/);
    }
  });
});

describe('params', () => {
  test.each([
    [{ path: '../x' }, 'path: it has a segment . or .., which would leave the path of the url'],
    [{ path: 'a/%2e%2E/b' }, 'path: it has a segment . or .., which would leave the path of the url'],
    [
      { path: 'a?b=1' },
      'path: "a?b=1" is not a path: percent-encode other characters, and write parameters under query',
    ],
    [{ path: '{a?}' }, 'path: {a?}: a part of a path cannot be absent'],
    [{ path: 'a{b' }, 'path: a { belongs to no {name}; for a brace in the text, write a place and give it by an input'],
    [{ query: { a: '{+b}' } }, 'query.a: {+b} is for paths; write {b}'],
    [{ query: { a: '{body}' } }, 'query.a: {body}: the input body is sent as the body; name this one otherwise'],
    [{ headers: { Host: '{a}' } }, 'headers.Host: the host is that of the url; for TLS, tls.serverName names another'],
    [{ headers: { 'Content-Length': '1' } }, 'headers.Content-Length: content-length is written by the HTTP client'],
    [{ headers: { 'a b': '1' } }, 'headers.a b: "a b" is not a name of a header'],
    [{ method: 'DELETE' }, 'method: Invalid option: expected one of "GET"|"POST"|"PUT"'],
  ])('%j are refused', (params, says) => {
    expect(problems(params)).toBe(says);
  });
});
