/** An answer of the server (RFC 7662 section 2.2). */
import { Rejected } from 'sluice/plugin';
import { Refused } from '../tokens/refused.ts';

export interface Active {
  readonly outputs: Readonly<Record<string, unknown>>;
  readonly scopes: readonly string[];
  /** Milliseconds since 1970. */
  readonly untilMs: number;
}

/** Throws {@link Rejected} if it does not say whether the token is active. */
export function activeOf(
  document: unknown,
  { audiences, nowMs }: { readonly audiences: readonly string[]; readonly nowMs: number },
): Active | Refused {
  if (
    typeof document !== 'object' ||
    document === null ||
    !('active' in document) ||
    typeof document.active !== 'boolean'
  )
    throw new Rejected('its answer does not say whether the token is active');
  if (!document.active) return INACTIVE;
  const claims = document as Readonly<Record<string, unknown>>;
  const { exp, aud, scope } = claims;
  const untilMs = typeof exp === 'number' ? exp * 1000 : Infinity;
  if (untilMs <= nowMs) return INACTIVE;
  const named =
    typeof aud === 'string' ? [aud] : Array.isArray(aud) ? aud.filter((one) => typeof one === 'string') : [];
  if (audiences.length > 0 && !audiences.some((audience) => named.includes(audience))) return WRONG_AUDIENCE;
  const scopes = typeof scope === 'string' ? scope.split(' ').filter((word) => word !== '') : [];
  const outputs = {
    issuer: textOf(claims['iss']),
    subject: textOf(claims['sub']),
    client: textOf(claims['client_id']),
    username: textOf(claims['username']),
    audiences: named,
    expires: untilMs === Infinity ? undefined : new Date(untilMs),
    scopes,
    claims: Object.freeze(document),
  };
  return {
    outputs: Object.fromEntries(Object.entries(outputs).filter(([, value]) => value !== undefined)),
    scopes,
    untilMs,
  };
}

/** Control characters are left out of headers, so that `ann` and `an\nn` would be one. */
function textOf(value: unknown): string | undefined {
  if (value === undefined) return undefined;
  if (typeof value !== 'string' || /\p{Cc}/u.test(value))
    throw new Rejected('its answer has a name that is not plain text');
  return value;
}

const INACTIVE = new Refused('invalid_token', 'the token is not active');
const WRONG_AUDIENCE = new Refused('wrong_audience', 'the token is for another audience');
