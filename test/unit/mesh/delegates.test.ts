/** Routes that a VirtualService leaves to others. */
import { describe, expect, test } from 'vitest';
import { checkReferences } from '../../../src/mesh/check-references.ts';
import type { Made } from '../../../src/mesh/envoy/made.ts';
import { ROUTES } from '../../../src/xds/index.ts';
import { Findings } from '../../../src/yaml/findings.ts';
import { readMesh } from '../../parts/mesh/read-mesh.ts';
import { named, resourcesFor, validate } from '../../parts/mesh/resources.ts';

const service = (name: string, namespace = 'default'): string => `
---
apiVersion: v1
kind: Service
metadata: { name: ${name}, namespace: ${namespace} }
spec: { clusterIP: 10.96.0.${name.length}, ports: [{ name: http, port: 80 }] }
`;
const rule = (name: string, spec: string, namespace = 'default'): string => `
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: ${name}, namespace: ${namespace} }
spec: ${spec}
`;
const SERVICES = service('shop') + service('cart', 'carts') + service('other');

interface Seen {
  readonly findings: readonly string[];
  /** Of the host shop. */
  readonly routes: readonly Made['json'][];
}

async function seen(...rules: readonly string[]): Promise<Seen> {
  const { mesh, findings } = await readMesh({ 'mesh.yaml': SERVICES + rules.join('') });
  const found = new Findings();
  checkReferences(mesh, found);
  const all = resourcesFor(mesh, 'sidecar~10.0.0.1~web-1.default~default.svc.cluster.local', {});
  expect(await validate(all)).toContain('OK');
  const { virtual_hosts: hosts } = named(all, ROUTES, '80') as unknown as {
    virtual_hosts: { name: string; routes: Made['json'][] }[];
  };
  return {
    findings: [...findings, ...found.sorted([]).map(({ message }) => message)],
    routes: hosts.find(({ name }) => name.startsWith('shop'))?.routes ?? [],
  };
}

const SHOP = `{ hosts: [shop], http: [
  { name: cart, match: [{ uri: { prefix: /cart } }], timeout: 3s, headers: { request: { set: { x-root: "1" } } }, delegate: { name: cart, namespace: carts } },
  { route: [{ destination: { host: shop } }] } ] }`;

describe('a delegate', () => {
  test('narrows what the rule matches, and says what it leaves open, by the names of its own namespace', async () => {
    const { findings, routes } = await seen(
      rule('shop', SHOP),
      rule(
        'cart',
        `{ http: [
          { name: pay, match: [{ uri: { exact: /cart/pay }, method: { exact: POST } }], timeout: 9s, route: [{ destination: { host: cart } }] },
          { match: [{ headers: { user: { exact: jason } } }], route: [{ destination: { host: other.default.svc.cluster.local } }] },
          { route: [{ destination: { host: cart } }] } ] }`,
        'carts',
      ),
    );
    expect(findings).toEqual([]);
    expect(routes).toMatchObject([
      {
        name: 'cart-pay',
        match: { path: '/cart/pay', headers: [{ name: ':method' }] },
        route: { cluster: 'outbound|80||cart.carts.svc.cluster.local', timeout: '9s' },
        request_headers_to_add: [{ header: { key: 'x-root' } }],
      },
      {
        match: { prefix: '/cart', headers: [{ name: 'user' }] },
        route: { cluster: 'outbound|80||other.default.svc.cluster.local', timeout: '3s' },
      },
      { match: { prefix: '/cart' }, route: { cluster: 'outbound|80||cart.carts.svc.cluster.local' } },
      { match: { prefix: '/' }, route: { cluster: 'outbound|80||shop.default.svc.cluster.local' } },
    ]);
    expect(JSON.stringify(routes[0])).toContain('/namespaces/carts/virtual-service/cart');
  });

  test.each([
    ['uri: { exact: /basket }', 'another path'],
    ['uri: { prefix: / }', 'a wider path'],
    ['uri: { regex: "/cart/.*" }', 'an expression, which is not compared'],
    ['uri: { prefix: /cart }, ignoreUriCase: true', 'the other case'],
  ])('whose match is { %s } (%s) has no route there', async (match) => {
    const { findings, routes } = await seen(
      rule('shop', SHOP),
      rule('cart', `{ http: [{ match: [{ ${match} }], route: [{ destination: { host: cart } }] }] }`, 'carts'),
    );
    expect(findings).toEqual([
      'it matches calls that http[0] of default/shop does not leave to it; the route is left out there',
    ]);
    expect(routes).toHaveLength(1);
  });

  test.each([
    ['that nobody declares', ''],
    [
      'that is not exported',
      rule('cart', '{ exportTo: ["."], http: [{ route: [{ destination: { host: cart } }] }] }', 'carts'),
    ],
    [
      'that has hosts',
      rule('cart', '{ hosts: [cart], http: [{ route: [{ destination: { host: cart } }] }] }', 'carts'),
    ],
  ])('%s has no routes, and a warning says so', async (_, delegate) => {
    const { findings, routes } = await seen(rule('shop', SHOP), delegate);
    expect(findings[0]).toBe(
      'no VirtualService without hosts is named carts/cart and exported to this namespace; the route is left out',
    );
    expect(routes).toHaveLength(1);
  });

  test('that nobody names is a warning', async () => {
    const { findings } = await seen(rule('cart', '{ http: [{ route: [{ destination: { host: shop } }] }] }'));
    expect(findings).toEqual(['it has no hosts, and no VirtualService delegates to it']);
  });

  test.each([
    ['{ http: [{ delegate: { name: b } }] }', 'a delegate does not delegate'],
    ['{ tcp: [{ route: [{ destination: { host: shop } }] }] }', 'expected hosts; a delegate'],
    [
      '{ hosts: [shop], http: [{ delegate: { name: b }, route: [{ destination: { host: shop } }] }] }',
      'expected exactly one of',
    ],
  ])('%s is refused', async (spec, why) => {
    const { findings } = await readMesh({ 'mesh.yaml': rule('a', spec) });
    expect(findings.join()).toContain(why);
  });
});
