/** Where a workload runs: `region/zone/sub-zone`, of which the end may be absent. */

export interface Locality {
  readonly region: string;
  readonly zone: string;
  readonly subZone: string;
}

export function localityOf(text: string | undefined): Locality {
  const [region = '', zone = '', subZone = ''] = (text ?? '').split('/');
  return { region, zone, subZone };
}

export const localityText = ({ region, zone, subZone }: Locality): string =>
  [region, zone, subZone].join('/').replace(/\/+$/, '');

/** Of Kubernetes and of Istio, which have no third in Kubernetes. */
export const TOPOLOGY_LABELS = {
  region: 'topology.kubernetes.io/region',
  zone: 'topology.kubernetes.io/zone',
  subZone: 'topology.istio.io/subzone',
} as const;
/** Of Istio, in one; a label takes no slash, so a dot may stand for it. */
const WHOLE = ['topology.istio.io/locality', 'istio-locality'] as const;

export function localityOfLabels(labels: ReadonlyMap<string, string>): string | undefined {
  const parts = Object.values(TOPOLOGY_LABELS).map((name) => labels.get(name));
  if (parts.some((part) => part !== undefined))
    return parts
      .map((part) => part ?? '')
      .join('/')
      .replace(/\/+$/, '');
  const whole = WHOLE.map((name) => labels.get(name)).find((value) => value !== undefined && value !== '');
  return whole?.includes('/') === true ? whole : whole?.replaceAll('.', '/');
}

/** A label of a workload; those of its topology follow from its locality. */
export function labelOrTopology(
  labels: ReadonlyMap<string, string>,
  locality: string | undefined,
  name: string,
): string | undefined {
  const own = labels.get(name);
  if (own !== undefined) return own;
  const part = (Object.keys(TOPOLOGY_LABELS) as (keyof Locality)[]).find((key) => TOPOLOGY_LABELS[key] === name);
  const value = part === undefined ? '' : localityOf(locality)[part];
  return value === '' ? undefined : value;
}
