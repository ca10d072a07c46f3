/**
 * Istio's security documents in a policy.
 * **In**: the documents, `settings.istio`, names of handlers. **Out**: ordinary rules as nodes, whose places are in Istio's files.
 * **Fails**: with findings; nothing is dropped silently.
 */
import type { TimeSlice } from '../../time/time-slice.ts';
import type { Findings } from '../../yaml/findings.ts';
import type { MapNode, Node, Place } from '../../yaml/nodes.ts';
import type { IstioSettings } from '../../core/rules/sections/istio-settings.ts';
import { AuthorizationPolicies } from './authorization-policy.ts';
import { istioObject, refusalWithout, report, type Translation } from './object.ts';
import { Rbac } from './rbac.ts';
import { RBAC_KINDS, RbacObjects } from './rbac-objects.ts';
import { RequestAuthentications } from './request-authentication.ts';

export interface TranslationOptions {
  readonly settings: IstioSettings;
  readonly handlers: ReadonlySet<string>;
  readonly isLenient: boolean;
}

const AUTHORIZATION = 'AuthorizationPolicy';
const AUTHENTICATION = 'RequestAuthentication';
const SECURITY = ['security.istio.io/v1', 'security.istio.io/v1beta1'];
const RBAC = ['rbac.istio.io/v1alpha1'];
const KINDS: ReadonlyMap<string, readonly string[]> = new Map([
  ...[AUTHORIZATION, AUTHENTICATION].map((kind) => [kind, SECURITY] as const),
  ...RBAC_KINDS.map((kind) => [kind, RBAC] as const),
]);

/** Sections of a policy, as nodes. */
export interface Translated {
  readonly rules: readonly Node[];
  readonly handlers: readonly MapNode[];
  readonly attributes: readonly MapNode[];
}

export async function translateIstio(
  documents: readonly MapNode[],
  { settings, handlers, isLenient }: TranslationOptions,
  findings: Findings,
  slice: TimeSlice,
): Promise<Translated> {
  const verifying = documents.filter((root) => textOf(root, 'kind') === AUTHENTICATION).length;
  const claims = verifying > 0 ? 'my.istio.?claims' : 'request.auth.?claims';
  const translation: Translation = { settings, findings, isLenient, handlers, claims };
  const policies = new AuthorizationPolicies(translation);
  const authentications = new RequestAuthentications(translation, verifying > 1);
  const objects = new RbacObjects(translation);
  const rbac = new Rbac(objects, translation);
  const names = new Set<string>();
  let first: Place | undefined;
  for (const root of documents) {
    if (slice.isOver) await slice.next();
    const version = textOf(root, 'apiVersion');
    const kind = textOf(root, 'kind');
    if (KINDS.get(kind)?.includes(version) !== true) {
      const isVersion = [...SECURITY, ...RBAC].includes(version);
      const place = root.entries.get(isVersion ? 'kind' : 'apiVersion')?.value.place ?? root.place;
      report(
        findings,
        'ISTIO_KIND',
        place,
        `Sluice does not translate ${kind} of ${version}, so nothing in it would be in force`,
      );
      continue;
    }
    const object = istioObject(root, findings);
    if (object === undefined) continue;
    const name = `${kind} ${object.namespace}/${object.name}`;
    if (names.has(name))
      findings.error('RULES_DUPLICATE', object.place, `${name} is declared twice; remove one of the two`);
    names.add(name);
    first ??= object.place;
    if (kind === AUTHORIZATION) await policies.add(object, slice);
    else if (kind === AUTHENTICATION) authentications.add(object);
    else objects.add(object);
  }
  policies.end();
  await rbac.end(policies.deciding, slice);
  if (first === undefined) return { rules: [], handlers: [], attributes: [] };
  const { custom, deny, unlessAllowed, allow, audit } = policies.rules;
  const selections = new Set([...policies.selections, ...authentications.selections, ...rbac.selections]);
  const attributes = authentications.attributes(first);
  return {
    rules: [
      ...unknownWorkload(selections, first),
      ...rbac.rules.refusals,
      ...authentications.rules,
      ...[custom, deny, unlessAllowed, rbac.rules.unlessAllowed, allow, rbac.rules.allow, audit].flat(),
    ],
    handlers: authentications.handlers,
    attributes: attributes === undefined ? [] : [attributes],
  };
}

/** A call that does not say for which workload it is would pass all policies that select some. */
function unknownWorkload(selections: ReadonlySet<string>, place: Place): Node[] {
  const read = (attribute: string): boolean => [...selections].some((cel) => cel.includes(attribute));
  const needed = [
    ...(read('destination.?namespace') ? ['destination.namespace'] : []),
    ...(read('destination.service.?name') ? ['destination.service.name'] : []),
  ];
  return needed.map((attribute) => refusalWithout(attribute, place));
}

function textOf(root: MapNode, key: string): string {
  const node = root.entries.get(key)?.value;
  return node?.kind === 'scalar' ? String(node.value) : '?';
}
