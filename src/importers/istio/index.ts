/**
 * Istio's security documents in a policy.
 * **In**: the documents, `settings.istio`, names of handlers. **Out**: ordinary rules as nodes, whose places are in Istio's files.
 * **Fails**: with findings; nothing is dropped silently.
 */
import type { Findings } from '../../core/rules/yaml/findings.ts';
import type { MapNode, Node, Place } from '../../core/rules/yaml/nodes.ts';
import type { IstioSettings } from '../../core/rules/sections/istio-settings.ts';
import { AuthorizationPolicies } from './authorization-policy.ts';
import { mapNode } from './nodes.ts';
import { istioObject, report, type Translation } from './object.ts';
import { RequestAuthentications } from './request-authentication.ts';

export interface TranslationOptions {
  readonly settings: IstioSettings;
  readonly handlers: ReadonlySet<string>;
  readonly isLenient: boolean;
}

const AUTHORIZATION = 'AuthorizationPolicy';
const AUTHENTICATION = 'RequestAuthentication';
const VERSIONS = ['security.istio.io/v1', 'security.istio.io/v1beta1'];

/** Sections of a policy, as nodes. */
export interface Translated {
  readonly rules: readonly Node[];
  readonly handlers: readonly MapNode[];
  readonly attributes: readonly MapNode[];
}

export function translateIstio(
  documents: readonly MapNode[],
  { settings, handlers, isLenient }: TranslationOptions,
  findings: Findings,
): Translated {
  const verifiesTokens = documents.some((root) => textOf(root, 'kind') === AUTHENTICATION);
  const claims = verifiesTokens ? 'my.istio.?claims' : 'request.auth.?claims';
  const translation: Translation = { settings, findings, isLenient, handlers, claims };
  const policies = new AuthorizationPolicies(translation);
  const authentications = new RequestAuthentications(translation);
  const names = new Set<string>();
  let first: Place | undefined;
  for (const root of documents) {
    const version = textOf(root, 'apiVersion');
    const kind = textOf(root, 'kind');
    if (!VERSIONS.includes(version) || (kind !== AUTHORIZATION && kind !== AUTHENTICATION)) {
      const place = root.entries.get(VERSIONS.includes(version) ? 'kind' : 'apiVersion')?.value.place ?? root.place;
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
    if (kind === AUTHORIZATION) policies.add(object);
    else authentications.add(object);
  }
  policies.end();
  if (first === undefined) return { rules: [], handlers: [], attributes: [] };
  const { custom, deny, unlessAllowed, allow, audit } = policies.rules;
  const selections = new Set([...policies.selections, ...authentications.selections]);
  const attributes = authentications.attributes(first);
  return {
    rules: [
      ...unknownWorkload(selections, first),
      ...authentications.rules,
      ...[custom, deny, unlessAllowed, allow, audit].flat(),
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
