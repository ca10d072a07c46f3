/**
 * Tokens to what they prove.
 * **In**: a token and its location. **Out**: what is proven, synchronously for a token seen before; or a {@link Refused}.
 * **Fails**: with `Unavailable` or `Rejected` while the keys of its issuer are not there.
 */
import type { JWTPayload } from 'jose';
import { LRUCache } from 'lru-cache';
import type { Outputs } from './claims.ts';
import type { Issuer } from './issuer.ts';
import type { FoundToken } from '../tokens/locations.ts';
import { Refused, shown } from '../tokens/refused.ts';

export class Verified {
  readonly #payload: JWTPayload;
  readonly #outputsOf: (payload: JWTPayload) => Outputs;
  #outputs: Outputs | undefined;

  constructor(payload: JWTPayload, outputsOf: (payload: JWTPayload) => Outputs) {
    this.#payload = payload;
    this.#outputsOf = outputsOf;
  }

  /** Made when first read; a check needs none. */
  get outputs(): Outputs {
    return (this.#outputs ??= this.#outputsOf(this.#payload));
  }

  get scopes(): readonly string[] {
    return this.outputs['scopes'] as readonly string[];
  }
}
export type Proof = Verified | Refused;

/** An issuer with the numbers of the locations that its tokens may come from. */
export interface KnownIssuer {
  readonly issuer: Issuer;
  readonly locations: ReadonlySet<number>;
}

interface Kept {
  readonly token: string;
  readonly proof: Proof;
  readonly from: KnownIssuer;
  /** The keys that it was verified with; with others it is verified again. */
  readonly keys: unknown;
  /** Milliseconds since 1970. */
  readonly untilMs: number;
}

export interface VerifierOptions {
  /** By `iss`; under `undefined` the one of tokens that name no other. */
  readonly issuers: ReadonlyMap<string | undefined, KnownIssuer>;
  readonly outputsOf: (payload: JWTPayload) => Outputs;
  readonly maxTokenBytes: number;
  readonly maxCacheBytes: number;
  readonly nowMs: () => number;
}

/** A claim below more lists and maps is refused: what reads it may recurse. */
const MAX_NESTED = 32;
/** Refusals are kept apart, so that bad tokens never take the place of good ones. */
const MAX_REFUSALS = 1000;
const REFUSED_FOR_MS = 5000;
/**
 * Tokens are found by the end of their signature and then compared whole: a digest of a token costs more than the rest of a check. Two good
 * tokens with one end do not occur; a forged one with the end of a good one is not equal to it.
 */
const KEY_CHARACTERS = 32;
/** Approximate memory of a kept token: a constant part, and its claims for each character. */
const KEPT_BYTES = 1000;
const KEPT_BYTES_PER_CHARACTER = 4;

export class Verifier {
  readonly #options: VerifierOptions;
  readonly #good: LRUCache<string, Kept> | undefined;
  readonly #bad = new LRUCache<string, Kept>({ max: MAX_REFUSALS });
  /** Tokens that are being verified. */
  readonly #running = new Map<string, { readonly token: string; readonly proof: Promise<Proof> }>();

  constructor(options: VerifierOptions) {
    this.#options = options;
    const { maxCacheBytes } = options;
    if (maxCacheBytes > 0) this.#good = new LRUCache({ maxSize: maxCacheBytes });
  }

  verify({ token, location }: FoundToken): Proof | Promise<Proof> {
    if (token.length > this.#options.maxTokenBytes)
      return new Refused(
        'invalid_token',
        'the token is too long',
        `the token has more than ${this.#options.maxTokenBytes} bytes (maxTokenBytes)`,
      );
    const key = token.slice(-KEY_CHARACTERS);
    const good = this.#good?.get(key);
    if (good !== undefined && this.#holds(good, token)) return atLocation(good, location);
    const bad = this.#bad.get(key);
    if (bad !== undefined && this.#holds(bad, token)) return atLocation(bad, location);
    const running = this.#running.get(key);
    if (running?.token === token) return running.proof.then(() => this.verify({ token, location }));
    return this.#begin(token, key, location);
  }

  #holds(kept: Kept, token: string): boolean {
    if (kept.token !== token || kept.from.issuer.keys.current !== kept.keys) return false;
    const leftMs = kept.untilMs - this.#options.nowMs();
    // A clock that was set back must not refuse a good token for as long as it was ahead.
    return leftMs > 0 && (leftMs <= REFUSED_FOR_MS || !(kept.proof instanceof Refused));
  }

  #begin(token: string, key: string, location: number): Proof | Promise<Proof> {
    const from = this.#issuerOf(token);
    if (from instanceof Refused) return from;
    if (!from.locations.has(location)) return WRONG_LOCATION;
    const keys = from.issuer.keys.current;
    const ended = (): void => {
      if (this.#running.get(key)?.token === token) this.#running.delete(key);
    };
    const running = from.issuer.verify(token).then(
      (payload) => {
        ended();
        return this.#keep(key, this.#kept(token, payload, from, keys));
      },
      (error: unknown) => {
        ended();
        throw error;
      },
    );
    if (!this.#running.has(key)) this.#running.set(key, { token, proof: running });
    return running;
  }

  /** By the `iss` that the token claims; that it is from there is proven later. */
  #issuerOf(token: string): Refused | KnownIssuer {
    if (!COMPACT.test(token)) return ENCRYPTED_COMPACT.test(token) ? ENCRYPTED : MALFORMED;
    let payload: unknown;
    try {
      payload = JSON.parse(Buffer.from(token.split('.', 2)[1] ?? '', 'base64url').toString());
    } catch {
      return MALFORMED;
    }
    if (typeof payload !== 'object' || payload === null || Array.isArray(payload)) return MALFORMED;
    const { iss } = payload as { readonly iss?: unknown };
    const { issuers } = this.#options;
    const from = typeof iss === 'string' ? issuers.get(iss) : undefined;
    return (
      from ??
      issuers.get(undefined) ??
      new Refused('invalid_token', 'the issuer is unknown', `the issuer ${shown(iss)} is unknown`)
    );
  }

  #kept(token: string, payload: JWTPayload | Refused, from: KnownIssuer, keys: unknown): Kept {
    const nowMs = this.#options.nowMs();
    const refused = payload instanceof Refused ? payload : problemOf(payload);
    if (refused !== undefined) return { token, proof: refused, from, keys, untilMs: nowMs + REFUSED_FOR_MS };
    const { exp, iat } = payload as JWTPayload;
    const endMs = from.issuer.endMs(exp, iat);
    const proof = new Verified(payload as JWTPayload, this.#options.outputsOf);
    return { token, proof, from, keys, untilMs: endMs };
  }

  #keep(key: string, kept: Kept): Proof {
    if (kept.proof instanceof Refused) this.#bad.set(key, kept);
    else this.#good?.set(key, kept, { size: KEPT_BYTES + KEPT_BYTES_PER_CHARACTER * kept.token.length });
    return kept.proof;
  }
}

const atLocation = ({ proof, from }: Kept, location: number): Proof =>
  from.locations.has(location) ? proof : WRONG_LOCATION;

function problemOf(payload: JWTPayload): Refused | undefined {
  if (isDeeper(payload, MAX_NESTED)) return NESTED;
  for (const name of ['iss', 'sub', 'azp'] as const) {
    const value = payload[name];
    if (value !== undefined && (typeof value !== 'string' || /\p{Cc}/u.test(value))) return BAD_IDENTITY;
  }
  const { aud } = payload;
  const isAudience =
    aud === undefined || typeof aud === 'string' || (Array.isArray(aud) && aud.every((one) => typeof one === 'string'));
  return isAudience ? undefined : BAD_IDENTITY;
}

function isDeeper(value: unknown, most: number): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return most === 0 || Object.values(value).some((one) => isDeeper(one, most - 1));
}

const COMPACT = /^[\w-]+\.[\w-]+\.[\w-]+$/;
const ENCRYPTED_COMPACT = /^[\w-]+(\.[\w-]*){4}$/;
const MALFORMED = new Refused('invalid_token', 'the token is malformed');
const ENCRYPTED = new Refused('invalid_token', 'encrypted tokens are not accepted');
/** Control characters are left out of headers, so that `ann` and `an\nn` would be one. */
const BAD_IDENTITY = new Refused('invalid_token', 'iss, sub, azp or aud is not plain text');
const NESTED = new Refused('invalid_token', 'the claims are nested too deeply');
const WRONG_LOCATION = new Refused('invalid_token', 'tokens of the issuer are not accepted here');
