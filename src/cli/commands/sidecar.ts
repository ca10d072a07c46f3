import { Argument, Option } from 'commander';
import type { SidecarFlags } from '../actions/sidecar.ts';
import type { WaitFlags } from '../actions/sidecar-wait.ts';
import type { CommandSpec } from '../command.ts';

/** Arguments of Istio's agent that need nothing of this one: they are read, and have no effect. */
const WITHOUT_EFFECT = [
  '--discoveryRefreshDelay',
  '--zipkinAddress',
  '--statsdUdpAddress',
  '--parentShutdownDuration',
  '--applicationPorts',
  '--trust-domain',
] as const;

export const sidecar: CommandSpec = {
  name: 'sidecar',
  aliases: ['proxy'], // the arguments of Istio's containers begin with `proxy sidecar`
  help: {
    summary: 'run the Envoy of a workload as a member of `sluice mesh`',
    description:
      "Writes the bootstrap of an Envoy from arguments and environment of Istio's agent, runs it as a child, passes signals on, and ends with\n" +
      'its exit code. With --caAddress an agent in this process holds its key, and renews its certificate. POD_NAME, POD_NAMESPACE, INSTANCE_IP and SERVICE_ACCOUNT say who the workload is, ISTIO_META_NAME=VALUE and\n' +
      'ISTIO_METAJSON_NAME=JSON are its metadata: ISTIO_META_INTERCEPTION_MODE=NONE, ISTIO_METAJSON_LABELS=\'{"app":"reviews"}\'.',
    after:
      '\nSIGTERM drains: connections are closed with the next answer, nobody listens after --drainDuration, and Envoy ends with the last call, at\nthe latest after as long again; a second signal ends it at once.',
  },
  args: [new Argument('[type]', 'the kind of proxy').choices(['sidecar', 'router']).default('sidecar')],
  flags: [
    new Option(
      '--discoveryAddress <host:port>',
      'the xDS port of `sluice mesh`; default: 127.0.0.1:15010, or that of --caAddress for mutual TLS',
    ),
    new Option(
      '--sluiceAddress <host:port>',
      'the gRPC port of `sluice serve`: the static cluster `sluice`; default: none',
    ),
    new Option(
      '--caAddress <host:port>',
      'the certificate authority, `sluice mesh --secure` or istiod: an agent asks it for certificates; default: none',
    ).env('CA_ADDR'),
    new Option('--caCertificates <file>', "the roots of the authority's own certificate; watched")
      .env('CA_ROOT_CA')
      .default('/var/run/secrets/istio/root-cert.pem'),
    new Option('--tokenFile <file>', 'the token of the service account, which is read again at each use').default(
      '/var/run/secrets/tokens/istio-token',
    ),
    new Option('--secretTtl <duration>', "lifetime of certificates; default: the authority's").env('SECRET_TTL'),
    new Option('--serviceCluster <name>', 'the name of the service, for the statistics of Envoy').default(
      'sluice-proxy',
    ),
    new Option('--domain <name>', 'the domain of the workload; default: NAMESPACE.svc.cluster.local'),
    new Option('--binaryPath <file>', 'the program of Envoy').default('envoy'),
    new Option('--configPath <folder>', 'where the bootstrap is written; default: a folder for temporary files'),
    new Option('--proxyAdminPort <port>', "the port of Envoy's own pages, on 127.0.0.1").default('15000'),
    new Option(
      '--statusPort <port>',
      'of probes that the kubelet sends to the agent, and of /healthz/ready; default: 15020 with ISTIO_KUBE_APP_PROBERS, else none',
    ),
    new Option('--concurrency <n>', "threads of Envoy; default: Envoy's"),
    new Option('--proxyLogLevel <level>', 'of Envoy').default('warning'),
    new Option(
      '--drainDuration <duration>',
      'how long connections are taken and last after SIGTERM; calls that run then have as long again',
    ).default('5s'),
    new Option('--connectTimeout <duration>', 'to the control plane and to Sluice').default('10s'),
    new Option(
      '--controlPlaneAuthPolicy <policy>',
      'how proxy and control plane authenticate each other; default: MUTUAL_TLS with --caAddress, else NONE',
    ).choices(['NONE', 'MUTUAL_TLS']),
    new Option(
      '--stateOfTheWorld',
      'ask the control plane for all resources anew, as with ISTIO_DELTA_XDS=false; default: for differences (delta)',
    ),
    new Option('--print', 'print the bootstrap, and run nothing'),
    ...WITHOUT_EFFECT.map((name) => new Option(`${name} <value>`, "of Istio's agent; has no effect").hideHelp()),
  ],
  run: async (type: 'sidecar' | 'router', flags: SidecarFlags) =>
    (await import('../actions/sidecar.ts')).sidecar(type, flags),
  subcommands: [
    {
      name: 'wait',
      help: { description: 'return when the Envoy of this pod is ready, for probes and for postStart of a container' },
      flags: [
        new Option('--proxyAdminPort <port>', "the port of Envoy's own pages, on 127.0.0.1").default('15000'),
        new Option('--timeoutSeconds <seconds>', 'how long to wait').default('60'),
      ],
      run: async (flags: WaitFlags) => (await import('../actions/sidecar-wait.ts')).waitForEnvoy(flags),
    },
  ],
};
