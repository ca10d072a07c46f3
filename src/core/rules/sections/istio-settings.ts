/** `settings.istio`: what Istio's mesh config and the proxy know, and the documents do not say. */
import type { Fields } from '../../../yaml/fields.ts';
import { textMap } from '../../../yaml/texts.ts';
import type { Findings } from '../../../yaml/findings.ts';
import type { Node } from '../../../yaml/nodes.ts';

export interface IstioSettings {
  /** Of a server for one workload; `undefined`: each call names its workload. */
  readonly workload:
    | {
        readonly namespace: string;
        readonly labels: ReadonlyMap<string, string>;
        /** The host name of its service; `undefined`: each call names it. */
        readonly service: string | undefined;
      }
    | undefined;
  /** Policies in it apply to all namespaces. */
  readonly rootNamespace: string;
  /**
   * The trust domain of the mesh, and its aliases by `settings.trustDomainAliases`: a principal of one of them, or of `cluster.local`,
   * stands for all.
   */
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
  const service = fields.text('service');
  for (const key of ['labels', 'service'])
    if (namespace === undefined && fields.has(key))
      findings.error(
        'RULES_MISSING_KEY',
        fields.place,
        `settings.istio.${key} needs settings.istio.namespace, the namespace of the same workload`,
      );
  const providers = fields.node('providers');
  fields.map('providers', 'settings.istio.providers');
  return {
    workload: namespace === undefined ? undefined : { namespace, labels, service },
    rootNamespace: fields.text('rootNamespace') ?? DEFAULT_ISTIO_SETTINGS.rootNamespace,
    trustDomains: [fields.text('trustDomain') ?? 'cluster.local'],
    providers: new Map(
      providers?.kind === 'map' ? [...providers.entries.values()].map(({ key, value }) => [key, value]) : [],
    ),
  };
}

/** A principal that names an alias of the mesh's trust domain is one of the mesh. */
export function withTrustDomainAliases(settings: IstioSettings, aliases: ReadonlyMap<string, string>): IstioSettings {
  const [own] = settings.trustDomains;
  const ofMesh = [...aliases].flatMap(([alias, meant]) => (meant === own ? [alias] : []));
  return ofMesh.length === 0 ? settings : { ...settings, trustDomains: [...settings.trustDomains, ...ofMesh] };
}
