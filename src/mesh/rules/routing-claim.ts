/** A claim of a token in the place of a header: `@request.auth.claims.groups`, or `@request.auth.claims[realm_access][roles]`. */
const PREFIX = '@request.auth.claims';

/** The keys of the claim, from the outermost; `undefined`: no claim is meant, or none is named. */
export function routingClaim(name: string): readonly string[] | undefined {
  if (!isClaimName(name)) return undefined;
  const path = name.slice(PREFIX.length);
  const inBrackets = /^\[(.+)\]$/.exec(path)?.[1];
  if (inBrackets !== undefined) return inBrackets.split('][');
  return path.startsWith('.') && path.length > 1 ? path.slice(1).split('.') : undefined;
}

export const isClaimName = (name: string): boolean => name.toLowerCase().startsWith(PREFIX);
