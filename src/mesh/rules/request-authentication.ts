/**
 * RequestAuthentication of security.istio.io: gateways route by the claims of its tokens. Who may pass without one, and which headers
 * claims become, is up to `sluice serve`, which reads it, too; what Istio refuses is an error at both.
 */
import { z } from 'zod';
import { duration, labels } from './values.ts';

/** As servers of keys write it, and Envoy reads it: a set, though of one key. */
const keySet = z
  .string()
  .min(1)
  .superRefine((text, context) => {
    const refuse = (message: string): void => context.addIssue({ code: 'custom', message });
    let document: unknown;
    try {
      document = JSON.parse(text);
    } catch {
      return refuse('expected a JSON Web Key Set: {"keys": [...]}; this is no JSON');
    }
    const keys = (document as { readonly keys?: unknown } | null)?.keys;
    if (!Array.isArray(keys)) return refuse('expected a JSON Web Key Set: {"keys": [...]}');
    if (keys.length === 0) return refuse('the key set has no keys, so no token would be valid');
    const at = keys.findIndex((key: unknown) => typeof (key as { readonly kty?: unknown } | null)?.kty !== 'string');
    if (at !== -1) refuse(`keys[${at}] of the key set is no key: it has no kty`);
    return undefined;
  });

const jwksUri = z.url({ protocol: /^https?$/, message: 'expected a URL of http or https' });
const text = z.string().min(1, 'expected a text that is not empty');

const jwtRule = z
  .strictObject({
    issuer: text.optional(),
    audiences: z.array(text).default([]),
    jwksUri: jwksUri.optional(),
    /** The same field by its older name. */
    jwks_uri: jwksUri.optional(),
    jwks: keySet.optional(),
    fromHeaders: z.array(z.strictObject({ name: text, prefix: z.string().optional() })).default([]),
    fromParams: z.array(text).default([]),
    fromCookies: z.array(text).default([]),
    forwardOriginalToken: z.boolean().optional(),
    outputPayloadToHeader: z.string().optional(),
    outputClaimToHeaders: z
      .array(
        z.strictObject({
          header: text.regex(
            /^[-_A-Za-z0-9]+$/,
            'expected the name of a header for a claim: letters, digits, hyphens and underscores',
          ),
          claim: text,
        }),
      )
      .default([]),
    spaceDelimitedClaims: z.array(text).default([]),
    /** Of asking for keys. */
    timeout: duration.optional(),
  })
  .superRefine((rule, context) => {
    const refuse = (path: string, message: string): void => context.addIssue({ code: 'custom', path: [path], message });
    if (rule.jwksUri !== undefined && rule.jwks_uri !== undefined)
      refuse('jwks_uri', 'jwksUri and jwks_uri are the same field; keep one of the two');
    if ((rule.jwksUri ?? rule.jwks_uri) !== undefined && rule.jwks !== undefined)
      refuse('jwks', 'a rule has jwksUri or jwks, not both');
    if ((rule.issuer ?? rule.jwksUri ?? rule.jwks_uri) === undefined)
      refuse('issuer', 'expected the iss of its tokens, which may be left out beside jwksUri');
  });
export type JwtRule = z.output<typeof jwtRule>;

/** Where its keys are asked for. */
export const keysAt = ({ jwksUri, jwks_uri }: JwtRule): string | undefined => jwksUri ?? jwks_uri;

/** By group and kind, as Istio takes them. */
const TARGETS: ReadonlySet<string> = new Set([
  '/Service',
  'core/Service',
  'networking.istio.io/ServiceEntry',
  'gateway.networking.k8s.io/Gateway',
  'gateway.networking.k8s.io/GatewayClass',
]);
const target = z
  .strictObject({ group: z.string().default(''), kind: text, name: text, namespace: z.string().optional() })
  .superRefine(({ group, kind, namespace = '' }, context) => {
    if (!TARGETS.has(`${group}/${kind}`))
      context.addIssue({
        code: 'custom',
        path: ['kind'],
        message: `expected a kind of ${[...TARGETS].join(', ')}, each as group/kind`,
      });
    if (namespace !== '')
      context.addIssue({
        code: 'custom',
        path: ['namespace'],
        message: 'a target is in the namespace of its rule; remove the field',
      });
  });

export const requestAuthentication = z
  .strictObject({
    selector: z.strictObject({ matchLabels: labels.default({}) }).optional(),
    targetRef: target.optional(),
    targetRefs: z.array(target).default([]),
    jwtRules: z.array(jwtRule).default([]),
  })
  .superRefine(({ selector, targetRef, targetRefs }, context) => {
    const written = { selector, targetRef, targetRefs: targetRefs.length === 0 ? undefined : targetRefs };
    const [, second] = Object.entries(written).filter(([, value]) => value !== undefined);
    if (second !== undefined)
      context.addIssue({
        code: 'custom',
        path: [second[0]],
        message: 'expected one of selector, targetRef and targetRefs',
      });
  });
export type RequestAuthentication = z.output<typeof requestAuthentication>;
