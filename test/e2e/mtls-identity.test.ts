/** Identities that certificates prove, through a real Envoy with mutual TLS: requests, connections, log entries, forwarded certificates. */
import { createHash, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { text } from 'node:stream/consumers';
import { connect } from 'node:tls';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Authority, makeAuthority } from '../parts/certificates.ts';
import { type EnvoyPart, startEnvoy } from '../parts/envoy.ts';
import { freePort } from '../parts/free-port.ts';
import { mtlsEnvoyConfig } from '../parts/mtls-envoy-config.ts';
import { type Arrived, startUpstream, type Upstream } from '../parts/upstream.ts';
import { type ServedSluice, serveSluice, until } from './sluice.ts';

const policy = (settings: string): string => `
settings: ${settings}
handlers:
  lines: { adapter: log-stdout, config: {} }
rules:
  - name: who
    calls: [http]
    onAllow:
      request:
        set:
          x-principal: '\${source.?principal.orValue("-")}'
          x-source: '\${source.?spiffe.?id.orValue("-")}'
          x-account: '\${source.?spiffe.?serviceAccount.orValue("-")}'
          x-origin: '\${origin.?spiffe.?id.orValue("-")}'
          x-uris: '\${connection.?uri_sans_peer_certificate.orValue([]).join(" ")}'
          x-dns: '\${connection.?dns_sans_peer_certificate.orValue([]).join(" ")}'
          x-digest: '\${connection.?sha256_peer_certificate_digest.orValue("-")}'
          x-sni: '\${connection.?requested_server_name.orValue("-")}'
  - name: shop-only
    calls: [tcp]
    match: source.?spiffe.?namespace.orValue("") != "shop"
    deny: {}
  - name: database-only
    calls: [tcp]
    match: connection.?requested_server_name.orValue("") != "db.shop"
    deny: {}
  - name: no-odd-ports
    calls: [tcp]
    match: source.port <= 0 || destination.port == 0 || !connection.mtls
    deny: {}
  - name: logged
    calls: [log, tcp-log]
    report:
      handler: lines
      input:
        protocol: context.protocol
        id: source.?spiffe.?id.orValue("-")
        origin: origin.?spiffe.?id.orValue("-")
        uris: connection.?uri_sans_peer_certificate.orValue([]).join(" ")
        sni: connection.?requested_server_name.orValue("-")
        port: destination.port
        rule: verdict.?rule.orValue("-")
        outcome: verdict.?outcome.orValue("-")
`;

const WEB = 'spiffe://cluster.local/ns/shop/sa/web';
const ADMIN = 'spiffe://cluster.local/ns/shop/sa/admin';

let authority: Authority;
let upstream: Upstream;
let sluice: ServedSluice;
let envoy: EnvoyPart;
let ports: { adminPort: number; edgePort: number; innerPort: number; tcpPort: number };
const certificates: Record<string, { cert: string; key: string }> = {};

beforeAll(async () => {
  authority = await makeAuthority();
  for (const [name, names] of Object.entries({
    edge: 'URI:spiffe://cluster.local/ns/edge/sa/gateway,DNS:localhost',
    web: `URI:${WEB},DNS:web,DNS:web.shop`,
    other: 'URI:spiffe://old.example/ns/games/sa/web',
    two: `URI:${WEB},URI:${ADMIN}`,
    named: 'DNS:cluster.local',
    odd: 'URI:spiffe://cluster.local/ns/shop/sa/web/',
  }))
    certificates[name] = await authority.issue(name, names);
  upstream = await startUpstream();
  sluice = await serveSluice(policy('{}'));
  ports = {
    adminPort: await freePort(),
    edgePort: await freePort(),
    innerPort: await freePort(),
    tcpPort: await freePort(),
  };
  envoy = await startEnvoy({
    adminPort: ports.adminPort,
    config: mtlsEnvoyConfig({
      ...ports,
      sluicePort: sluice.grpcPort,
      upstreamPort: upstream.httpPort,
      tcpUpstreamPort: upstream.tcpPort,
      ca: authority.ca,
      ...(certificates['edge'] as { cert: string; key: string }),
    }),
  });
}, 60_000);
afterAll(async () => {
  await envoy.stop();
  await sluice.stop();
  await upstream.stop();
  await authority.remove();
});

const pemOf = (name: string): { cert: Buffer; key: Buffer } | Record<string, never> => {
  const files = certificates[name];
  return files === undefined ? {} : { cert: readFileSync(files.cert), key: readFileSync(files.key) };
};

/** Headers that the upstream gets with a request; the last Envoy on the way has set those of its policy. */
async function viaEdge(name: string, headers: Readonly<Record<string, string>> = {}): Promise<Arrived['headers']> {
  return new Promise((resolve, reject) => {
    httpsRequest(
      {
        host: '127.0.0.1',
        port: ports.edgePort,
        servername: 'localhost',
        ca: readFileSync(authority.ca),
        headers,
        agent: false,
        ...pemOf(name),
      },
      (answer) => {
        text(answer).then((body) => resolve((JSON.parse(body) as Arrived).headers), reject);
      },
    )
      .on('error', reject)
      .end();
  });
}

/** To the Envoy behind the edge, which forwards x-forwarded-client-cert as it is. */
async function direct(headers: Readonly<Record<string, string>>): Promise<Arrived['headers']> {
  return new Promise((resolve, reject) => {
    httpRequest({ host: '127.0.0.1', port: ports.innerPort, headers, agent: false }, (answer) => {
      text(answer).then((body) => resolve((JSON.parse(body) as Arrived).headers), reject);
    })
      .on('error', reject)
      .end();
  });
}

/** The echo through the TCP listener; empty if the connection was closed. */
async function viaTcp(name: string, servername: string): Promise<string> {
  const socket = connect({
    host: '127.0.0.1',
    port: ports.tcpPort,
    servername,
    rejectUnauthorized: false,
    ...pemOf(name),
  });
  socket.on('error', () => socket.destroy());
  let back = '';
  socket.on('data', (chunk: Buffer) => {
    back += chunk.toString();
    if (back === 'ping') socket.end();
  });
  socket.once('secureConnect', () => socket.write('ping'));
  await once(socket, 'close');
  return back;
}

describe('without trust in x-forwarded-client-cert', () => {
  test('the peer has its SPIFFE ID, all names and the digest of its certificate', async () => {
    const { raw } = new X509Certificate(readFileSync(certificates['web']?.cert ?? ''));
    expect(await viaEdge('web')).toMatchObject({
      'x-principal': 'cluster.local/ns/shop/sa/web',
      'x-source': WEB,
      'x-account': 'web',
      'x-origin': WEB,
      'x-uris': WEB,
      'x-dns': 'web web.shop',
      'x-digest': createHash('sha256').update(raw).digest('hex'),
      'x-sni': 'localhost',
    });
  });

  test.each([
    ['two URI SANs', 'two', 'cluster.local/ns/shop/sa/web', `${WEB} ${ADMIN}`],
    ['a DNS SAN that is the name of a trust domain', 'named', 'cluster.local', ''],
    ['a URI that is not a SPIFFE ID', 'odd', 'cluster.local/ns/shop/sa/web/', `${WEB}/`],
  ])('a certificate with %s proves none', async (_, name, principal, uris) => {
    expect(await viaEdge(name)).toMatchObject({
      'x-principal': principal,
      'x-source': '-',
      'x-account': '-',
      'x-origin': '-',
      'x-uris': uris,
    });
  });

  test('a client without a certificate is nobody, whatever header it sends', async () => {
    const forged = { 'x-forwarded-client-cert': `By=a;Hash=b;URI=${ADMIN}` };
    for (const headers of [await viaEdge('none', forged), await direct(forged)])
      expect(headers).toMatchObject({ 'x-principal': '-', 'x-source': '-', 'x-origin': '-' });
    expect(await viaEdge('web', forged)).toMatchObject({ 'x-source': WEB, 'x-origin': WEB });
  });
});

describe('connections', () => {
  test('are decided by certificate, server name and ports', async () => {
    expect([
      await viaTcp('web', 'db.shop'),
      await viaTcp('web', 'other.shop'),
      await viaTcp('other', 'db.shop'),
      await viaTcp('two', 'db.shop'),
      await viaTcp('none', 'db.shop'),
    ]).toEqual(['ping', '', '', '', '']);
  });

  test('have the same identity, and the verdict, in their log entries', async () => {
    const entries = await until('five entries of connections', () => {
      const found = sluice.written.filter(({ protocol }) => protocol === 'tcp');
      return found.length >= 5 ? found : undefined;
    });
    expect(entries.map(({ id, uris, sni, port, outcome }) => [id, uris, sni, port, outcome])).toEqual([
      [WEB, WEB, 'db.shop', ports.tcpPort, 'allow'],
      [WEB, WEB, 'other.shop', ports.tcpPort, 'deny'],
      [
        'spiffe://old.example/ns/games/sa/web',
        'spiffe://old.example/ns/games/sa/web',
        'db.shop',
        ports.tcpPort,
        'deny',
      ],
      ['-', `${WEB} ${ADMIN}`, 'db.shop', ports.tcpPort, 'deny'],
      ['-', '', 'db.shop', ports.tcpPort, 'deny'],
    ]);
  });
});

describe('with trust in x-forwarded-client-cert', () => {
  beforeAll(async () => {
    await writeFile(
      sluice.policyFile,
      policy('{ trustedCertificateHops: 0, trustDomainAliases: { old.example: cluster.local } }'),
    );
    await until('the new policy', () => sluice.log.find((line) => line.includes('policy loaded')));
  });

  test('the client behind a proxy has its identity, and the proxy in front replaces what the client sends', async () => {
    const forged = { 'x-forwarded-client-cert': `By=a;Hash=b;URI=${ADMIN}`, 'x-inner': 'yes' };
    expect(await viaEdge('web', forged)).toMatchObject({ 'x-source': '-', 'x-origin': WEB });
    expect(await viaEdge('none', forged)).toMatchObject({ 'x-source': '-', 'x-origin': '-' });
  });

  test('a certificate with two URIs is forwarded with both, and proves none', async () => {
    expect(await viaEdge('two', { 'x-inner': 'yes' })).toMatchObject({ 'x-origin': '-' });
  });

  test('a trust domain reads as the one that it is an alias of', async () => {
    expect(await viaEdge('other')).toMatchObject({
      'x-principal': 'old.example/ns/games/sa/web',
      'x-source': 'spiffe://cluster.local/ns/games/sa/web',
      'x-origin': 'spiffe://cluster.local/ns/games/sa/web',
    });
  });

  test('a log entry has the identity of the client where Envoy logs the header', async () => {
    const entry = await until('the entry of the inner Envoy', () =>
      sluice.written.find(({ protocol, id, origin }) => protocol === 'http' && id === '-' && origin === WEB),
    );
    expect(entry).toMatchObject({ port: ports.innerPort, outcome: 'allow' });
  });
});
