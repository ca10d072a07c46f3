/** Opens the keys of all issuers. */
import { createLocalJWKSet, type JWK, type JWTVerifyGetKey } from 'jose';
import { type Host, watchedFile } from 'sluice/plugin';
import { Readiness } from '../http/readiness.ts';
import { outputsMaker } from './claims.ts';
import { type IssuerConfig, issuerName, type JwtConfig, locationsOf } from './config.ts';
import { Issuer, type Keys } from './issuer.ts';
import { type FoundToken, type Inputs, keyOf, tokenFinder } from '../tokens/locations.ts';
import { publicKeysOf } from './public-keys.ts';
import type { Refused } from '../tokens/refused.ts';
import type { RemoteKeys } from './remote-keys.ts';
import { type KnownIssuer, Verifier } from './verifier.ts';

export interface OpenVerifier {
  readonly verifier: Verifier;
  readonly find: (inputs: Inputs) => FoundToken | Refused | undefined;
  close(): Promise<void>;
}

export async function openVerifier(config: JwtConfig, host: Host): Promise<OpenVerifier> {
  const nowMs = (): number => host.clock.nowMs();
  const locations = locationsOf(config);
  const numbers = new Map(locations.map((location, at) => [keyOf(location), at]));
  const readiness = new Readiness(host);
  const remote: RemoteKeys[] = [];
  const issuers = new Map<string | undefined, KnownIssuer>();
  const fixed = config.issuers.filter(({ url, discovery }) => url === undefined && discovery === undefined).length;
  const keysOf = async (issuer: IssuerConfig): Promise<Keys> => {
    const { keys, file, secret, url, discovery } = issuer;
    if (secret !== undefined) return { current: new TextEncoder().encode(secret) };
    const part = readiness.hostFor(issuerName(issuer));
    if (file !== undefined) return watchedFile(part, { path: file, parse: finderOf });
    if (url === undefined && discovery === undefined) return { current: finderOf(keys) };
    const { openRemoteKeys } = await import('./remote-keys.ts');
    const opened = await openRemoteKeys(
      issuer,
      {
        parse: finderOf,
        onState: (why) => readiness.set(issuerName(issuer), why),
        othersWork: () => fixed > 0 || remote.some(({ isLoaded }) => isLoaded),
      },
      readiness.hostFor(`certificates of ${issuerName(issuer)}`),
    );
    remote.push(opened);
    return opened;
  };
  for (const issuer of config.issuers)
    issuers.set(issuer.issuer, {
      issuer: new Issuer(issuer, await keysOf(issuer), nowMs),
      locations: new Set((issuer.locations ?? config.locations).map((location) => numbers.get(keyOf(location)) ?? -1)),
    });
  const verifier = new Verifier({ ...config, issuers, outputsOf: outputsMaker(config.claims), nowMs });
  return {
    verifier,
    find: tokenFinder(locations),
    close: async () => {
      await Promise.all(remote.map((one) => one.close()));
    },
  };
}

function finderOf(given: unknown): JWTVerifyGetKey {
  const { keys } = publicKeysOf(given);
  const find = createLocalJWKSet({ keys: keys as JWK[] });
  // Without names of keys, as in PEM, that of the token says nothing.
  return keys.some(({ kid }) => kid !== undefined) ? find : ({ alg }, token) => find({ alg }, token);
}
