/**
 * `meshMTLS.minProtocolVersion` in a real handshake: the Envoy of a workload, told by the control plane, and a client of one version of
 * TLS.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { SecureVersion, TLSSocket } from 'node:tls';
import { describe, expect, onTestFinished, test } from 'vitest';
import { makeLog } from '../../src/log/log.ts';
import { DEFAULT_SETTINGS } from '../../src/mesh/model/mesh.ts';
import { readMeshConfig } from '../../src/mesh/rules/mesh-config.ts';
import { bootstrapOf } from '../../src/mesh/sidecar/bootstrap.ts';
import { startMeshServer } from '../../src/serve/mesh/server.ts';
import { Findings } from '../../src/yaml/findings.ts';
import { makeAuthority } from '../parts/certificates.ts';
import { startEnvoy } from '../parts/envoy.ts';
import { freeNet, freePort } from '../parts/free-port.ts';
import { ISSUER, tokenIssuer } from '../parts/identity/secure-port.ts';
import { provenBy } from '../parts/mesh/proven-by.ts';
import { serviceEntry } from '../parts/mesh/service-entry.ts';
import { type Issued, issued } from '../parts/mesh/workload-certificates.ts';
import { startUpstream } from '../parts/upstream.ts';
import { until } from './sluice.ts';

const ADDRESS = `${await freeNet()}.1`;
const PORT = { number: 9080, name: 'http', protocol: 'HTTP' };
const ACCOUNT = 'reviews';

/** A call by TLS of that version alone: the version that was agreed on, and the status. */
const call = (own: Issued, version: SecureVersion): Promise<string> =>
  new Promise((resolve, reject) => {
    request({
      host: ADDRESS,
      port: PORT.number,
      agent: false,
      servername: 'localhost',
      rejectUnauthorized: false,
      minVersion: version,
      maxVersion: version,
      cert: own.certificate,
      key: own.key,
    })
      .on('response', (response) => {
        const agreed = (response.socket as TLSSocket).getProtocol();
        response.resume().on('end', () => resolve(`${agreed} ${response.statusCode}`));
      })
      .on('error', reject)
      .end();
  });

/** A workload that takes mutual TLS alone. Returns the certificate of a client. */
async function workload(meshConfig: string): Promise<Issued> {
  const findings = new Findings();
  const config = await readMeshConfig('mesh.yaml', meshConfig, findings);
  expect(findings.sorted(['mesh.yaml'])).toEqual([]);
  const folder = await mkdtemp(join(tmpdir(), 'sluice-tls-versions-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const authority = await makeAuthority();
  onTestFinished(() => authority.remove());
  const app = await startUpstream();
  onTestFinished(() => app.stop());
  const tokens = await tokenIssuer();
  const jwks = join(authority.folder, 'jwks.json');
  await writeFile(jwks, JSON.stringify(tokens.jwks));
  await writeFile(
    join(folder, 'mesh.yaml'),
    `${serviceEntry('reviews', [{ address: ADDRESS, labels: { app: 'reviews' }, serviceAccount: ACCOUNT }], [PORT])}
---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: { name: reviews }
spec:
  workloadSelector: { labels: { app: reviews } }
  ingress: [{ port: ${JSON.stringify(PORT)}, bind: ${ADDRESS}, captureMode: NONE, defaultEndpoint: "127.0.0.1:${app.httpPort}" }]
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: all }
spec: { mtls: { mode: STRICT } }
`,
  );
  const ca = join(authority.folder, 'ca.key');
  const plane = await startMeshServer(
    {
      configs: [folder],
      settings: {
        ...DEFAULT_SETTINGS,
        ...config?.settings,
        identities: { trustDomain: 'cluster.local', trustDomainAliases: [] },
      },
      xds: { host: '127.0.0.1', port: 0 },
      secure: {
        address: { host: '127.0.0.1', port: 0 },
        names: [],
        trustDomain: 'cluster.local',
        trustDomainAliases: [],
        signing: { rootCert: authority.ca, signingCert: authority.ca, signingKey: ca },
        ttl: { defaultMs: 3_600_000, maxMs: 7_200_000 },
        jwt: { jwks, issuer: ISSUER },
        audience: 'istio-ca',
        rootConfigMaps: false,
      },
      admin: undefined,
      log: makeLog('json', 'error'),
      graceMs: 500,
    },
    new AbortController().signal,
  );
  onTestFinished(() => plane.drain());
  if (plane.secure === undefined || !('port' in plane.secure)) throw new Error('no secure port');
  const adminPort = await freePort();
  const member = {
    type: 'sidecar' as const,
    address: ADDRESS,
    pod: 'reviews',
    namespace: 'default',
    domain: 'default.svc.cluster.local',
    serviceCluster: 'reviews',
    metadata: { LABELS: { app: 'reviews' }, INTERCEPTION_MODE: 'NONE', SERVICE_ACCOUNT: ACCOUNT },
  };
  const discovery = { host: '127.0.0.1', port: plane.secure.port as number };
  const bootstrap = bootstrapOf({ member, discovery, sluice: undefined, adminPort, connectMs: 1000, isDelta: false });
  const token = await tokens.token(`default:${ACCOUNT}`);
  const envoy = await startEnvoy({ config: provenBy(token, authority.ca, bootstrap), adminPort });
  onTestFinished(() => envoy.stop());
  const client = await issued(authority, 'client');
  await until('the workload to be called', async () =>
    (await call(client, 'TLSv1.3').catch(() => '')) === 'TLSv1.3 200' ? true : undefined,
  );
  return client;
}

describe('a client of TLS 1.2', () => {
  test.each(['{}', 'meshMTLS: { minProtocolVersion: TLSV1_2 }'])(
    'is served with %s',
    async (config) => {
      const client = await workload(config);
      expect(await call(client, 'TLSv1.2')).toBe('TLSv1.2 200');
    },
    60_000,
  );

  test('is refused with a minimum of 1.3, and one of TLS 1.3 is served', async () => {
    const client = await workload('meshMTLS: { minProtocolVersion: TLSV1_3 }');
    await expect(call(client, 'TLSv1.2')).rejects.toThrow(/alert protocol version/);
    expect(await call(client, 'TLSv1.3')).toBe('TLSv1.3 200');
  }, 60_000);
});
