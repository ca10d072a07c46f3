import { Option } from 'commander';
import { STYLES } from '../../inject/contract.ts';
import type { InjectFlags } from '../actions/inject.ts';
import type { CommandSpec } from '../command.ts';

/** Of Istio 1.0: its images and their parameters, which a template has in itself. */
const deprecated = (flags: string, description: string): Option =>
  new Option(flags, `${description}; only with ISTIOCTL_USE_BUILTIN_DEFAULTS=true`).hideHelp();

export const DEPRECATED = [
  deprecated('--hub <registry>', 'where the images of Istio are'),
  deprecated('--tag <tag>', 'of the images'),
  deprecated('--coreDump [bool]', 'write core dumps; default: true'),
  deprecated('--imagePullPolicy <policy>', 'Always, IfNotPresent or Never'),
  deprecated('--includeIPRanges <cidrs>', 'outbound ranges that are redirected; default: *'),
  deprecated('--excludeIPRanges <cidrs>', 'outbound ranges that pass'),
  deprecated('--includeInboundPorts <ports>', 'has no effect, as in Istio: the ports of the containers are redirected'),
  deprecated('--excludeInboundPorts <ports>', 'inbound ports that pass'),
  deprecated('--debug [bool]', 'images and rights for debugging'),
  deprecated('--verbosity <n>', 'has no effect, as in Istio'),
  deprecated('--sidecarProxyUID <uid>', 'the user whose connections pass; default: 1337'),
  deprecated('--setVersionString <text>', 'has no effect, as in Istio'),
] as const;

/** What is added to a pod, for the webhook alike. */
export const templateOptions = (): readonly Option[] => [
  new Option('--image <image>', 'the image of the built-in templates: Envoy, iptables and Sluice'),
  new Option('--nativeSidecar', 'with --style today: the proxy is an init container that goes on (Kubernetes 1.29)'),
  new Option('--injectConfigFile <file>', 'an injection configuration of Istio: policy and template'),
  new Option('--meshConfigFile <file>', 'a mesh configuration of Istio'),
];

export const inject: CommandSpec = {
  name: 'inject',
  help: {
    summary: 'add sidecars to manifests of Kubernetes, as `istioctl kube-inject` does',
    description:
      'Adds an init container and a proxy to the pods of Deployments, Jobs, Pods ... in YAML, and passes all other documents ' +
      'through unchanged.\n' +
      'What is added is a template: the built-in one of a style, or that of an injection configuration of Istio. docs/inject.md says more.',
    after: `
A second run replaces what the first added. Examples:
  sluice inject -f shop.yaml | kubectl apply -f -
  sluice inject -f shop.yaml --style today -o shop-injected.yaml
  kubectl get deployment shop -o yaml | sluice inject -f - | kubectl apply -f -`,
  },
  flags: [
    new Option('-f, --filename <file>', 'the manifests; - for stdin'),
    new Option('-o, --output <file>', 'where they are written, as a whole or not at all; default: stdout'),
    new Option('--style <style>', 'containers and annotations of Istio 1.0, or of current releases')
      .choices(STYLES)
      .default('1.0'),
    ...templateOptions(),
    new Option('--injectConfigMapName <name>', 'the same, from the key config of a ConfigMap in the cluster'),
    new Option('--meshConfigMapName <name>', 'the same, from the key mesh of a ConfigMap in the cluster'),
    new Option('-i, --istioNamespace <name>', 'of the ConfigMaps').default('istio-system'),
    new Option('--kubeconfig <file>', 'how to reach the cluster; default: KUBECONFIG, or the account of this pod').env(
      'KUBECONFIG',
    ),
    new Option('--context <name>', 'of the kubeconfig; default: its current one'),
    new Option('--emitTemplate', 'print the injection configuration in place of manifests').hideHelp(),
    ...DEPRECATED,
  ],
  run: async (flags: InjectFlags) => (await import('../actions/inject.ts')).inject(flags),
};
