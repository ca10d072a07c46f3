import { describe, expect, test } from 'vitest';
import { parseHttpRoutes } from '../../../src/cli/http-routes.ts';
import { DEFAULT_ROUTES } from '../../../src/frontends/index.ts';

describe('routes of the HTTP port', () => {
  test('are those of the proxies by default', () => {
    expect(parseHttpRoutes(undefined)).toBe(DEFAULT_ROUTES);
  });

  test('name a dialect, and headers that are trusted, in any case', () => {
    expect(
      parseHttpRoutes([
        '/e=envoy,source.principal=X-Peer,extensions=X-Ext-,received=X-Got',
        '/a=authzen,url=https://a/t',
      ]),
    ).toEqual([
      {
        prefix: '/e',
        dialect: 'envoy',
        trusted: { 'source.principal': 'x-peer' },
        extensions: 'x-ext-',
        received: 'x-got',
        url: undefined,
      },
      { prefix: '/a', dialect: 'authzen', trusted: {}, extensions: undefined, received: undefined, url: 'https://a/t' },
    ]);
  });

  test.each([
    [['/a'], 'expected PREFIX=DIALECT'],
    [['envoy=envoy'], 'expected PREFIX=DIALECT'],
    [['/a=apache'], 'dialects are envoy, forward, nginx, authzen'],
    [['/a=envoy,request.path=x-path'], 'no header can carry "request.path"'],
    [['/a=nginx,received=x-got'], 'no header can carry "received"'],
    [['/a=envoy,source.ip=x peer'], '"x peer" is not the name of a header'],
    [['/a=envoy,source.ip='], '"" is not the name of a header'],
    [['/a=authzen,url=http://a'], 'of authzen expected url=https://'],
    [['/a=authzen,source.ip=x-peer'], 'of authzen expected url=https://'],
    [['/a=envoy', '/a=nginx'], 'two routes have the prefix /a'],
    [['/=envoy', '/nginx=nginx'], 'the prefix /nginx begins with /, so a client could choose the route'],
    [['/a=envoy', '/ab=forward'], 'the prefix /ab begins with /a'],
    [['/.well=envoy', '/a=authzen'], 'the prefix /.well-known/authzen-configuration begins with /.well'],
  ])('%j is refused', (texts, why) => {
    expect(() => parseHttpRoutes(texts)).toThrow(why);
  });
});
