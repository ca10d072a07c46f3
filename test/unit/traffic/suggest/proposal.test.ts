import { describe, expect, test } from 'vitest';
import { policyText } from '../../../../src/traffic/suggest/policy-text.ts';
import type { Proposal } from '../../../../src/traffic/suggest/proposal.ts';
import { proposed, type SentCall, times } from './calls.ts';

const templates = ({ rules }: Proposal): string[] =>
  rules.map(({ methods, host, template }) => `${methods.join(',')} ${host}${template}`);
const ofPaths = (paths: readonly string[]): string[] => templates(proposed(paths.map((path) => ({ path }))));

describe('templates of paths', () => {
  test.each([
    ['numbers', times(9, (at) => `/ratings/${at}`), ['GET shop/ratings/{int}']],
    ['a few numbers stay constants', ['/v/1', '/v/2', '/v/3'], ['GET shop/v/1', 'GET shop/v/2', 'GET shop/v/3']],
    ['one UUID', ['/orders/6fa459ea-ee8a-3ca4-894e-db77e160355e/items'], ['GET shop/orders/{uuid}/items']],
    ['digests', [`/blobs/${'0123456789abcdef'.repeat(4)}`], ['GET shop/blobs/{hex:64}']],
    ['dates', times(5, (at) => `/days/2026-11-0${at + 1}`), ['GET shop/days/{date}']],
    ['ULIDs', ['/runs/01ARZ3NDEKTSV4RRFFQ69G5FAV'], ['GET shop/runs/{ulid}']],
    ['tokens', ['/s/dGhpcyBpcyBhIHRva2VuNDI'], ['GET shop/s/{token:32}']],
    ['numbers within a name', times(5, (at) => `/files/order-${at}.json`), ['GET shop/files/order-{int}.json']],
    ['names stay names', ['/login', '/logout', '/cart'], ['GET shop/cart', 'GET shop/login', 'GET shop/logout']],
    ['a slash at the end is another path', ['/a', '/a/'], ['GET shop/a', 'GET shop/a/']],
    [
      'below an id the paths are joined',
      ['/u/1/a', '/u/2/b', '/u/3/c', '/u/4/a'],
      ['GET shop/u/{int}/a', 'GET shop/u/{int}/b', 'GET shop/u/{int}/c'],
    ],
  ])('%s', (_, paths, expected) => {
    expect(ofPaths(paths)).toEqual(expected);
  });

  test('many different names at one place are values of the characters that were observed', () => {
    const names = times(200, (at) => `user-${String.fromCharCode(97 + (at % 26), 97 + Math.floor(at / 26))}`);
    const { rules } = proposed(names.map((name) => ({ path: `/people/${name}/profile` })));
    expect(rules.map(({ template }) => template)).toEqual(['/people/{text}/profile']);
    expect(rules[0]?.match).toContain('^/people/[a-z-]{1,8}/profile$');
    expect(rules[0]?.warnings[0]).toContain('wide: {text} is any text like [a-z-]{1,8}');
  });

  test('a name that is asked for often keeps its own rule, and the values leave it out', () => {
    const names = times(100, (at) => String.fromCharCode(97 + (at % 26), 97 + Math.floor(at / 26), 122));
    const sent: SentCall[] = [
      ...names.map((name) => ({ path: `/people/${name}`, principal: 'reader' })),
      ...times(50, () => ({ path: '/people/admin', principal: 'root' })),
    ];
    const { rules } = proposed(sent);
    expect(rules.map(({ template, callers }) => [template, callers])).toEqual([
      ['/people/admin', ['root']],
      ['/people/{text}', ['reader']],
    ]);
    expect(rules[1]?.match).toContain('!request.url_path.matches("^/people/(?:admin)(?:/|$)")');
  });

  test('services at the first segment are not merged', () => {
    expect(
      ofPaths(times(100, (at) => `/${String.fromCharCode(97 + (at % 26), 97 + Math.floor(at / 26))}/x`)),
    ).toHaveLength(100);
  });
});

describe('callers', () => {
  const sent: SentCall[] = [
    ...times(20, () => ({ path: '/a', principal: 'cluster.local/ns/web/sa/front' })),
    ...times(20, () => ({ path: '/a', method: 'POST', principal: 'cluster.local/ns/web/sa/front' })),
    ...times(20, () => ({ path: '/a', method: 'DELETE', principal: 'cluster.local/ns/ops/sa/admin' })),
  ];

  test('methods with the same callers share a rule, others do not', () => {
    expect(templates(proposed(sent))).toEqual(['DELETE shop/a', 'GET,POST shop/a']);
  });

  test('namespaces are those of SPIFFE principals', () => {
    const { rules } = proposed(sent, { groupBy: 'namespace' });
    expect(rules.map(({ callers }) => callers)).toEqual([['ops'], ['web']]);
    expect(rules[0]?.match).toContain('source.?spiffe.?namespace.orValue("") == "ops"');
  });

  test('addresses are those of trusted proxies where hops are trusted', () => {
    const { rules } = proposed([{ ip: '10.0.0.9' }, { ip: '10.0.0.9' }], { groupBy: 'address' });
    expect(rules[0]?.callers).toEqual(['10.0.0.9']);
  });

  test('without any identity no rule looks at the caller, and limits count addresses', () => {
    const proposal = proposed(times(20, (at) => ({ path: '/a', ip: `10.0.0.${at % 4}` })));
    expect(proposal.rules[0]?.match).toBe(
      'request.host == "shop" && request.method == "GET" && request.url_path == "/a"',
    );
    expect(proposal.limits[0]).toMatchObject({ key: 'string(origin.ip)', clients: 4, max: 5, limit: 10 });
    expect(policyText(proposal)).toContain('# No call has a principal, so no rule looks at who calls');
  });

  test('a rule for more than 64 callers names none of them, with a warning', () => {
    const { rules } = proposed(times(65, (at) => ({ path: '/a', principal: `p${at}` })));
    expect(rules[0]?.callers).toBeUndefined();
    expect(rules[0]?.match).toContain('source.?principal.orValue("") != ""');
    expect(rules[0]?.warnings).toEqual(['wide: more than 64 callers; any caller with a principal is allowed']);
    const mixed = proposed([...times(65, (at) => ({ path: '/a', principal: `p${at}` })), { path: '/a' }]);
    expect(mixed.rules[0]?.match).not.toContain('principal');
    expect(mixed.rules[0]?.warnings).toEqual(['wide: more than 64 callers; any caller is allowed']);
  });

  test('a caller without an identity beside others is named', () => {
    const { rules } = proposed([...sent, ...times(10, () => ({ path: '/a' }))]);
    expect(rules.find(({ methods }) => methods.includes('GET'))?.warnings).toEqual([
      'callers without a principal are allowed',
    ]);
  });
});

describe('what is left out', () => {
  const reasons = (sent: readonly SentCall[], minCalls = 1): [string, number][] =>
    proposed([...times(5, () => ({ path: '/a' })), ...sent], { minCalls }).leftOut.map(({ why, calls }) => [
      why,
      calls,
    ]);

  test.each<[string, SentCall, string]>([
    ['a path with dots', { path: '/a/../b' }, 'the path is not plain: empty segments, dots, escapes'],
    ['an escaped dot', { path: '/a/%2e%2e/b' }, 'the path is not plain: empty segments, dots, escapes'],
    ['a path of scanners', { path: '/.env' }, 'a path that scanners ask for'],
    ['another path of scanners', { path: '/wp-login.php' }, 'a path that scanners ask for'],
    ['an injection in the query', { path: '/a?q=1%20UNION%20SELECT%201' }, 'the path or query looks like an injection'],
    ['a scanner', { path: '/a', useragent: 'sqlmap/1.8' }, 'the user agent is a scanner'],
    ['a call that was refused', { path: '/b', outcome: 'deny' }, 'refused by the policy in force'],
    ['a path that is not there', { path: '/b', code: 404 }, 'answered with 404'],
    ['an unusual method', { method: 'TRACE' }, 'the method is unusual'],
    ['a call without a host', { host: '' }, 'no method, host or path'],
    ['a host that is none', { host: 'a b' }, 'no method, host or path'],
    ['a connection', { call: 'tcp' }, 'not a call over HTTP'],
    ['a masked caller', { principal: '(masked)' }, 'the host, path or caller is hidden in the record'],
    ['a token in a path', { path: '/links/(secret)' }, 'the host, path or caller is hidden in the record'],
    ['a long caller', { principal: 'p'.repeat(600) }, 'the caller is longer than 512 characters'],
    ['a deep path', { path: '/a'.repeat(40) }, 'longer than 2048 characters or 32 segments'],
  ])('%s', (_, sent, why) => {
    expect(reasons([sent])).toEqual([[why, 1]]);
  });

  test('calls that are fewer than asked for are listed with their place', () => {
    const proposal = proposed([...times(5, () => ({ path: '/a' })), { path: '/b' }], { minCalls: 3 });
    expect(proposal.leftOut).toEqual([{ why: 'fewer than 3 calls', calls: 1, examples: ['GET shop/b'] }]);
    expect(proposal.covered).toBe(5);
    expect(policyText(proposal)).toContain('#   1 call: fewer than 3 calls\n#     GET shop/b\n');
  });
});

describe('limits', () => {
  test('a limit is the percentile of calls of a client in a window, times the headroom, in shadow mode', () => {
    const sent = times(2000, (at) => ({ path: '/a', principal: `p${at % 10}`, atMs: Math.floor(at / 10) * 60_000 }));
    const burst = times(30, () => ({ path: '/a', principal: 'p3', atMs: 0 }));
    const proposal = proposed([...sent, ...burst], { headroom: 3 });
    expect(proposal.limits).toEqual([
      {
        name: 'shop-limit',
        host: 'shop',
        key: 'source.?principal.orValue("")',
        limit: 3,
        windows: 2000,
        clients: 10,
        p999: 1,
        max: 31,
        warnings: ['the observed maximum is over the limit'],
      },
    ]);
    expect(policyText(proposal)).toMatch(
      /quota: \{ handler: limits, limit: 3, per: 1m, key: \[.*\] \}\n {4}mode: shadow/,
    );
  });

  test('few windows are marked', () => {
    const { limits } = proposed(times(20, () => ({ path: '/a', principal: 'p' })));
    expect(limits[0]?.warnings).toEqual(['thin: of 1 counters the 99.9th percentile is the maximum']);
  });
});

test('a rule from few calls says so', () => {
  const { rules } = proposed([
    { path: '/a', principal: 'p' },
    { path: '/a', principal: 'p' },
  ]);
  expect(rules[0]?.warnings).toEqual(['thin: only 2 calls']);
});

test('texts from clients cannot leave their comment or their string', () => {
  const text = policyText(
    proposed(times(9, () => ({ path: '/a\u2028b\'"#{x}', principal: 'p"\n  - name: evil\u001b[2J\u{1f600}' }))),
  );
  expect(text.split('\n').every((line) => /^[\x20-\x7e]*$/.test(line))).toBe(true);
  expect(text.match(/^ {2}- name: /gm)).toHaveLength(4);
});
