/**
 * The identities of workloads, as SPIFFE IDs in Istio's form.
 * **In**: a trust domain, a namespace, a service account; or the text of an ID. **Out**: the other one.
 * **Fails**: with {@link NotSpiffe} for a name that no SPIFFE ID may have; a text that is none is `undefined`.
 */
import { spiffeId as parsed, type SpiffeId } from '../attributes/spiffe.ts';

/** `spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/ACCOUNT` */
export interface WorkloadName {
  readonly trustDomain: string;
  readonly namespace: string;
  readonly serviceAccount: string;
}

/** A SPIFFE ID of a workload in Istio's form. */
export type WorkloadId = SpiffeId & WorkloadName;

/** A part of a SPIFFE ID has a character that the standard does not allow. */
export class NotSpiffe extends Error {}

export function spiffeId({ trustDomain, namespace, serviceAccount }: WorkloadName): string {
  const id = `spiffe://${trustDomain}/ns/${namespace}/sa/${serviceAccount}`;
  const read = parsed(id);
  if (read?.namespace !== namespace || read.serviceAccount !== serviceAccount)
    throw new NotSpiffe(
      `${JSON.stringify(id)} is no SPIFFE ID: a trust domain has lower-case letters, digits, ".", "-" and "_", ` +
        'a namespace and a service account the same and upper-case letters',
    );
  return id;
}

/** Of Istio's form alone; read strictly, since two spellings of one ID would be two identities. */
export function parseWorkloadId(text: string): WorkloadId | undefined {
  const { namespace, serviceAccount, ...id } = parsed(text) ?? {};
  if (namespace === undefined || serviceAccount === undefined) return undefined;
  return { ...(id as SpiffeId), namespace, serviceAccount };
}

export const isTrustDomain = (text: string): boolean => parsed(`spiffe://${text}`)?.path === '';
