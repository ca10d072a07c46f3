/**
 * The containers of current releases, for Sluice's own image, as a template.
 * **In**: the image. **Out**: the text of a template.
 */
import {
  annotation,
  CONCURRENCY_ARGUMENTS,
  POD_VARIABLES,
  PROGRAM_ARGUMENTS,
  sidecar,
  text,
  traffic,
} from './parts.ts';

export interface ParametersToday {
  /** With Envoy, iptables and Sluice in it. */
  readonly image: string;
  readonly imagePullPolicy: string;
  /** The proxy is an init container that goes on (Kubernetes from 1.29), unless the pod says otherwise. */
  readonly nativeSidecar: boolean;
}

const RESOURCES = `resources:
    requests:
      cpu: [[ quote ${sidecar('proxyCPU', '100m')} ]]
      memory: [[ quote ${sidecar('proxyMemory', '128Mi')} ]]
    limits:
      cpu: [[ quote ${sidecar('proxyCPULimit', '2')} ]]
      memory: [[ quote ${sidecar('proxyMemoryLimit', '1Gi')} ]]`;
const WAIT = 'command: [sluice, sidecar, wait, --proxyAdminPort, "[[ $proxy.ProxyAdminPort ]]"]';

export function templateToday({ image, imagePullPolicy, nativeSidecar }: ParametersToday): string {
  const ofImage = `image: [[ quote ${sidecar('proxyImage', image)} ]]
  imagePullPolicy: ${text(imagePullPolicy)}`;
  return `[[- $mode := or ${sidecar('interceptionMode')} .ProxyConfig.InterceptionMode -]]
[[- $proxy := .ProxyConfig -]]
[[- $native := eq ${sidecar('nativeSidecar', String(nativeSidecar))} "true" -]]
[[- $status := printf "%v" (annotation .ObjectMeta "status.sidecar.istio.io/port" $proxy.StatusPort) -]]
[[- $open := ${annotation('traffic.sidecar.istio.io/excludeInboundPorts')} -]]
[[- if ne $status "0" ]][[ $open = or (and $open (printf "%s,%s" $status $open)) $status ]][[ end -]]
[[- $name := or (index .ObjectMeta.Labels "app") .DeploymentMeta.Name "istio-proxy" -]]
[[- if $native ]]
first: [initContainers]
[[- else if $proxy.HoldApplicationUntilProxyStarts ]]
first: [containers]
[[- end ]]
initContainers:
[[- if ne $mode "NONE" ]]
- name: istio-init
  ${ofImage}
  args:
  - iptables
  - -p
  - [[ .MeshConfig.ProxyListenPort ]]
  - -z
  - "15006"
  - -u
  - "1337"
  - -m
  - [[ $mode ]]
  - -i
  - ${traffic('includeOutboundIPRanges', '*')}
  - -x
  - ${traffic('excludeOutboundIPRanges')}
  - -b
  - ${traffic('includeInboundPorts', '*')}
  - -d
  - [[ quote $open ]]
  - -q
  - ${traffic('includeOutboundPorts')}
  - -o
  - ${traffic('excludeOutboundPorts')}
  ${RESOURCES}
  securityContext:
    allowPrivilegeEscalation: false
    capabilities: { add: [NET_ADMIN, NET_RAW], drop: [ALL] }
    privileged: false
    readOnlyRootFilesystem: false
    runAsGroup: 0
    runAsNonRoot: false
    runAsUser: 0
[[- end ]]
[[- if not $native ]]
containers:
[[- end ]]
- name: istio-proxy
  ${ofImage}
  args:
  ${PROGRAM_ARGUMENTS}
  - --serviceCluster
  - [[ quote $name ]]
  - --drainDuration
  - [[ formatDuration $proxy.DrainDuration ]]
  - --discoveryAddress
  - [[ quote $proxy.DiscoveryAddress ]]
  - --caAddress
  - [[ quote $proxy.DiscoveryAddress ]]
  - --caCertificates
  - /var/run/secrets/istio/root-cert.pem
  - --tokenFile
  - /var/run/secrets/tokens/istio-token
  - --connectTimeout
  - [[ formatDuration $proxy.ConnectTimeout ]]
  - --proxyAdminPort
  - [[ $proxy.ProxyAdminPort ]]
  - --statusPort
  - [[ quote $status ]]
  ${CONCURRENCY_ARGUMENTS}
  env:
  ${POD_VARIABLES}
  - { name: SERVICE_ACCOUNT, valueFrom: { fieldRef: { fieldPath: spec.serviceAccountName } } }
  - { name: ISTIO_META_INTERCEPTION_MODE, value: [[ $mode ]] }
  - { name: ISTIO_META_WORKLOAD_NAME, value: [[ quote $name ]] }
  - { name: ISTIO_METAJSON_LABELS, value: [[ quote (toJson .ObjectMeta.Labels) ]] }
  [[- range $key, $value := $proxy.ProxyMetadata ]]
  - { name: [[ quote $key ]], value: [[ quote $value ]] }
  [[- end ]]
  ${RESOURCES}
  [[- if $native ]]
  restartPolicy: Always
  startupProbe:
    exec: { ${WAIT} }
    failureThreshold: 5
    timeoutSeconds: 61
  [[- else if $proxy.HoldApplicationUntilProxyStarts ]]
  lifecycle: { postStart: { exec: { ${WAIT} } } }
  [[- end ]]
  [[- if ne $status "0" ]]
  readinessProbe:
    httpGet: { path: /healthz/ready, port: [[ $status ]] }
    initialDelaySeconds: 1
    periodSeconds: 2
    timeoutSeconds: 3
    failureThreshold: 30
  [[- end ]]
  securityContext:
    allowPrivilegeEscalation: false
    privileged: false
    readOnlyRootFilesystem: true
    runAsGroup: 1337
    [[- if eq $mode "TPROXY" ]]
    capabilities: { add: [NET_ADMIN], drop: [ALL] }
    runAsNonRoot: false
    runAsUser: 0
    [[- else ]]
    capabilities: { drop: [ALL] }
    runAsNonRoot: true
    runAsUser: 1337
    [[- end ]]
  volumeMounts:
  - { name: istio-envoy, mountPath: /etc/istio/proxy }
  - { name: istio-token, mountPath: /var/run/secrets/tokens }
  - { name: istiod-ca-cert, mountPath: /var/run/secrets/istio }
volumes:
- name: istio-envoy
  emptyDir: { medium: Memory }
- name: istio-token
  projected:
    sources:
    - serviceAccountToken: { path: istio-token, expirationSeconds: 43200, audience: istio-ca }
- name: istiod-ca-cert
  configMap: { name: istio-ca-root-cert }
`;
}
