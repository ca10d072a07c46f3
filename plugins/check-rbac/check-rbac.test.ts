import { describe, expect, test } from 'vitest';
import type { CheckAnswer } from 'sluice/plugin';
import { openForTest, testAdapter, testCall } from 'sluice/plugin/testing';
import adapter from './adapter.ts';

const shop = {
  roles: {
    viewer: [{ methods: ['GET', 'HEAD'], paths: ['/ratings/*', '/health'] }, { paths: ['*.css'] }],
    editor: [{ methods: ['PUT'], paths: ['/ratings/*'], constraints: { version: ['v1', 'v2*'] } }],
    root: [{}],
    partner: [{ services: ['shop.*'], hosts: ['*.example.com'] }],
  },
  bindings: [
    { role: 'viewer', subjects: [{ user: 'cluster.local/ns/shop/*' }, { group: 'readers' }] },
    { role: 'editor', subjects: [{ user: 'ann', properties: { namespace: 'shop' } }] },
    { role: 'viewer', subjects: [{ user: 'ann' }] },
    { role: 'root', subjects: [{ user: 'root', group: 'wheel' }] },
    { role: 'partner', subjects: [{ user: '*@partner.org' }] },
  ],
};

testAdapter(adapter, {
  runner: { describe, test },
  config: shop,
  badConfigs: [
    {
      config: { ...shop, bindings: [{ role: 'viewr', subjects: [{ user: '*' }] }] },
      says: /bindings\.0\.role: no role is named "viewr"; roles: viewer/,
    },
    {
      config: { ...shop, bindings: [{ role: 'viewer', subjects: [{}] }] },
      says: /expected a user, a group or properties/,
    },
    { config: { ...shop, roles: { ...shop.roles, viewer: [{ methods: [] }] } }, says: /roles\.viewer\.0\.methods/ },
    {
      config: { ...shop, roles: { ...shop.roles, viewer: [{ paths: ['/a*b'] }] } },
      says: /a \* may be the whole pattern, its first or its last character/,
    },
    { config: { ...shop, roles: { ...shop.roles, viewer: [{ paths: ['*a*'] }] } }, says: /may be the whole pattern/ },
  ],
  check: {
    allowed: [
      { user: 'cluster.local/ns/shop/sa/x', method: 'GET', path: '/ratings/1' },
      {
        user: 'ann',
        properties: { namespace: 'shop' },
        method: 'PUT',
        path: '/ratings/1',
        actionProperties: { version: 'v2.1' },
      },
    ],
    denied: [
      { user: 'mallory', method: 'GET', path: '/ratings/1' },
      { method: 'GET', path: '/ratings/1' },
      { user: 'ann', method: 'DELETE', path: '/ratings/1' },
    ],
  },
});

async function asking(config: unknown = shop) {
  const { handler } = await openForTest(adapter, { config });
  const check = handler.check?.({ rule: 'r', params: undefined });
  return (input: Record<string, unknown>): CheckAnswer => check?.(input, testCall()) as CheckAnswer;
}

describe('check-rbac', () => {
  test('answers at once and outputs the role', async () => {
    const ask = await asking();
    expect(ask({ user: 'ann', method: 'HEAD', path: '/health' })).toMatchObject({
      kind: 'allow',
      output: { role: 'viewer' },
    });
  });

  test('hosts match without case and trailing dot, at any port unless the pattern has one', async () => {
    const ask = await asking({
      roles: {
        shop: [
          { hosts: ['*.Example.com', 'admin.test', 'api.test:8443', 'www.*', '[2001:DB8::1]', '[::1]:80', '127.1'] },
        ],
      },
      bindings: [{ role: 'shop', subjects: [{ user: '*' }] }],
    });
    const passes = (host: string): boolean => ask({ user: 'ann', host }).kind === 'allow';
    expect(
      [
        'SHOP.EXAMPLE.COM',
        'shop.example.com:443',
        'shop.example.com.',
        'a.b.example.com',
        'Admin.test:80',
        'API.test:8443',
        'api.test.:8443',
        'WWW.anything:1',
        '[2001:db8::1]:80',
        '[2001:db8:0:0::1]',
        '[0:0:0:0:0:0:0:1]:80',
      ].filter((host) => !passes(host)),
    ).toEqual([]);
    expect(
      [
        'example.com',
        'notexample.com',
        'shop.example.com.evil',
        'api.test',
        'api.test:80',
        'admin.test.evil',
        'xwww.a',
        '',
        '[::1]:81',
        '[::1]x:80',
        'user@admin.test',
        'admin.test:1:2',
        '127.0.0.1',
        '127.1',
      ].filter(passes),
    ).toEqual([]);
  });

  test('a denial names the mismatch of the nearest role', async () => {
    const ask = await asking();
    const reason = (input: Record<string, unknown>) => (ask(input) as { reason?: string }).reason;
    expect(reason({ user: 'mallory', method: 'GET', path: '/health' })).toBe('no role is bound to "mallory"');
    expect(reason({ method: 'GET', path: '/health' })).toBe('no role is bound to a caller without a user');
    expect(reason({ user: 'ann', method: 'DELETE', path: '/ratings/1' })).toBe(
      '"ann" has viewer; nearest, viewer: method "DELETE", allowed: GET, HEAD',
    );
    expect(reason({ user: 'ann', method: 'GET', path: '/x' })).toBe(
      '"ann" has viewer; nearest, viewer: path "/x", allowed: /ratings/*, /health',
    );
    expect(reason({ user: 'ann', properties: { namespace: 'shop' }, method: 'PUT', path: '/ratings/1' })).toBe(
      '"ann" has editor, viewer; nearest, editor: version is absent, allowed: v1, v2*',
    );
    expect(reason({ user: 'joe@partner.org', service: 'shop.ratings', path: '/' })).toBe(
      '"joe@partner.org" has partner; nearest, partner: host is absent, allowed: *.example.com',
    );
  });

  test('everything in a subject must match', async () => {
    const ask = await asking();
    const kind = (input: Record<string, unknown>) => ask({ method: 'DELETE', path: '/', ...input }).kind;
    expect(kind({ user: 'root', groups: ['users', 'wheel'] })).toBe('allow');
    expect(kind({ user: 'root', groups: ['users'] })).toBe('deny');
    expect(kind({ user: 'root' })).toBe('deny');
    expect(kind({ user: 'ann', groups: ['wheel'] })).toBe('deny');
  });

  test('subjects of a group, of a property, and with a suffix', async () => {
    const ask = await asking({
      roles: { any: [{}] },
      bindings: [
        { role: 'any', subjects: [{ group: 'readers' }, { properties: { ns: 'shop*' } }, { user: '*@partner.org' }] },
      ],
    });
    const kind = (input: Record<string, unknown>) => ask(input).kind;
    expect([
      kind({ groups: ['readers'] }),
      kind({ properties: { ns: 'shop-2' } }),
      kind({ user: 'joe@partner.org' }),
    ]).toEqual(['allow', 'allow', 'allow']);
    expect([
      kind({ groups: ['writers'] }),
      kind({ properties: { ns: 'mall' } }),
      kind({ user: 'joe@partner.org.evil' }),
      kind({}),
    ]).toEqual(['deny', 'deny', 'deny', 'deny']);
  });

  test('* is every caller, even without a user; a prefix needs a user', async () => {
    const everybody = await asking({ roles: { any: [{}] }, bindings: [{ role: 'any', subjects: [{ user: '*' }] }] });
    expect([everybody({}).kind, everybody({ user: 'x' }).kind]).toEqual(['allow', 'allow']);
    const anyGroup = await asking({ roles: { any: [{}] }, bindings: [{ role: 'any', subjects: [{ group: '*' }] }] });
    expect([anyGroup({}).kind, anyGroup({ groups: [] }).kind, anyGroup({ groups: ['g'] }).kind]).toEqual([
      'deny',
      'deny',
      'allow',
    ]);
  });

  test('an attribute that a rule restricts must be present', async () => {
    const ask = await asking({
      roles: { any: [{ methods: ['*'] }] },
      bindings: [{ role: 'any', subjects: [{ user: '*' }] }],
    });
    expect([ask({}).kind, ask({ method: 'GET' }).kind]).toEqual(['deny', 'allow']);
  });

  test('inherited names of objects are no properties', async () => {
    const ask = await asking({
      roles: { any: [{ constraints: { constructor: ['*'] } }] },
      bindings: [{ role: 'any', subjects: [{ user: '*' }] }],
    });
    expect(ask({ actionProperties: {} }).kind).toBe('deny');
    const other = await asking({
      roles: { any: [{}] },
      bindings: [{ role: 'any', subjects: [{ properties: { toString: '*' } }] }],
    });
    expect(other({ properties: {} }).kind).toBe('deny');
  });

  test('without bindings nobody is allowed', async () => {
    const ask = await asking({ roles: { any: [{}] }, bindings: [] });
    expect(ask({ user: 'root' }).kind).toBe('deny');
  });
});
