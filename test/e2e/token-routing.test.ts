/** Routes by claims of tokens, in a real Envoy as a gateway. */
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { CLUSTER, LISTENER, ROUTES } from '../../src/xds/index.ts';
import { type EnvoyPart, startEnvoy } from '../parts/envoy.ts';
import { freePort } from '../parts/free-port.ts';
import { readMesh } from '../parts/mesh/read-mesh.ts';
import { resourcesFor } from '../parts/mesh/resources.ts';
import { object } from '../parts/mesh/web-sidecar.ts';

const [HERE, THERE, OTHER] = ['https://here.example', 'https://there.example', 'https://other.example'];
type JwtKey = Awaited<ReturnType<typeof generateKeyPair>>['privateKey'];

const servers: Server[] = [];
async function serve(answer: string, seen: string[] = []): Promise<number> {
  const server = createServer((request, response) => {
    seen.push(String(request.headers.authorization));
    response.end(answer);
  });
  servers.push(server.listen(0, '127.0.0.1'));
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

async function keys(): Promise<{ readonly key: JwtKey; readonly jwks: string }> {
  const { publicKey, privateKey } = await generateKeyPair('ES256', { extractable: true });
  return { key: privateKey, jwks: JSON.stringify({ keys: [{ ...(await exportJWK(publicKey)), alg: 'ES256' }] }) };
}

const app = (name: string, port: number): string =>
  object(
    'ServiceEntry',
    name,
    `{ hosts: [${name}.example.com], resolution: DNS, ports: [{ number: 80, name: http, protocol: HTTP }], endpoints: [{ address: 127.0.0.1, ports: { http: ${port} } }] }`,
  );
const route = (match: string, to: string): string =>
  `{ ${match === '' ? '' : `match: [{ ${match} }],`} route: [{ destination: { host: ${to}.example.com } }] }`;

let envoy: EnvoyPart;
let port: number;
let here: Awaited<ReturnType<typeof keys>>;
let there: Awaited<ReturnType<typeof keys>>;
/** Headers of authorization that applications got. */
const seen: string[] = [];

beforeAll(async () => {
  [here, there] = [await keys(), await keys()];
  const keyPort = await serve(there.jwks);
  const apps = ['plain', 'admins', 'nested', 'scoped', 'owners'];
  const entries = await Promise.all(apps.map(async (name) => app(name, await serve(name, seen))));
  port = await freePort();
  const { mesh, findings } = await readMesh({
    'mesh.yaml': `${entries.join('')}${object(
      'Gateway',
      'shop',
      `{ selector: { istio: gate }, servers: [{ port: { number: ${port}, name: http, protocol: HTTP }, bind: 127.0.0.1, hosts: ["*"] }] }`,
    )}${object(
      'VirtualService',
      'shop',
      `{ hosts: ["*"], gateways: [shop], http: [${[
        route('headers: { "@request.auth.claims.groups": { exact: admins } }', 'admins'),
        route('headers: { "@request.auth.claims[https://example.com/roles][shop]": { prefix: own } }', 'owners'),
        route('headers: { "@request.auth.claims[realm][Roles]": {} }', 'nested'),
        route(
          'headers: { "@request.auth.claims.scope": { exact: "write" } }, withoutHeaders: { "@request.auth.claims.blocked": {} }',
          'scoped',
        ),
        route('', 'plain'),
      ].join(', ')}] }`,
    )}
---
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: { name: tokens }
spec:
  selector: { matchLabels: { istio: gate } }
  jwtRules:
  - { issuer: "${HERE}", audiences: [shop], jwks: ${JSON.stringify(JSON.stringify(JSON.parse(here.jwks)))} }
  - { issuer: "${THERE}", jwksUri: "http://127.0.0.1:${keyPort}/keys", fromHeaders: [{ name: x-token, prefix: "T " }] }
`,
  });
  expect(findings).toEqual([]);
  const all = resourcesFor(mesh, 'router~127.0.0.1~gate-1.default~default.svc.cluster.local', {
    LABELS: { istio: 'gate' },
  });
  const of = (typeUrl: string): unknown[] => all.filter((one) => one.typeUrl === typeUrl).map(({ json }) => json);
  const tables = new Map(all.filter((one) => one.typeUrl === ROUTES).map((one) => [one.name, one.json]));
  const listeners: unknown = JSON.parse(
    JSON.stringify(of(LISTENER), (_key, value: unknown) => {
      if (typeof value !== 'object' || value === null || !('rds' in value)) return value;
      const { rds, ...others } = value as { rds: { route_config_name: string } };
      return { ...others, route_config: tables.get(rds.route_config_name) };
    }),
  );
  const adminPort = await freePort();
  envoy = await startEnvoy({
    config: {
      admin: { address: { socket_address: { address: '127.0.0.1', port_value: adminPort } } },
      static_resources: { listeners, clusters: of(CLUSTER) },
    },
    adminPort,
  });
});

afterAll(async () => {
  await envoy?.stop();
  for (const server of servers) {
    server.closeAllConnections();
    server.close();
  }
});

async function token(
  claims: Readonly<Record<string, unknown>>,
  { by = here.key, iss = HERE, aud = 'shop', expired = false } = {},
): Promise<string> {
  const now = Math.floor(Date.now() / 1000);
  return new SignJWT({ ...claims, iss, aud, exp: now + (expired ? -3600 : 3600) })
    .setProtectedHeader({ alg: 'ES256' })
    .sign(by);
}

async function servedBy(headers: Readonly<Record<string, string>>): Promise<string> {
  const response = await fetch(`http://127.0.0.1:${port}/`, { headers });
  return `${response.status} ${await response.text()}`;
}
const bearer = (text: string): Readonly<Record<string, string>> => ({ authorization: `Bearer ${text}` });

test.each([
  ['a text', { groups: 'admins' }, 'admins'],
  ['one of a list', { groups: ['users', 'admins'] }, 'admins'],
  ['another text', { groups: 'administrators' }, 'plain'],
  [
    'the beginning of a nested one, with dots in its name',
    { 'https://example.com/roles': { shop: ['owner'] } },
    'owners',
  ],
  ['any value of a nested one', { realm: { Roles: 7 } }, 'nested'],
  ['another case', { realm: { roles: 7 } }, 'plain'],
  ['one word of a scope, without a claim', { scope: 'read write' }, 'scoped'],
  ['a claim that must not be there', { scope: 'read write', blocked: true }, 'plain'],
])('a call goes where the claim of its token says: %s', async (_what, claims, app) => {
  expect(await servedBy(bearer(await token(claims)))).toBe(`200 ${app}`);
});

test('a token that is not valid is as none, and refusing it is up to Sluice, which gets it', async () => {
  const claims = { groups: 'admins' };
  const bad = [
    await token(claims, { by: there.key }),
    await token(claims, { expired: true }),
    await token(claims, { aud: 'bank' }),
    await token(claims, { iss: OTHER }),
    'no.token',
  ];
  seen.length = 0;
  for (const one of bad) expect(await servedBy(bearer(one))).toBe('200 plain');
  expect(seen).toEqual(bad.map((one) => `Bearer ${one}`));
  expect(await servedBy({})).toBe('200 plain');
});

test('keys come from the server that a rule names, and tokens from the places that it names', async () => {
  const valid = await token({ groups: ['admins'] }, { by: there.key, iss: THERE });
  expect(await servedBy({ 'x-token': `T ${valid}` })).toBe('200 admins');
  expect(await servedBy(bearer(valid))).toBe('200 plain');
  expect(await servedBy({ 'x-token': `T ${await token({ groups: 'admins' }, { iss: THERE })}` })).toBe('200 plain');
});

test('a header of the name of a claim is no claim', async () => {
  expect(await servedBy({ groups: 'admins', 'x-jwt-payload': 'admins' })).toBe('200 plain');
});
