/** Outputs of the enrich: what a verified token says, by name and type. */
import type { JWTPayload } from 'jose';
import { pointerOf } from '../http/pointer.ts';
import type { ClaimsConfig, ClaimType } from './config.ts';

export type Outputs = Readonly<Record<string, unknown>>;

export function outputsMaker(claims: ClaimsConfig): (payload: JWTPayload) => Outputs {
  const typed = Object.entries(claims).map(([name, claim]) => ({
    name: `claim_${name}`,
    type: typeof claim === 'string' ? claim : claim.type,
    find: typeof claim === 'string' ? (payload: unknown) => ownOf(payload, name) : pointerOf(claim.at),
  }));
  return (payload) => {
    const { iss, sub, aud, exp } = payload;
    const outputs: Record<string, unknown> = {
      issuer: iss,
      subject: sub,
      principal: sub === undefined || iss === undefined ? undefined : `${iss}/${sub}`,
      audiences: typeof aud === 'string' ? [aud] : (aud ?? []),
      presenter: typeof payload['azp'] === 'string' ? payload['azp'] : undefined,
      expires: exp === undefined ? undefined : new Date(exp * 1000),
      scopes: wordsOf(payload['scope'] ?? payload['scp']) ?? [],
      claims: deepFrozen(payload),
    };
    for (const { name, type, find } of typed) outputs[name] = typedClaim(find(payload), type);
    return Object.fromEntries(Object.entries(outputs).filter(([, value]) => value !== undefined));
  };
}

/** The host converts a frozen value once. */
function deepFrozen<T>(value: T): T {
  if (typeof value === 'object' && value !== null)
    for (const one of Object.values(Object.freeze(value))) deepFrozen(one);
  return value;
}

const ownOf = (payload: unknown, name: string): unknown =>
  Object.hasOwn(payload as object, name) ? (payload as Outputs)[name] : undefined;

/** `undefined` for a value of another type. */
function typedClaim(value: unknown, type: ClaimType): unknown {
  switch (type) {
    case 'string':
      return typeof value === 'string' ? value : undefined;
    case 'int':
      return Number.isSafeInteger(value) ? value : undefined;
    case 'double':
      return typeof value === 'number' ? value : undefined;
    case 'bool':
      return typeof value === 'boolean' ? value : undefined;
    case 'timestamp': // NumericDate (RFC 7519 section 2)
      return typeof value === 'number' && Math.abs(value) <= MAX_SECONDS ? new Date(value * 1000) : undefined;
    case 'list<string>':
      return wordsOf(value);
    case 'any':
      return value ?? undefined;
  }
}

/** What a Date can hold, 8.64e15 ms. */
const MAX_SECONDS = 8.64e12;

function wordsOf(value: unknown): readonly string[] | undefined {
  if (typeof value === 'string') return value.split(' ').filter((word) => word !== '');
  return Array.isArray(value) && value.every((one) => typeof one === 'string') ? value : undefined;
}
