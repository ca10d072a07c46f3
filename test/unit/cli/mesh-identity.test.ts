/** The flags of `sluice mesh --secure`. */
import { resolve } from 'node:path';
import { expect, test } from 'vitest';
import { type MeshIdentityFlags, secureOf } from '../../../src/cli/actions/mesh-identity.ts';

const DAY = 24 * 3_600_000;
const secure = '127.0.0.1:15012';

test('without --secure there is no secure port', () => {
  expect(secureOf({}, undefined)).toBeUndefined();
});

test('--secure alone has the defaults of Istio, and a root in memory', () => {
  expect(secureOf({ secure }, undefined)).toEqual({
    address: { host: '127.0.0.1', port: 15012 },
    names: [],
    trustDomain: 'cluster.local',
    trustDomainAliases: [],
    signing: { folder: undefined, rootTtlMs: 3650 * DAY },
    ttl: { defaultMs: DAY, maxMs: 90 * DAY },
    jwt: undefined,
    audience: 'istio-ca',
    rootConfigMaps: true,
    apiServer: undefined,
  });
});

test('files are found from the working folder, a URL stays as it is', () => {
  const files = { rootCert: 'r.pem', signingCert: 's.pem', signingKey: 'k.pem', certChain: '/c.pem' };
  const jwks = 'https://issuer.example/keys';
  expect(secureOf({ secure, ...files, jwks, tokenIssuer: 'https://issuer.example' }, undefined)).toMatchObject({
    signing: {
      rootCert: resolve('r.pem'),
      signingCert: resolve('s.pem'),
      signingKey: resolve('k.pem'),
      certChain: '/c.pem',
    },
    jwt: { jwks, issuer: 'https://issuer.example' },
  });
  expect(secureOf({ secure, jwks: 'keys.json', tokenIssuer: 'x' }, undefined)?.jwt?.jwks).toBe(resolve('keys.json'));
});

test.each<[MeshIdentityFlags, RegExp]>([
  [{ caFolder: 'ca' }, /^--ca-folder needs --secure/],
  [{ tokenAudience: 'x' }, /^--token-audience needs --secure/],
  [{ rootConfigMaps: 'off' }, /^--root-config-maps needs --secure/],
  [{ secure, rootConfigMaps: 'on' }, /^--root-config-maps on needs --kubeconfig or --in-cluster/],
  [{ secure: 'nowhere' }, /not an address/],
  [{ secure, trustDomain: 'Bad' }, /"Bad" is no trust domain/],
  [{ secure, trustDomainAliases: 'good, b@d' }, /"b@d" is no trust domain/],
  [{ secure, workloadCertTtl: '100d' }, /longer than --max-workload-cert-ttl 90d/],
  [{ secure, maxWorkloadCertTtl: 'soon' }, /expected a time such as 10m/],
  [{ secure, selfSignedCaCertTtl: '1d' }, /shorter than --max-workload-cert-ttl/],
  [{ secure, secureNames: 'a b' }, /"a b", which is no name of a host/],
  [{ secure, rootCert: 'x' }, /go together/],
  [{ secure, certChain: 'x' }, /go together/],
  [{ secure, rootCert: 'r', signingCert: 's', signingKey: 'k', caFolder: 'f' }, /are for a root of our own/],
  [{ secure, jwks: 'x' }, /^--jwks and --token-issuer go together/],
  [{ secure, tokenIssuer: 'x' }, /^--jwks and --token-issuer go together/],
])('%j is an error', (flags, why) => {
  expect(() => secureOf(flags, undefined)).toThrow(why);
});
