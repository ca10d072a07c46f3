/**
 * Istio's security documents in a policy.
 * **In**: the documents, `settings.istio`, names of handlers. **Out**: ordinary rules as nodes, whose places are in Istio's files.
 * **Fails**: with findings; nothing is dropped silently.
 */
import type { Findings } from '../../core/rules/yaml/findings.ts';
import type { MapNode, Node, Place } from '../../core/rules/yaml/nodes.ts';
import { AuthorizationPolicies } from './authorization-policy.ts';
import { mapNode } from './nodes.ts';
import { istioObject, report, type Translation } from './object.ts';
import type { IstioSettings } from './settings.ts';

export { DEFAULT_ISTIO_SETTINGS, istioSettings, type IstioSettings } from './settings.ts';

export interface TranslationOptions {
  readonly settings: IstioSettings;
  readonly handlers: ReadonlySet<string>;
  readonly isLenient: boolean;
}

/** Whether the importer reads a document with this `apiVersion`; it refuses kinds that it does not know. */
export const isIstio = (apiVersion: string): boolean => apiVersion.startsWith('security.istio.io/');

const VERSIONS = ['security.istio.io/v1', 'security.istio.io/v1beta1'];

export function translateIstio(
  documents: readonly MapNode[],
  { settings, handlers, isLenient }: TranslationOptions,
  findings: Findings,
): readonly Node[] {
  const translation: Translation = { settings, findings, isLenient, handlers, claims: 'request.auth.?claims' };
  const policies = new AuthorizationPolicies(translation);
  const names = new Set<string>();
  let first: Place | undefined;
  for (const root of documents) {
    const version = textOf(root, 'apiVersion');
    const kind = textOf(root, 'kind');
    const place = root.entries.get(VERSIONS.includes(version) ? 'kind' : 'apiVersion')?.value.place ?? root.place;
    if (!VERSIONS.includes(version) || kind !== 'AuthorizationPolicy') {
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
    policies.add(object);
  }
  policies.end();
  const { custom, deny, unlessAllowed, allow, audit } = policies.rules;
  const rules = [...custom, ...deny, ...unlessAllowed, ...allow, ...audit];
  return first === undefined ? rules : [...unknownWorkload(policies.selections, first), ...rules];
}

/** A call that does not say for which workload it is would pass all policies that select some. */
function unknownWorkload(selections: ReadonlySet<string>, place: Place): Node[] {
  const read = (attribute: string): boolean => [...selections].some((cel) => cel.includes(attribute));
  const needed = [
    ...(read('destination.?namespace') ? ['destination.namespace'] : []),
    ...(read('destination.service.?name') ? ['destination.service.name'] : []),
  ];
  return needed.map((attribute) =>
    mapNode(
      {
        name: `istio-needs-${attribute.replaceAll('.', '-')}`,
        description: `Policies of Istio select workloads, and this call does not carry ${attribute} (docs/istio.md).`,
        match: `!has(${attribute})`,
        calls: ['http', 'tcp'],
        deny: { status: 503, body: `${attribute} of the workload is unknown` },
      },
      place,
    ),
  );
}

function textOf(root: MapNode, key: string): string {
  const node = root.entries.get(key)?.value;
  return node?.kind === 'scalar' ? String(node.value) : '?';
}
