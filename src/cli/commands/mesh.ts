import { Argument, Option } from 'commander';
import type { MeshFlags, MeshLintFlags, MeshViewFlags } from '../actions/mesh.ts';
import { allFindingsOption, type CommandSpec, jsonOption } from '../command.ts';
import { logOptions } from '../server-flags.ts';

const CONFIGS = 'files and folders with objects of Istio and Kubernetes, in YAML';
const configs = (): Argument => new Argument('<config...>', CONFIGS);
const admin = (): Option =>
  new Option('--to <host:port>', 'the admin port of `sluice mesh`').default('127.0.0.1:15020');
const domain = (): Option => new Option('--domain <name>', 'the domain of the mesh').default('cluster.local');

const meshConfigFile = (): Option =>
  new Option(
    '--meshConfigFile <file>',
    "Istio's MeshConfig, read at start; docs/mesh.md lists its words that have a meaning here",
  );

/** Defaults stand in the action, so that a flag without --secure is found. */
const ofIdentities = (): readonly Option[] => [
  new Option(
    '--secure <host:port>',
    'the TLS port where workloads get certificates, and the secrets of their own identity; Istio has 15012; default: none',
  ),
  new Option('--secure-names <names>', 'hosts and IP addresses by which clients know that port, separated by commas'),
  new Option(
    '--trust-domain <name>',
    'of the identities spiffe://NAME/ns/NAMESPACE/sa/ACCOUNT; default: cluster.local',
  ),
  new Option('--trust-domain-aliases <names>', 'earlier names of the trust domain, separated by commas'),
  new Option('--ca-folder <folder>', 'where the certificate authority keeps its own root; default: in memory'),
  new Option('--self-signed-ca-cert-ttl <time>', 'of its own root; default: 3650d'),
  new Option('--root-cert <file>', 'instead of a root of its own: what workloads trust'),
  new Option('--signing-cert <file>', 'the certificate that signs, a root or below one'),
  new Option('--signing-key <file>', 'its key'),
  new Option('--cert-chain <file>', 'the certificates between it and the root'),
  new Option('--workload-cert-ttl <time>', 'of certificates whose workload asks for no other; default: 24h'),
  new Option('--max-workload-cert-ttl <time>', 'the longest that a workload may ask for; default: 90d'),
  new Option('--jwks <file|url>', 'the public keys of the issuer of tokens, as a file or at an https URL'),
  new Option('--token-issuer <issuer>', 'what tokens name as their issuer (iss)'),
  new Option('--token-audience <audience>', 'for whom tokens must be (aud); default: istio-ca'),
  new Option(
    '--root-config-maps <how>',
    'whether the roots are written into the ConfigMap istio-ca-root-cert of each namespace of the API server, which injected pods mount; default: on',
  ).choices(['on', 'off']),
];

export const mesh: CommandSpec = {
  name: 'mesh',
  help: {
    summary: 'the control plane of a mesh: tell Envoys where services are, and how calls go',
    description:
      'Serves the discovery service (xDS v3) to Envoys, from objects of Istio (ServiceEntry, WorkloadEntry, VirtualService, DestinationRule,\n' +
      'Gateway, Sidecar) and of Kubernetes (Services, their endpoints, Pods), in files or in an API server, until it is stopped.\n' +
      'docs/mesh.md says what each comes to.',
    after: `
A change reaches all proxies, clusters before the routes that need them. Files with errors change nothing, and their errors are shown; an
object of the API server with errors is used as it was before.
SIGTERM or Ctrl-C stops it; proxies go on with what they have.`,
  },
  args: [new Argument('[config...]', `${CONFIGS}; none with --kubeconfig or --in-cluster`)],
  flags: [
    new Option('--xds <host:port>', 'the gRPC port for Envoy').default('127.0.0.1:15010'),
    new Option('--admin <host:port>', 'the HTTP port for operators: /mesh /mesh/proxies').default('127.0.0.1:15020'),
    domain(),
    new Option(
      '--outbound <mode>',
      'calls to hosts that the mesh does not know; default: outboundTrafficPolicy of the MeshConfig, else ALLOW_ANY',
    ).choices(['ALLOW_ANY', 'REGISTRY_ONLY']),
    new Option(
      '--sluice <cluster>',
      'the static cluster in the bootstrap of proxies whose address is `sluice serve`: inbound calls are checked, limited and logged by it; ' +
        'default: none',
    ),
    new Option('--fail <how>', 'inbound calls while Sluice is away').choices(['open', 'closed']).default('open'),
    ...logOptions(),
    new Option('--kubeconfig <file>', 'read the mesh from the API server of a kubeconfig, too, and watch it'),
    new Option('--context <name>', 'of the kubeconfig; default: its current one'),
    new Option('--in-cluster', 'read the mesh from the API server of the cluster in which this runs as a pod'),
    new Option(
      '--watch-namespaces <names>',
      'of the API server, separated by commas; the root namespace istio-system counts only if it is named; default: all',
    ),
    ...ofIdentities(),
    meshConfigFile(),
  ],
  run: async (paths: readonly string[], flags: MeshFlags) =>
    (await import('../actions/mesh.ts')).serveMesh(paths, flags),
  subcommands: [
    {
      name: 'lint',
      help: { description: 'print every error and warning of a mesh, as file:line:col CODE message' },
      args: [configs()],
      flags: [
        domain(),
        new Option('--secure', 'for a control plane with --secure: rules of mutual TLS have an effect'),
        allFindingsOption(),
        jsonOption(),
        meshConfigFile(),
      ],
      run: async (paths: readonly string[], flags: MeshLintFlags) =>
        (await import('../actions/mesh.ts')).lintMesh(paths, flags),
    },
    {
      name: 'status',
      help: {
        summary: 'which proxies have the newest configuration',
        description: 'Prints each proxy of a running control plane: synced, stale or refused, and what it refuses.',
      },
      flags: [admin(), jsonOption()],
      run: async (flags: MeshViewFlags) => (await import('../actions/mesh.ts')).meshStatus(flags),
    },
    {
      name: 'show',
      help: { description: 'print what a proxy gets, in the JSON of Envoy' },
      args: [
        new Argument('<proxy>', 'POD.NAMESPACE, as sluice mesh status lists it'),
        new Argument('<what>', 'the type of resources').choices(['clusters', 'endpoints', 'listeners', 'routes']),
      ],
      flags: [admin(), jsonOption()],
      run: async (proxy: string, what: string, flags: MeshViewFlags) =>
        (await import('../actions/mesh.ts')).meshShow(proxy, what, flags),
    },
  ],
};
