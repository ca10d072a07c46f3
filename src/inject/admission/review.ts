/**
 * One AdmissionReview of an API server.
 * **In**: its body, how pods are injected. **Out**: the body of the answer, in the version that was asked, and what came of it.
 * **Fails**: with a {@link ReviewError} for what is no review; a pod that cannot be injected is refused in the answer.
 */
import { messageOf } from '../../text/message-of.ts';
import type { MeshConfig } from '../configs.ts';
import { isObject, type JsonObject } from '../../text/json-object.ts';
import { type InjectConfig, type Injection, type Pod } from '../contract.ts';
import { InjectError, type InjectErrorCode } from '../errors.ts';
import { compiledOf, injectionFor } from '../injection.ts';
import { podOf } from '../pod.ts';
import { type DecisionConfig, type SkipReason, whySkipped } from './decision.ts';
import { ownerOf } from './owner.ts';
import { patchOf } from './patch.ts';

/** What a server needs to inject. */
export interface Injector {
  readonly decision: DecisionConfig;
  /** Throws an {@link InjectError}. */
  readonly injectionFor: (pod: Pod, owner: JsonObject) => Injection;
}

/** A template with an error is one of the configuration, not of each pod: throws an {@link InjectError}. */
export function injectorOf(config: InjectConfig, mesh: MeshConfig): Injector {
  compiledOf(config);
  return { decision: config, injectionFor: (pod, owner) => injectionFor(pod, owner, config, mesh) };
}

export interface Reviewed {
  /** JSON. */
  readonly body: string;
  readonly outcome:
    | { readonly kind: 'injected' }
    | { readonly kind: 'skipped'; readonly reason: SkipReason }
    | { readonly kind: 'failed'; readonly why: string; readonly error: unknown };
  /** NAMESPACE/NAME, for logs; generated names end with `-?`. */
  readonly pod: string;
}

/** The body is no AdmissionReview, so that there is nothing to answer in. */
export class ReviewError extends Error {
  override readonly name = 'ReviewError';
}

/** Faults that the author of the pod corrects; all others are faults of this configuration. */
const POD_FAULTS: readonly InjectErrorCode[] = ['INJECT_ANNOTATION', 'INJECT_OBJECT'];

const GROUP = 'admission.k8s.io';
const VERSIONS = [`${GROUP}/v1`, `${GROUP}/v1beta1`];

export function answerReview(body: string, injector: Injector): Reviewed {
  const { decision } = injector;
  const { apiVersion, request } = parsed(body);
  const { uid } = request;
  const pod = createdPod(request);
  const namespace = textOf(pod?.metadata['namespace']) || textOf(request['namespace']);
  const name = `${namespace}/${nameOf(request, pod)}`;
  const answer = (response: JsonObject, outcome: Reviewed['outcome']): Reviewed => ({
    body: JSON.stringify({ apiVersion, kind: 'AdmissionReview', response: { uid, ...response } }),
    outcome,
    pod: name,
  });
  if (pod === undefined) return answer({ allowed: true }, { kind: 'skipped', reason: 'not_a_pod' });
  const reason = whySkipped(pod, namespace, decision);
  if (reason !== undefined) return answer({ allowed: true }, { kind: 'skipped', reason });
  try {
    const injection = injector.injectionFor(podOf(pod.metadata, pod.spec), ownerOf(pod.metadata));
    const patch = Buffer.from(JSON.stringify(patchOf(pod, injection))).toString('base64');
    const warnings = injection.warnings.length === 0 ? {} : { warnings: injection.warnings };
    return answer({ allowed: true, patchType: 'JSONPatch', patch, ...warnings }, { kind: 'injected' });
  } catch (error) {
    const why = messageOf(error);
    const isOfPod = error instanceof InjectError && POD_FAULTS.includes(error.code);
    const status = isOfPod
      ? { status: 'Failure', code: 400, reason: 'BadRequest', message: why }
      : { status: 'Failure', code: 500, reason: 'InternalError', message: why };
    return answer({ allowed: false, status }, { kind: 'failed', why, error });
  }
}

function parsed(body: string): { readonly apiVersion: string; readonly request: JsonObject } {
  let review: unknown;
  try {
    review = JSON.parse(body);
  } catch (error) {
    throw new ReviewError(`the body is not JSON: ${messageOf(error)}`, { cause: error });
  }
  const { apiVersion, kind, request } = isObject(review) ? review : {};
  if (kind !== 'AdmissionReview' || !isObject(request))
    throw new ReviewError('the body is not an AdmissionReview with a request');
  if (typeof apiVersion !== 'string' || !VERSIONS.includes(apiVersion))
    throw new ReviewError(`apiVersion is ${JSON.stringify(apiVersion)}; expected ${VERSIONS.join(' or ')}`);
  if (typeof request['uid'] !== 'string') throw new ReviewError('the request has no uid');
  return { apiVersion, request };
}

/** Absent for all but the creation of a pod. A pod that its author gave no namespace has that of the request. */
function createdPod(request: JsonObject): Pod | undefined {
  const { operation, kind, object, subResource } = request;
  const isCreated = operation === undefined || operation === 'CREATE';
  const isPod = !isObject(kind) || kind['kind'] === 'Pod';
  if (!isCreated || !isPod || textOf(subResource) !== '' || !isObject(object)) return undefined;
  const [metadata, spec] = [object['metadata'] ?? {}, object['spec'] ?? {}];
  if (!isObject(metadata) || !isObject(spec)) return undefined;
  return { metadata: { ...metadata, namespace: textOf(request['namespace']) || textOf(metadata['namespace']) }, spec };
}

function nameOf(request: JsonObject, pod: Pod | undefined): string {
  const generated = textOf(pod?.metadata['generateName']);
  return textOf(request['name']) || textOf(pod?.metadata['name']) || (generated === '' ? '?' : `${generated}?`);
}

const textOf = (value: unknown): string => (typeof value === 'string' ? value : '');
