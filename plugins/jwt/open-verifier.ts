/** Opens the keys of all issuers. */
import { createLocalJWKSet, type JWK, type JWTVerifyGetKey } from 'jose';
import { type Host, watchedFile } from 'sluice/plugin';
import { outputsMaker } from './claims.ts';
import type { IssuerConfig, JwtConfig } from './config.ts';
import { Issuer, type Keys } from './issuer.ts';
import { allLocations, type FoundToken, type Inputs, keyOf, tokenFinder } from './locations.ts';
import { publicKeysOf } from './public-keys.ts';
import type { Refused } from './refused.ts';
import { type KnownIssuer, Verifier } from './verifier.ts';

export interface OpenVerifier {
  readonly verifier: Verifier;
  readonly find: (inputs: Inputs) => FoundToken | Refused | undefined;
}

export async function openVerifier(config: JwtConfig, host: Host): Promise<OpenVerifier> {
  const nowMs = (): number => host.clock.nowMs();
  const locations = allLocations(config);
  const numbers = new Map(locations.map((location, at) => [keyOf(location), at]));
  const issuers = new Map<string, KnownIssuer>();
  for (const issuer of config.issuers)
    issuers.set(issuer.issuer, {
      issuer: new Issuer(issuer, await keysOf(issuer, host), nowMs),
      locations: new Set((issuer.locations ?? config.locations).map((location) => numbers.get(keyOf(location)) ?? -1)),
    });
  const verifier = new Verifier({ ...config, issuers, outputsOf: outputsMaker(config.claims), nowMs });
  return { verifier, find: tokenFinder(locations) };
}

async function keysOf({ keys, file, secret }: IssuerConfig, host: Host): Promise<Keys> {
  if (secret !== undefined) return { current: new TextEncoder().encode(secret) };
  if (file !== undefined) return watchedFile(host, { path: file, parse: finderOf });
  return { current: finderOf(keys) };
}

function finderOf(given: unknown): JWTVerifyGetKey {
  const { keys } = publicKeysOf(given);
  const find = createLocalJWKSet({ keys: keys as JWK[] });
  // Without names of keys, as in PEM, that of the token says nothing.
  return keys.some(({ kid }) => kid !== undefined) ? find : ({ alg }, token) => find({ alg }, token);
}
