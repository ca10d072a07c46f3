/**
 * One issuer: its keys, and what its tokens must be.
 * **In**: a token whose `iss` is this issuer, or of any that is not named. **Out**: its claims, or a {@link Refused}. **Fails**: with the
 * error of its keys, if there are none yet.
 */
import {
  type CryptoKey,
  decodeProtectedHeader,
  errors,
  type JWSHeaderParameters,
  type JWTPayload,
  jwtVerify,
  type JWTVerifyGetKey,
  type JWTVerifyOptions,
} from 'jose';
import { type IssuerConfig, issuerName, PUBLIC_KEY_ALGORITHMS } from './config.ts';
import { Refused, shown } from '../tokens/refused.ts';

/** Where the keys of an issuer come from. */
export interface Keys {
  /** Finds the public key of a token, or is the shared secret. Another value after each change. Throws until there is one. */
  readonly current: JWTVerifyGetKey | Uint8Array;
  /** Whether there are other keys now, for a token whose key is unknown. */
  refetch?(): Promise<boolean>;
}

export class Issuer {
  readonly name: string;
  readonly clockSkewMs: number;
  readonly maxAgeMs: number | undefined;
  readonly keys: Keys;
  readonly #options: JWTVerifyOptions;
  readonly #nowMs: () => number;

  constructor(config: IssuerConfig, keys: Keys, nowMs: () => number) {
    const algorithms = config.algorithms ?? (config.secret === undefined ? [...PUBLIC_KEY_ALGORITHMS] : ['HS256']);
    this.name = issuerName(config);
    this.clockSkewMs = config.clockSkewMs;
    this.maxAgeMs = config.maxAgeMs;
    this.keys = keys;
    this.#nowMs = nowMs;
    this.#options = {
      algorithms,
      ...(config.issuer === undefined ? {} : { issuer: config.issuer }),
      clockTolerance: config.clockSkewMs / 1000,
      requiredClaims: config.required,
      ...(config.audiences.length === 0 ? {} : { audience: config.audiences }),
      ...(config.typ === undefined ? {} : { typ: config.typ }),
      ...(config.maxAgeMs === undefined ? {} : { maxTokenAge: config.maxAgeMs / 1000 }),
    };
  }

  /** When its token ends, in ms since 1970. */
  endMs(exp: number | undefined, iat: number | undefined): number {
    const { maxAgeMs } = this;
    const oldMs = maxAgeMs === undefined ? Infinity : (iat ?? 0) * 1000 + maxAgeMs;
    return Math.min((exp ?? Infinity) * 1000, oldMs) + this.clockSkewMs;
  }

  async verify(token: string, isFirst = true): Promise<JWTPayload | Refused> {
    const keys = this.keys.current;
    const options = { ...this.#options, currentDate: new Date(this.#nowMs()) };
    try {
      const verified = keys instanceof Uint8Array ? jwtVerify(token, keys, options) : jwtVerify(token, keys, options);
      return (await verified).payload;
    } catch (error) {
      if (error instanceof errors.JWKSMultipleMatchingKeys) return tryEach(token, error, options);
      const isNew = error instanceof errors.JWKSNoMatchingKey && isFirst && (await this.keys.refetch?.()) === true;
      return isNew ? this.verify(token, false) : refusalOf(error, token);
    }
  }
}

/** A token without `kid`, for which several keys fit. */
async function tryEach(
  token: string,
  keys: AsyncIterable<CryptoKey>,
  options: JWTVerifyOptions,
): Promise<JWTPayload | Refused> {
  for await (const key of keys) {
    try {
      return (await jwtVerify(token, key, options)).payload;
    } catch (error) {
      if (!(error instanceof errors.JWSSignatureVerificationFailed)) return refusalOf(error, token);
    }
  }
  return INVALID_SIGNATURE;
}

/** Of a token whose header was parsed before. */
const headerOf = (token: string): JWSHeaderParameters => decodeProtectedHeader(token);

const INVALID_SIGNATURE = new Refused('invalid_token', 'the signature is invalid');

/** Rethrows what is not about the token. */
function refusalOf(error: unknown, token: string): Refused {
  if (error instanceof errors.JWTExpired) return new Refused('invalid_token', 'the token is expired');
  if (error instanceof errors.JWTClaimValidationFailed) {
    const { claim, reason } = error;
    if (claim === 'aud')
      return new Refused('wrong_audience', `the token is for ${reason === 'missing' ? 'no' : 'another'} audience`);
    if (claim === 'nbf' && reason === 'check_failed') return new Refused('invalid_token', 'the token is not valid yet');
    return new Refused(
      'invalid_token',
      'a claim is missing or not accepted',
      `its claim ${shown(claim)} is ${reason === 'missing' ? 'missing' : 'not accepted'}`,
    );
  }
  if (error instanceof errors.JWSSignatureVerificationFailed) return INVALID_SIGNATURE;
  if (error instanceof errors.JWKSNoMatchingKey)
    return new Refused(
      'invalid_token',
      'the key of the token is unknown',
      `the issuer has no key with kid ${shown(headerOf(token).kid)} for its algorithm`,
    );
  if (error instanceof errors.JOSEAlgNotAllowed)
    return new Refused(
      'invalid_token',
      'the algorithm is not accepted',
      `the algorithm ${shown(headerOf(token).alg)} is not accepted`,
    );
  if (error instanceof errors.JOSEError)
    return new Refused('invalid_token', 'the token is malformed', `the token is malformed (${error.code})`);
  throw error;
}
