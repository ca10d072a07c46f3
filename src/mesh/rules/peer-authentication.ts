/** Whether a workload takes mutual TLS: PeerAuthentication of today, and Policy and MeshPolicy of Istio 1.0.2. */
import { z } from 'zod';
import { host, labels, port, unsupported } from './values.ts';

/** `UNSET` inherits. */
const mtls = z.strictObject({ mode: z.enum(['UNSET', 'DISABLE', 'PERMISSIVE', 'STRICT']).default('UNSET') });

export const peerAuthentication = z
  .strictObject({
    selector: z.strictObject({ matchLabels: labels.default({}) }).optional(),
    mtls: mtls.optional(),
    /** By port of the workload, not of a service. */
    portLevelMtls: z.record(z.string(), mtls).optional(),
  })
  .superRefine(({ selector, portLevelMtls }, context) => {
    if (portLevelMtls === undefined) return;
    const refuse = (message: string, ...path: readonly string[]): void =>
      context.addIssue({ code: 'custom', path: ['portLevelMtls', ...path], message });
    if (Object.keys(portLevelMtls).length === 0) refuse('expected at least one port');
    if (Object.keys(selector?.matchLabels ?? {}).length === 0)
      refuse('ports belong to a workload, so a selector with matchLabels is needed');
    for (const key of Object.keys(portLevelMtls))
      if (!/^\d+$/.test(key) || !port.safeParse(Number(key)).success)
        refuse('expected the number of a port of the workload', key);
  });
export type PeerAuthentication = z.output<typeof peerAuthentication>;

const TOKENS = 'tokens of requests are verified by sluice serve, from a RequestAuthentication';

/** 1.0.2; `mtls:` without a mode is STRICT. */
const peer = z.strictObject({
  mtls: z
    .strictObject({
      mode: z.enum(['STRICT', 'PERMISSIVE']).default('STRICT'),
      allowTls: unsupported('use mode PERMISSIVE'),
    })
    .nullable(),
  jwt: unsupported(TOKENS),
});

const authentication = {
  /** Without one, calls come in cleartext. */
  peers: z.array(peer).max(1, 'expected one peer method').default([]),
  peerIsOptional: z.literal(false, 'use mode PERMISSIVE of mtls').optional(),
  origins: unsupported(TOKENS),
  originIsOptional: z.boolean().optional(),
  principalBinding: z.literal('USE_PEER', TOKENS).optional(),
};

const target = z.strictObject({
  /** The short name of a service in the namespace of the Policy. */
  name: host,
  /** Ports of the service. */
  ports: z
    .array(
      z
        .strictObject({ number: port.optional(), name: z.string().min(1).optional() })
        .refine(({ number, name }) => (number === undefined) !== (name === undefined), {
          message: 'expected one of number and name',
        }),
    )
    .default([]),
});
export type AuthenticationTarget = z.output<typeof target>;

/** 1.0.2, for a namespace or some of its services. */
export const authenticationPolicy = z.strictObject({ ...authentication, targets: z.array(target).default([]) });
/** 1.0.2, for the whole mesh. */
export const meshPolicy = z.strictObject(authentication);
export type AuthenticationPolicy = z.output<typeof authenticationPolicy>;
export type MeshPolicy = z.output<typeof meshPolicy>;
