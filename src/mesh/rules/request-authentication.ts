/**
 * RequestAuthentication of security.istio.io, as far as gateways route by the claims of its tokens. Who may pass without one, and what is
 * wrong in its other fields, is up to `sluice serve`, which reads it, too.
 */
import { z } from 'zod';
import { labels } from './values.ts';

const jwtRule = z.looseObject({
  issuer: z.string().min(1).optional(),
  audiences: z.array(z.string()).default([]),
  jwksUri: z.url({ protocol: /^https?$/, message: 'expected a URL of http or https' }).optional(),
  jwks: z.string().min(1).optional(),
  fromHeaders: z.array(z.looseObject({ name: z.string().min(1), prefix: z.string().optional() })).default([]),
  fromParams: z.array(z.string()).default([]),
  fromCookies: z.array(z.string()).default([]),
  spaceDelimitedClaims: z.array(z.string()).default([]),
});
export type JwtRule = z.output<typeof jwtRule>;

const target = z.looseObject({ kind: z.string(), name: z.string() });

export const requestAuthentication = z.looseObject({
  selector: z.looseObject({ matchLabels: labels.default({}) }).optional(),
  targetRef: target.optional(),
  targetRefs: z.array(target).default([]),
  jwtRules: z.array(jwtRule).default([]),
});
export type RequestAuthentication = z.output<typeof requestAuthentication>;
