/** What both built-in templates say: texts, annotations of the pod, and lines of the container with Envoy. */

/** A value of YAML, and of a template. */
export const text = (value: string | number): string => JSON.stringify(String(value));

/** The value of a pod's annotation, as an operand of a template. */
export const annotation = (name: string, otherwise = ''): string =>
  `(annotation .ObjectMeta ${text(name)} ${text(otherwise)})`;

/** Of `sidecar.istio.io/NAME`, as an operand. */
export const sidecar = (name: string, otherwise = ''): string => annotation(`sidecar.istio.io/${name}`, otherwise);

/** Of `traffic.sidecar.istio.io/NAME`, as an argument of the init container. */
export const traffic = (name: string, otherwise = ''): string =>
  `[[ quote ${annotation(`traffic.sidecar.istio.io/${name}`, otherwise)} ]]`;

export const PROGRAM_ARGUMENTS = `- proxy
  - sidecar
  - --configPath
  - [[ quote $proxy.ConfigPath ]]
  - --binaryPath
  - [[ quote $proxy.BinaryPath ]]`;

export const CONCURRENCY_ARGUMENTS = `[[- if gt $proxy.Concurrency 0 ]]
  - --concurrency
  - [[ $proxy.Concurrency ]]
  [[- end ]]`;

export const POD_VARIABLES = `- { name: POD_NAME, valueFrom: { fieldRef: { fieldPath: metadata.name } } }
  - { name: POD_NAMESPACE, valueFrom: { fieldRef: { fieldPath: metadata.namespace } } }
  - { name: INSTANCE_IP, valueFrom: { fieldRef: { fieldPath: status.podIP } } }`;
