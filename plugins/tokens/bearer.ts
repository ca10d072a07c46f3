/**
 * What handlers of bearer tokens have in common: params, and how a verified token becomes an answer (RFC 6750).
 * **In**: how a call's token is found and verified. **Out**: `check` and `lookup` of a handler. **Fails**: as the verification does.
 */
import { z } from 'zod';
import { allow, type CheckAnswer, type LookupAnswer } from 'sluice/plugin';
import { Denials, type DenialOptions } from './denial.ts';
import type { Location } from './location-config.ts';
import { type FoundToken, type Inputs, shownLocations } from './locations.ts';
import { Refused } from './refused.ts';

/** Of `params` of a check. */
export const bearerParams = {
  required: z
    .boolean()
    .default(true)
    .describe('Whether a call without a token is denied. A token that is there must be valid in any case.'),
  scopes: z
    .array(z.string().regex(/^[!#-[\]-~]+$/, 'a scope is printable ASCII without blanks, quotes and backslashes'))
    .default([])
    .describe('Scopes that the token must have, all of them; else the answer is 403, insufficient_scope.')
    .meta({ examples: [['orders:read']] }),
};
type BearerParams = z.output<z.ZodObject<typeof bearerParams>>;

/** Of a config. */
export const realmSchema = z
  .string()
  .regex(/^[ !#-[\]-~]*$/, 'it must be printable ASCII without quotes and backslashes')
  .optional()
  .describe('The realm in www-authenticate.');

/** A verified token. */
export interface Proven {
  readonly scopes: readonly string[];
  readonly outputs: Readonly<Record<string, unknown>>;
}
type Proof = Proven | Refused;

export interface BearerTokens {
  readonly locations: readonly Location[];
  readonly find: (inputs: Inputs) => FoundToken | Refused | undefined;
  readonly verify: (found: FoundToken) => Proof | Promise<Proof>;
}

export function bearerCheck(
  { locations, find, verify }: BearerTokens,
  { required, scopes }: BearerParams,
  options: DenialOptions,
): (inputs: Inputs) => CheckAnswer | Promise<CheckAnswer> {
  const denials = new Denials(options);
  const missing = `no token in ${shownLocations(locations)}`;
  const passed = allow();
  const answerOf = (proof: Proof): CheckAnswer => {
    if (proof instanceof Refused) return denials.refused(proof);
    const lacking = scopes.find((scope) => !proof.scopes.includes(scope));
    return lacking === undefined ? passed : denials.insufficient(scopes, `the token lacks the scope ${lacking}`);
  };
  return (inputs) => {
    const found = find(inputs);
    if (found === undefined) return required ? denials.missing(missing) : passed;
    const proof = found instanceof Refused ? found : verify(found);
    return proof instanceof Promise ? proof.then(answerOf) : answerOf(proof);
  };
}

/** Nothing is known of a call without a valid token. */
export function bearerLookup({ find, verify }: BearerTokens): (inputs: Inputs) => LookupAnswer | Promise<LookupAnswer> {
  const valuesOf = (proof: Proof): LookupAnswer => (proof instanceof Refused ? undefined : proof.outputs);
  return (inputs) => {
    const found = find(inputs);
    if (found === undefined || found instanceof Refused) return undefined;
    const proof = verify(found);
    return proof instanceof Promise ? proof.then(valuesOf) : valuesOf(proof);
  };
}
