/** `settings.istio`: what Istio's mesh config and the proxy know, and the documents do not say. */
import type { Fields } from '../../core/rules/fields.ts';
import type { Findings } from '../../core/rules/yaml/findings.ts';
import { type Node, nodeText } from '../../core/rules/yaml/nodes.ts';

export interface IstioSettings {
  /** Of a server for one workload; `undefined`: each call names its workload. */
  readonly workload: { readonly namespace: string; readonly labels: ReadonlyMap<string, string> } | undefined;
  /** Policies in it apply to all namespaces. */
  readonly rootNamespace: string;
  /** The trust domain of the mesh and its aliases: a principal of one of them, or of `cluster.local`, stands for all. */
  readonly trustDomains: readonly string[];
  /** By name of a provider: the `check` of its rules. */
  readonly providers: ReadonlyMap<string, Node>;
}

export const DEFAULT_ISTIO_SETTINGS: IstioSettings = {
  workload: undefined,
  rootNamespace: 'istio-system',
  trustDomains: ['cluster.local'],
  providers: new Map(),
};

export function istioSettings(fields: Fields, findings: Findings): IstioSettings {
  const namespace = fields.text('namespace');
  const labels = textMap(fields.node('labels'), 'settings.istio.labels', findings);
  if (namespace === undefined && fields.has('labels'))
    findings.error(
      'RULES_MISSING_KEY',
      fields.place,
      'settings.istio.labels need settings.istio.namespace, the namespace of the same workload',
    );
  const providers = fields.node('providers');
  fields.map('providers', 'settings.istio.providers');
  return {
    workload: namespace === undefined ? undefined : { namespace, labels },
    rootNamespace: fields.text('rootNamespace') ?? DEFAULT_ISTIO_SETTINGS.rootNamespace,
    trustDomains: [
      fields.text('trustDomain') ?? 'cluster.local',
      ...texts(fields.node('trustDomainAliases'), 'settings.istio.trustDomainAliases', findings),
    ],
    providers: new Map(
      providers?.kind === 'map' ? [...providers.entries.values()].map(({ key, value }) => [key, value]) : [],
    ),
  };
}

/** A list of texts, none of them empty; anything else is a finding. */
export function texts(node: Node | undefined, what: string, findings: Findings): string[] {
  if (node === undefined) return [];
  if (node.kind !== 'list') {
    findings.error('RULES_VALUE', node.place, `${what} must be a list of texts; found ${nodeText(node)}`);
    return [];
  }
  return node.items.flatMap((item) => {
    if (item.kind === 'scalar' && typeof item.value === 'string' && item.value !== '') return [item.value];
    findings.error(
      'RULES_VALUE',
      item.place,
      `${what} must be a list of texts; found ${item.kind === 'scalar' && item.value === '' ? 'empty text' : nodeText(item)}` +
        (item.kind === 'scalar' && typeof item.value === 'number' ? `; quote it: "${item.written}"` : ''),
    );
    return [];
  });
}

export function textMap(node: Node | undefined, what: string, findings: Findings): Map<string, string> {
  const found = new Map<string, string>();
  if (node === undefined) return found;
  if (node.kind !== 'map') {
    findings.error('RULES_VALUE', node.place, `${what} must be a map of texts; found ${nodeText(node)}`);
    return found;
  }
  for (const { key, value } of node.entries.values()) {
    if (value.kind === 'scalar' && typeof value.value === 'string') found.set(key, value.value);
    else findings.error('RULES_VALUE', value.place, `${what}.${key} must be text; found ${nodeText(value)}`);
  }
  return found;
}

/** The principals that one stands for, by the trust domains of the mesh (Istio's pilot/pkg/security/trustdomain). */
export function withAliases(principals: readonly string[], trustDomains: readonly string[]): string[] {
  return principals.flatMap((principal) => {
    const [domain = '', ...rest] = principal.split('/');
    if (rest.length !== 4 || domain === '*') return [principal];
    const isSuffix = domain.startsWith('*');
    const isOf = (known: string): boolean => known === domain || (isSuffix && known.endsWith(domain.slice(1)));
    const isOurs = domain === 'cluster.local' || trustDomains.some((known) => isOf(known) || isPattern(known, domain));
    if (!isOurs) return [principal];
    return [
      ...new Set(trustDomains.map((known) => (isSuffix && isOf(known) ? principal : [known, ...rest].join('/')))),
    ];
  });
}

/** An alias may be a pattern itself. */
const isPattern = (known: string, domain: string): boolean =>
  known === '*' ||
  (known.startsWith('*') && domain.endsWith(known.slice(1))) ||
  (known.endsWith('*') && domain.startsWith(known.slice(0, -1)));
