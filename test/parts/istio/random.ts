/** Random policies and requests from one small world, so that many of them meet. */
import type { Random } from '../random.ts';
import type { Condition, Operation, PolicyDocument, PolicyRule, Source } from './policy.ts';

/** SANs of the clients' certificates by name; `none` sends no certificate. */
export const CERTIFICATES = {
  none: undefined,
  sleep: 'URI:spiffe://cluster.local/ns/default/sa/sleep',
  orders: 'URI:spiffe://cluster.local/ns/shop/sa/orders',
  orders2: 'URI:spiffe://old.example/ns/shop-two/sa/orders',
  odd: 'URI:spiffe://cluster.local/region/eu/ns/shop/x/sa/orders/y',
  workload: 'URI:spiffe://cluster.local/workload',
  dns: 'DNS:orders.shop.example',
  subject: 'email:someone@example.com',
  bot: 'URI:spiffe://cluster.local/ns/dev/sa/build.bot',
  bat: 'URI:spiffe://cluster.local/ns/dev/sa/build-bot',
  two: 'URI:https://example.com/first,URI:spiffe://cluster.local/ns/dev/sa/ci,DNS:ci.dev.example',
} as const;
export type Certificate = keyof typeof CERTIFICATES;

/** Static metadata of a filter before the checks. */
export const METADATA = { tier: 'gold', groups: ['admins', 'staff'], level: 3, empty: '' } as const;

/** Payloads of tokens; `undefined`: no token. */
export const TOKENS: readonly (Readonly<Record<string, unknown>> | undefined)[] = [
  undefined,
  {
    iss: 'https://issuer.example/a',
    sub: 'ann',
    aud: 'shop',
    azp: 'web',
    groups: ['staff', 'ops'],
    scope: 'read write',
  },
  {
    iss: 'https://issuer.example/a',
    sub: 'bob',
    aud: ['shop', 'bank'],
    scope: 'read',
    nested: { team: 'red', list: ['x', 'y'] },
  },
  { iss: 'testing@example.com', sub: 'ann', groups: 'staff', level: 3, admin: true },
  { iss: 'testing@example.com', sub: 'service/one', permission: 'a b', groups: [], nested: 'text' },
  { iss: 'testing@example.com', groups: ['staff', 7, null], scope: ['read', 'admin'] },
];

const POOL = {
  principals: [
    '*',
    'cluster.local/ns/default/sa/sleep',
    'cluster.local/ns/shop/*',
    'cluster.local/*',
    '*/sa/orders',
    '*/orders',
    'old.example/ns/shop-two/sa/orders',
    '*example',
    'orders.shop.example',
    'cluster.local/workload',
  ],
  requestPrincipals: [
    '*',
    'https://issuer.example/a/ann',
    'https://issuer.example/a/*',
    '*/ann',
    '*@example.com/ann',
    'testing@example.com/*',
    'testing*',
    '*nn',
    'testing@example.com/service/one',
    'https://issuer.example/*',
  ],
  namespaces: ['default', 'shop', 'shop*', '*', 'dev', 's*p', '*two'],
  serviceAccounts: ['default/sleep', 'shop/orders', 'orders', 'dev/ci', 'dev/build.bot', 'shop-two/orders'],
  trustDomains: ['cluster.local', 'old.example', '*.example', 'cluster*'],
  ipBlocks: ['127.0.0.1', '127.0.0.0/8', '127.0.0.3', '10.0.0.0/8', '127.0.0.2/31'],
  remoteIpBlocks: ['10.0.0.0/8', '203.0.113.7', '203.0.113.0/24', '2001:db8::/32', '127.0.0.0/8'],
  hosts: ['shop.example', 'SHOP.example', '*.example', 'shop*', '*', 'shop.example:8080', 'bank.example'],
  methods: ['GET', 'POST', 'P*', '*T', '*', 'DELETE', 'get', 'PURGE'],
  paths: [
    '/',
    '/admin',
    '/admin*',
    '*/info',
    '/a/{*}/c',
    '/a/{**}',
    '/a/{**}/',
    '/{**}/b',
    '/{*}',
    '*',
    '/a/b',
    '/A/b',
    '/a%2Fb',
    '/files/{*}/{**}',
    '/a//b',
  ],
} as const;

const HEADERS = ['x-user', 'X-Role', 'host', 'user-agent', ':path', ':method'];
const HEADER_VALUES = ['ann', 'a*', '*n', '*', 'ann,bob', 'admin', 'shop.example', '/admin', 'GET'];
const CLAIMS = [
  'iss',
  'sub',
  'groups',
  'scope',
  'permission',
  'level',
  'admin',
  'nested][team',
  'nested][list',
  'nested',
  'missing',
  'aud',
];
const CLAIM_VALUES = [
  'staff',
  'ops',
  'read',
  'a',
  'ann',
  '*',
  's*',
  '*x',
  'red',
  'x',
  '3',
  'true',
  'read write',
  'text',
  'shop',
];
const SNI = ['shop.example', '*.example', 'SHOP.example', '*', 'bank*'];

const fieldOf = <N extends string>(random: Random, name: N, pool: readonly string[]): Record<string, string[]> => {
  const values = (): string[] => [...new Set(random.list([1, 1, 2, 3], () => random.one(pool)))];
  const negated = `not${name.charAt(0).toUpperCase()}${name.slice(1)}`;
  return random.chance(4)
    ? { [negated]: values() }
    : random.chance(8)
      ? { [name]: values(), [negated]: values() }
      : { [name]: values() };
};

const fieldsOf = (random: Random, names: readonly (keyof typeof POOL)[], ports?: readonly string[]): object =>
  Object.assign(
    {},
    ...random.list([1, 1, 2], () => {
      if (ports !== undefined && random.chance(5)) return fieldOf(random, 'ports', [...ports, '80']);
      const name = random.one(names);
      return fieldOf(random, name, POOL[name]);
    }),
  ) as object;

function conditionOf(random: Random, ports: readonly string[]): Condition {
  const of = (key: string, pool: readonly string[]): Condition => {
    const found = fieldOf(random, 'values', pool);
    return { key, ...found };
  };
  switch (random.below(14)) {
    case 0:
      return of('source.ip', POOL.ipBlocks);
    case 1:
      return of('remote.ip', POOL.remoteIpBlocks);
    case 2:
      return of('source.namespace', POOL.namespaces);
    case 3:
      return of('source.principal', POOL.principals);
    case 4:
      return of('request.auth.principal', POOL.requestPrincipals);
    case 5:
      return of('request.auth.audiences', ['shop', 'bank', 'sh*', '*']);
    case 6:
      return of('request.auth.presenter', ['web', '*', 'w*']);
    case 7:
      return of('destination.ip', ['127.0.0.0/8', '10.0.0.0/8', '127.0.0.0/24']);
    case 8:
      return of('destination.port', ports);
    case 9:
      return of('connection.sni', SNI);
    case 10:
      return of(`experimental.envoy.filters.http.demo[${random.one(['tier', 'groups', 'level', 'empty', 'none'])}]`, [
        'gold',
        'g*',
        '[staff]',
        '[a*]',
        '*',
        '[*]',
        '3',
      ]);
    case 11:
    case 12:
      return of(`request.auth.claims[${random.one(CLAIMS)}]`, CLAIM_VALUES);
    default:
      return of(`request.headers[${random.one(HEADERS)}]`, HEADER_VALUES);
  }
}

const SOURCES = [
  'principals',
  'requestPrincipals',
  'namespaces',
  'serviceAccounts',
  'trustDomains',
  'ipBlocks',
  'remoteIpBlocks',
] as const;

function ruleOf(random: Random, ports: readonly string[]): PolicyRule {
  const from = random.list([0, 1, 1, 2], () => ({ source: fieldsOf(random, SOURCES) as Source }));
  const to = random.list([0, 1, 1, 2], () => ({
    operation: fieldsOf(random, ['hosts', 'methods', 'paths'], ports) as Operation,
  }));
  const when = random.list([0, 0, 1, 1, 2], () => conditionOf(random, ports));
  return {
    ...(from.length === 0 ? {} : { from }),
    ...(to.length === 0 ? {} : { to }),
    ...(when.length === 0 ? {} : { when }),
  };
}

/** The policies of one workload, which is alone in its namespace. */
export function randomPolicies(random: Random, namespace: string, ports: readonly string[]): PolicyDocument[] {
  return random.list([1, 1, 2, 3], (at) => ({
    apiVersion: 'security.istio.io/v1',
    kind: 'AuthorizationPolicy',
    metadata: { name: `p${at}`, namespace },
    spec: {
      action: random.chance(3) ? 'DENY' : 'ALLOW',
      ...(random.chance(30) ? {} : { rules: random.list([1, 1, 2, 3], () => ruleOf(random, ports)) }),
    },
  }));
}

export interface RandomRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string | string[]>>;
  readonly certificate: Certificate;
  readonly sni: string;
  readonly from: string;
  readonly token: number;
  /** Which of the ports. */
  readonly port: number;
}

export function randomRequest(random: Random): RandomRequest {
  const headers: Record<string, string | string[]> = {
    host: random.one(['shop.example', 'Shop.Example', 'bank.example', 'shop.example:8080', 'www.shop.example']),
  };
  if (!random.chance(3))
    headers['x-user'] = random.one<string | string[]>([
      'ann',
      'bob',
      '',
      ['ann', 'bob'],
      ['bob', 'ann'],
      'ann,bob',
      'admin',
      ['', 'ann'],
    ]);
  if (random.chance(2)) headers['x-role'] = random.one(['admin', 'a', 'n']);
  if (random.chance(2))
    headers['x-forwarded-for'] = random.one([
      '10.1.2.3',
      '203.0.113.7',
      '10.1.2.3, 203.0.113.9',
      '2001:db8::7',
      'unknown',
      '203.0.113.7, unknown',
    ]);
  return {
    method: random.one(['GET', 'GET', 'POST', 'PUT', 'DELETE', 'PURGE']),
    path: random.one([
      '/',
      '/admin',
      '/admin?x=/info',
      '/admin/x/info',
      '/a/b',
      '/a/b/c',
      '/a//c',
      '/A/b',
      '/a%2Fb',
      '/a%2fb',
      '/%61dmin',
      '/x/../admin',
      '/a/./b',
      '/files/x/y/z',
      '/files/x/',
      '/a/',
      '/a;b/c',
      '/a*b',
      '/a/b=c/c',
      '/info#x',
      '/a/%20/c',
      '/a/b@c:d/c',
    ]),
    headers,
    certificate: random.one(Object.keys(CERTIFICATES) as Certificate[]),
    sni: random.one(['shop.example', 'Shop.Example', 'bank.example', '']),
    from: random.one(['127.0.0.1', '127.0.0.3', '127.0.0.9']),
    token: random.below(TOKENS.length),
    port: random.below(2),
  };
}
