/** The config of a handler: issuers, where tokens are, which claims become attributes. */
import { z } from 'zod';
import type { Shape } from 'sluice/plugin';
import { checkServer, serverShape } from '../http/config.ts';
import { pointerSchema } from '../http/pointer.ts';
import { realmSchema } from '../tokens/bearer.ts';
import { allLocations } from '../tokens/locations.ts';
import { BEARER, type Location, locationsSchema } from '../tokens/location-config.ts';
import { publicKeysOf } from './public-keys.ts';

/** HMAC is not among them: a public key must never serve as a shared secret. */
export const PUBLIC_KEY_ALGORITHMS = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
  'Ed25519',
] as const;
const HMAC_ALGORITHMS = ['HS256', 'HS384', 'HS512'] as const;
const algorithm = z.enum([...PUBLIC_KEY_ALGORITHMS, ...HMAC_ALGORITHMS]);
const isHmac = (name: string): boolean => name.startsWith('HS');

const CLAIM_TYPES = ['string', 'int', 'double', 'bool', 'timestamp', 'list<string>', 'any'] as const;
const claimType = z.enum(CLAIM_TYPES);
export type ClaimType = z.output<typeof claimType>;
const claimsSchema = z
  .record(
    z
      .string()
      .regex(
        /^[A-Za-z_][A-Za-z0-9_]*$/,
        'a claim becomes an attribute: letters, digits and _; for another name write { at: /NAME }',
      ),
    z.union([
      claimType,
      z.strictObject({
        at: pointerSchema.describe('JSON pointer to the claim.').meta({ examples: ['/realm_access/roles'] }),
        type: claimType.default('string').describe(`Its type: ${CLAIM_TYPES.join(', ')}.`),
      }),
    ]),
  )
  .default({})
  .describe(
    `Claims with a type of their own, as the outputs claim_NAME. Types: ${CLAIM_TYPES.join(', ')}. A claim of another type is absent. ` +
      'Text that is to be a list is a list of the words in it.',
  )
  .meta({ examples: [{ tier: 'string', roles: { at: '/realm_access/roles', type: 'list<string>' } }] });
export type ClaimsConfig = z.output<typeof claimsSchema>;

const issuerSchema = z
  .strictObject({
    issuer: z
      .string()
      .min(1)
      .optional()
      .describe(
        'The iss of its tokens, compared exactly. One issuer may leave it out: its keys verify the tokens of all that are not named, ' +
          'or that name no issuer.',
      )
      .meta({ examples: ['https://accounts.example.com'] }),
    audiences: z
      .array(z.string().min(1))
      .default([])
      .describe('A token must be for one of them (aud). Without, tokens for any audience are accepted.')
      .meta({ examples: [['shop']] }),
    algorithms: z
      .array(algorithm)
      .min(1)
      .optional()
      .describe(
        `Accepted signatures. Default: all with a public key (${PUBLIC_KEY_ALGORITHMS.join(', ')}); with secret, HS256.`,
      )
      .meta({ examples: [['RS256']] }),
    keys: z
      .union([z.string(), z.looseObject({ keys: z.array(z.unknown()).describe('Keys (RFC 7517).') })])
      .optional()
      .describe(
        'Its public keys: a JSON Web Key Set, as a map or as JSON text, or one public key or certificate in PEM.',
      ),
    file: z
      .string()
      .min(1)
      .optional()
      .describe(
        'A file with its public keys, as under keys. It is watched; the last good keys stay while it is invalid.',
      )
      .meta({ examples: ['keys.json'] }),
    url: z
      .string()
      .optional()
      .describe(
        'The URL of its public keys, a JSON Web Key Set. It is loaded again before its cache-control says that it is stale, and for a key ' +
          'that is not in it; the last good keys stay while it cannot be loaded. Redirects are not followed.',
      )
      .meta({ examples: ['https://accounts.example.com/jwks.json'] }),
    discovery: z
      .literal(true)
      .optional()
      .describe('Find that URL by OpenID Connect Discovery, at issuer + /.well-known/openid-configuration.'),
    refreshMs: z
      .int()
      .min(1000)
      .max(86_400_000)
      .default(300_000)
      .describe('How often keys of a url are loaded where the service sends no cache-control with max-age.'),
    refetchMs: z
      .int()
      .min(100)
      .max(3_600_000)
      .default(10_000)
      .describe('How often, at most, they are loaded because of a token with an unknown key.'),
    downloadTimeoutMs: z.int().min(1).max(600_000).default(5000).describe('How long a download of keys may take.'),
    maxKeysBytes: z
      .int()
      .min(1)
      .max(16 * 1024 * 1024)
      .default(256 * 1024)
      .describe('A larger key set is not read.'),
    ...serverShape,
    secret: z
      .string()
      .refine((text) => Buffer.byteLength(text) >= 32, 'it must have at least 32 bytes')
      .optional()
      .describe('A secret shared with the issuer, for HS256, HS384 and HS512.')
      .meta({ secret: true }),
    required: z
      .array(z.string().min(1))
      .default(['exp'])
      .describe('Claims that a token must have. Without exp among them, a token may be valid forever.'),
    typ: z
      .string()
      .min(1)
      .optional()
      .describe('The typ that the header of a token must have, such as at+jwt for access tokens (RFC 9068).'),
    clockSkewMs: z
      .int()
      .min(0)
      .max(3_600_000)
      .default(60_000)
      .describe('How far the clock of the issuer may differ, for exp and nbf, and for iat where maxAgeMs is set.'),
    maxAgeMs: z.int().min(1).optional().describe('How long after its iat a token is accepted, at most.'),
    locations: locationsSchema
      .optional()
      .describe('Where tokens of this issuer are looked for. Default: the locations of the handler.'),
  })
  .check(checkServer)
  .superRefine(({ issuer, keys, file, url, discovery, secret, algorithms }, context) => {
    const sources = [keys, file, url, discovery, secret].filter((one) => one !== undefined).length;
    if (sources !== 1)
      context.addIssue({ code: 'custom', message: 'expected exactly one of keys, file, url, discovery and secret' });
    if (discovery !== undefined && !/^https?:\/\/[^/?#]+[^?#]*$/.test(issuer ?? ''))
      context.addIssue({ code: 'custom', path: ['issuer'], message: 'discovery needs an issuer that is a URL' });
    const problem = keys === undefined ? undefined : keysProblem(keys);
    if (problem !== undefined) context.addIssue({ code: 'custom', path: ['keys'], message: problem });
    for (const [at, name] of (algorithms ?? []).entries())
      if (isHmac(name) !== (secret !== undefined))
        context.addIssue({
          code: 'custom',
          path: ['algorithms', at],
          message: isHmac(name)
            ? `${name} takes a secret; public keys must not verify it`
            : `${name} takes a public key, not a secret`,
        });
  });

function keysProblem(keys: unknown): string | undefined {
  try {
    return publicKeysOf(keys).unusable[0];
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
export type IssuerConfig = z.output<typeof issuerSchema>;

/** For people. */
export const issuerName = ({ issuer }: Pick<IssuerConfig, 'issuer'>): string => issuer ?? 'any issuer';

export const configSchema = z
  .strictObject({
    issuers: z.array(issuerSchema).min(1).max(1000).describe('Who signs the tokens.'),
    locations: locationsSchema
      .default([BEARER])
      .describe(
        'Where tokens are looked for, in this order; the first that is found counts. Default: Authorization with Bearer.',
      ),
    claims: claimsSchema,
    realm: realmSchema,
    maxTokenBytes: z
      .int()
      .min(256)
      .max(65_536)
      .default(16_384)
      .describe('A longer token is refused before it is read.'),
    maxCacheBytes: z
      .int()
      .min(0)
      .max(1024 * 1024 * 1024)
      .default(32 * 1024 * 1024)
      .describe(
        'Approximate memory for verified tokens; each is kept until it expires, or until others need its place.',
      ),
  })
  .superRefine(({ issuers }, context) => {
    const seen = new Set<string | undefined>();
    for (const [at, { issuer }] of issuers.entries()) {
      if (seen.has(issuer))
        context.addIssue({
          code: 'custom',
          path: ['issuers', at, ...(issuer === undefined ? [] : ['issuer'])],
          message: issuer === undefined ? 'only one may leave issuer out' : `${issuer} is there twice`,
        });
      seen.add(issuer);
    }
  });
export type JwtConfig = z.output<typeof configSchema>;

const STANDARD = {
  issuer: 'string?',
  subject: 'string?',
  principal: 'string?',
  audiences: 'list<string>?',
  presenter: 'string?',
  expires: 'timestamp?',
  scopes: 'list<string>?',
  claims: 'any?',
} as const satisfies Shape;

export const outputShape = ({ claims }: JwtConfig): Shape => ({
  ...STANDARD,
  ...Object.fromEntries(
    Object.entries(claims).map(([name, claim]) => [
      `claim_${name}`,
      `${typeof claim === 'string' ? claim : claim.type}?` as const,
    ]),
  ),
});

/** Those of the handler, then those that single issuers add. */
export function locationsOf({ locations, issuers }: Pick<JwtConfig, 'locations' | 'issuers'>): readonly Location[] {
  const isDefaultUsed = issuers.some((issuer) => issuer.locations === undefined);
  return allLocations([...(isDefaultUsed ? locations : []), ...issuers.flatMap((issuer) => issuer.locations ?? [])]);
}
