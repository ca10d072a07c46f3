/**
 * The containers of Istio 1.0, as a template of our own.
 * **In**: the images and the parameters of `istioctl kube-inject`. **Out**: the text of a template.
 */
import { CONCURRENCY_ARGUMENTS, POD_VARIABLES, PROGRAM_ARGUMENTS, sidecar, text, traffic } from './parts.ts';

export interface Parameters10 {
  readonly initImage: string;
  readonly proxyImage: string;
  /** Arguments of the init container before Istio's: Sluice's image has one program for both containers. */
  readonly initCommand: readonly string[];
  readonly imagePullPolicy: string;
  readonly proxyUid: number;
  readonly includeIPRanges: string;
  readonly excludeIPRanges: string;
  readonly excludeInboundPorts: string;
  readonly coreDump: boolean;
  readonly debug: boolean;
}

export function template10(parameters: Parameters10): string {
  const { initImage, proxyImage, initCommand, imagePullPolicy, proxyUid, coreDump, debug } = parameters;
  const { includeIPRanges, excludeIPRanges, excludeInboundPorts } = parameters;
  const pull = `imagePullPolicy: ${imagePullPolicy === '' ? 'IfNotPresent' : text(imagePullPolicy)}`;
  return `[[- $mode := or ${sidecar('interceptionMode')} .ProxyConfig.InterceptionMode -]]
[[- $proxy := .ProxyConfig -]]
initContainers:
- name: istio-init
  image: ${text(initImage)}
  ${pull}
  args:${initCommand.map((word) => `\n  - ${text(word)}`).join('')}
  - -p
  - [[ .MeshConfig.ProxyListenPort ]]
  - -u
  - ${text(proxyUid)}
  - -m
  - [[ $mode ]]
  - -i
  - ${traffic('includeOutboundIPRanges', includeIPRanges)}
  - -x
  - ${traffic('excludeOutboundIPRanges', excludeIPRanges)}
  - -b
  [[- if isset .ObjectMeta.Annotations "traffic.sidecar.istio.io/includeInboundPorts" ]]
  - ${traffic('includeInboundPorts')}
  [[- else ]]
  - "[[ $space := "" ]][[ range .Spec.Containers ]][[ range .Ports ]][[ $space ]][[ .ContainerPort ]],[[ $space = " " ]][[ end ]][[ end ]]"
  [[- end ]]
  - -d
  - ${traffic('excludeInboundPorts', excludeInboundPorts)}
  securityContext:
    capabilities: { add: [NET_ADMIN] }${debug ? '\n    privileged: true' : ''}
${coreDump ? coreDumps(initImage) : ''}containers:
- name: istio-proxy
  image: [[ quote ${sidecar('proxyImage', proxyImage)} ]]
  ${pull}
  args:
  ${PROGRAM_ARGUMENTS}
  - --serviceCluster
  - [[ quote (or (index .ObjectMeta.Labels "app") "istio-proxy") ]]
  - --drainDuration
  - [[ formatDuration $proxy.DrainDuration ]]
  - --parentShutdownDuration
  - [[ formatDuration $proxy.ParentShutdownDuration ]]
  - --discoveryAddress
  - [[ quote $proxy.DiscoveryAddress ]]
  - --discoveryRefreshDelay
  - [[ formatDuration $proxy.DiscoveryRefreshDelay ]]
  - --zipkinAddress
  - [[ quote $proxy.ZipkinAddress ]]
  - --connectTimeout
  - [[ formatDuration $proxy.ConnectTimeout ]]
  - --statsdUdpAddress
  - [[ quote $proxy.StatsdUdpAddress ]]
  - --proxyAdminPort
  - [[ $proxy.ProxyAdminPort ]]
  ${CONCURRENCY_ARGUMENTS}
  - --controlPlaneAuthPolicy
  - [[ $proxy.ControlPlaneAuthPolicy ]]
  env:
  ${POD_VARIABLES}
  - { name: ISTIO_META_POD_NAME, valueFrom: { fieldRef: { fieldPath: metadata.name } } }
  - { name: ISTIO_META_INTERCEPTION_MODE, value: [[ $mode ]] }
  resources: { requests: { cpu: 10m } }
  securityContext:
    readOnlyRootFilesystem: ${debug ? 'false' : 'true'}${debug ? '\n    privileged: true' : ''}
    [[- if eq $mode "TPROXY" ]]
    capabilities: { add: [NET_ADMIN] }
    [[- else ]]
    runAsUser: 1337
    [[- end ]]
  volumeMounts:
  - { name: istio-envoy, mountPath: /etc/istio/proxy }
  - { name: istio-certs, mountPath: /etc/certs/, readOnly: true }
volumes:
- name: istio-envoy
  emptyDir: { medium: Memory }
- name: istio-certs
  secret:
    optional: true
    secretName: [[ quote (printf "istio.%s" (or .Spec.ServiceAccountName "default")) ]]
`;
}

/** Changes a setting of the whole node. */
const coreDumps = (image: string): string => `- name: enable-core-dump
  image: ${text(image)}
  imagePullPolicy: IfNotPresent
  command: [/bin/sh]
  args:
  - -c
  - sysctl -w kernel.core_pattern=/etc/istio/proxy/core.%e.%p.%t && ulimit -c unlimited
  securityContext: { privileged: true }
`;
