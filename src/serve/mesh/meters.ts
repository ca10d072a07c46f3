/**
 * Counters of the control plane, and its families and those of its certificate authority.
 * **In**: what the discovery service and the lists of the Kubernetes API count; states that are read when the page is requested.
 * **Out**: families whose labels have a fixed set of values, whatever proxies and API servers say. **Fails**: never.
 */
import { histogramSamples, type MetricFamily, type MetricSample } from '../../core/metrics/families.ts';
import { HANDLER_BOUNDS_MS, Latency } from '../../core/metrics/meters.ts';
import type { AuthorityState } from '../../identity/authority.ts';
import type { Meters } from '../../kubernetes/index.ts';
import type { ControlPlane } from '../../mesh/control-plane.ts';
import type { KubernetesSourceOptions } from '../../mesh/sources/kubernetes.ts';
import { UNREAD_KINDS } from '../../mesh/sources/unread-kinds.ts';
import { Status, statusName } from '../../transport/index.ts';
import {
  CLUSTER,
  ENDPOINTS,
  LISTENER,
  type ProxyState,
  ROUTES,
  SECRET,
  shortName,
  type XdsMeters,
} from '../../xds/index.ts';
import { counter, gauge, samples } from '../../core/metrics/family.ts';
import { stateOf } from './admin.ts';
import type { MeshLoading } from './mesh-loader.ts';
import type { RootConfigMapsState } from './root-config-maps.ts';

type KindMeters = NonNullable<KubernetesSourceOptions['meters']>;

export interface MeshSources {
  readonly proxies: () => readonly ProxyState[];
  readonly plane: Pick<ControlPlane, 'mesh'>;
  readonly loading: () => MeshLoading;
}

const TYPES: readonly string[] = [CLUSTER, ENDPOINTS, LISTENER, ROUTES, SECRET];
const FORMS: readonly ProxyState['form'][] = ['state of the world', 'delta'];
const STATES = ['synced', 'stale', 'refused'] as const;
/** Their rows are there from the start, so that a rate is known. */
const REFUSED_CODES: readonly number[] = [
  Status.INVALID_ARGUMENT,
  Status.PERMISSION_DENIED,
  Status.RESOURCE_EXHAUSTED,
  Status.UNAUTHENTICATED,
  Status.UNAVAILABLE,
];
const nameOf = (code: number): string => statusName(code) ?? 'UNKNOWN';

interface KindCounts {
  lists: number;
  watches: number;
  failures: number;
}

export class MeshMeters implements XdsMeters {
  readonly #pushes = typeCounts();
  readonly #refusals = typeCounts();
  readonly #refusedStreams = new Map(REFUSED_CODES.map((code) => [nameOf(code), 0]));
  readonly #durations = new Latency(HANDLER_BOUNDS_MS);
  readonly #kinds = new Map<string, KindCounts>();

  readonly pushed = (typeUrl: string): void => increment(this.#pushes, typeOf(typeUrl));
  readonly accepted = (sinceChangeMs: number): void => this.#durations.add(sinceChangeMs);
  readonly streamRefused = (code: number): void => increment(this.#refusedStreams, nameOf(code));

  refused(typeUrl: string): void {
    increment(this.#refusals, typeOf(typeUrl));
  }

  readonly ofKind: KindMeters = (kind): Meters => {
    const counts = this.#kinds.get(kind) ?? { lists: 0, watches: 0, failures: 0 };
    this.#kinds.set(kind, counts);
    return {
      list: () => void counts.lists++,
      watch: () => void counts.watches++,
      failure: () => void counts.failures++,
    };
  };

  families({ proxies, plane, loading }: MeshSources): readonly MetricFamily[] {
    return [
      gauge('sluice_mesh_proxies', 'Connected proxies, by the form of their stream and by their state.', () =>
        proxySamples(proxies()),
      ),
      counter('sluice_mesh_streams_refused_total', 'Streams of proxies that were refused, by the gRPC code.', () =>
        samples('code', this.#refusedStreams),
      ),
      counter('sluice_mesh_pushes_total', 'Responses made for proxies, by the type of their resources.', () =>
        samples('type', this.#pushes),
      ),
      counter(
        'sluice_mesh_refusals_total',
        'Responses that a proxy refused (NACK), by the type of their resources.',
        () => samples('type', this.#refusals),
      ),
      {
        kind: 'histogram',
        name: 'sluice_mesh_push_duration_seconds',
        help: 'Time from a changed mesh until a proxy has accepted everything that the change brings it.',
        read: () => histogramSamples({}, this.#durations),
      },
      counter('sluice_mesh_loads_total', 'Meshes that came into force, and changed files that were refused.', () => {
        const { loaded, refused } = loading().loads;
        return samples('result', [
          ['loaded', loaded],
          ['refused', refused],
        ]);
      }),
      gauge(
        'sluice_mesh_last_load_successful',
        '1 if the files that were read last are in force; 0 if they were refused and the previous ones stay (see /mesh).',
        () => Number(loading().refusal === undefined),
      ),
      gauge(
        'sluice_mesh_loaded_timestamp_seconds',
        'Time at which the mesh in force was made, in seconds since 1970.',
        () => {
          const { atMs } = loading();
          return atMs && atMs / 1000;
        },
      ),
      gauge('sluice_mesh_services', 'Services of the mesh in force.', () => plane.mesh.services.size),
      ...this.#kubernetesFamilies(loading),
    ];
  }

  #kubernetesFamilies(loading: MeshSources['loading']): readonly MetricFamily[] {
    const perKind = (name: string, help: string, read: (counts: KindCounts) => number): MetricFamily =>
      counter(`sluice_mesh_kubernetes_${name}_total`, help, () =>
        [...this.#kinds].map(([kind, counts]) => ({ labels: { kind }, value: read(counts) })),
      );
    return [
      gauge('sluice_mesh_kubernetes_synced', '1 once every list of the Kubernetes API has been complete.', () => {
        const { kubernetes } = loading();
        return kubernetes && Number(kubernetes.isSynced);
      }),
      gauge(
        'sluice_mesh_kubernetes_objects_with_errors',
        'Objects of the Kubernetes API that are used in their last good version, or are left out (see /mesh).',
        () => loading().kubernetes?.objectsWithErrors,
      ),
      gauge(
        'sluice_mesh_kubernetes_objects_without_effect',
        'Objects of the Kubernetes API of kinds of Istio that proxies do not follow, by kind (see /mesh).',
        () => {
          const unread = loading().kubernetes?.unread;
          return unread && samples('kind', countsOf(unread.map(({ kind }) => kind)));
        },
      ),
      perKind(
        'lists',
        'Lists begun, by the kind of object: at the start, and when a watch could not be continued.',
        (of) => of.lists,
      ),
      perKind('watches', 'Watches opened, by the kind of object; each lasts five to ten minutes.', (of) => of.watches),
      perKind(
        'failures',
        'Requests to the API server that failed, by the kind of object; or by `discovery` of the kinds that it has.',
        (of) => of.failures,
      ),
    ];
  }
}

export interface IdentitySources {
  readonly authority: () => AuthorityState;
  readonly refusals: () => Readonly<Record<string, number>>;
  readonly refusedConnections: MetricFamily;
  readonly workloads: () => number;
  /** undefined: none are written. */
  readonly rootConfigMaps: () => RootConfigMapsState | undefined;
}

export const identityFamilies = ({
  authority,
  refusals,
  refusedConnections,
  workloads,
  rootConfigMaps,
}: IdentitySources): readonly MetricFamily[] => [
  counter('sluice_identity_certificates_issued_total', 'Certificates issued.', () => authority().issued),
  counter('sluice_identity_refused_total', 'Requests for certificates that were refused, by the reason.', () =>
    Object.entries(refusals()).map(([reason, value]) => ({ labels: { reason: reason.replaceAll(' ', '_') }, value })),
  ),
  {
    ...refusedConnections,
    name: 'sluice_identity_refused_connections_total',
    help: 'Refused connections to the secure port: cleartext, or a failed handshake.',
  },
  gauge(
    'sluice_identity_root_end_timestamp_seconds',
    'Time at which the root ends, in seconds since 1970; of several the first end.',
    () => Math.min(...authority().roots.map(({ endsAtMs }) => endsAtMs)) / 1000,
  ),
  gauge(
    'sluice_identity_signer_end_timestamp_seconds',
    'Time at which the signing certificate ends, in seconds since 1970.',
    () => authority().signerEndsAtMs / 1000,
  ),
  gauge(
    'sluice_identity_workloads',
    'Identities whose certificate and key the control plane keeps, for proxies without an agent.',
    workloads,
  ),
  gauge(
    'sluice_identity_root_config_maps',
    'Namespaces whose ConfigMap has the roots in force (current), and those where it is still to be written (due).',
    () => {
      const state = rootConfigMaps();
      if (state === undefined) return undefined;
      const { current, namespaces } = state;
      return samples('state', [
        ['current', current],
        ['due', namespaces - current],
      ]);
    },
  ),
];

function proxySamples(proxies: readonly ProxyState[]): MetricSample[] {
  const states = proxies.map((proxy) => ({ form: proxy.form, state: stateOf(proxy) }));
  return FORMS.flatMap((form) =>
    STATES.map((state) => ({
      labels: { form: form.replaceAll(' ', '_'), state },
      value: states.filter((proxy) => proxy.form === form && proxy.state === state).length,
    })),
  );
}

/** Clients may ask for types that no mesh has. */
const typeOf = (typeUrl: string): string => (TYPES.includes(typeUrl) ? shortName(typeUrl) : OTHER);
const OTHER = 'other';
const typeCounts = (): Map<string, number> => new Map([...TYPES.map(shortName), OTHER].map((type) => [type, 0]));

function countsOf(kinds: readonly string[]): Iterable<readonly [string, number]> {
  const counts = new Map(Object.keys(UNREAD_KINDS).map((kind) => [kind, 0]));
  for (const kind of kinds) increment(counts, kind);
  return counts;
}

function increment<K>(counts: Map<K, number>, key: K): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}
