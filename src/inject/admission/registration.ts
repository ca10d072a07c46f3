/**
 * The MutatingWebhookConfiguration that makes an API server ask the webhook.
 * **In**: where it is, and whose certificate it has. **Out**: the object, as JSON. **Fails**: never.
 */
import type { JsonObject } from '../../text/json-object.ts';
import type { Style } from '../contract.ts';

export interface RegistrationOptions {
  readonly name: string;
  readonly style: Style;
  readonly at:
    | { readonly service: string; readonly namespace: string; readonly port: number }
    /** For a server outside of the cluster. */
    | { readonly url: string };
  /** Of the authority of its certificate, PEM. */
  readonly ca: string;
  /** All but those that are labelled otherwise; else only those that are labelled. */
  readonly allNamespaces: boolean;
}

const NAMESPACE_LABEL = 'istio-injection';
const POD_LABEL = 'sidecar.istio.io/inject';
const TIMEOUT_S = 10;

const requirement = (key: string, operator: string, ...values: readonly string[]): JsonObject =>
  values.length === 0 ? { key, operator } : { key, operator, values };

export function registrationOf({ name, style, at, ca, allNamespaces }: RegistrationOptions): JsonObject {
  const caBundle = Buffer.from(ca).toString('base64');
  const clientConfig =
    'url' in at
      ? { url: at.url, caBundle }
      : { service: { name: at.service, namespace: at.namespace, path: '/inject', port: at.port }, caBundle };
  const webhook = (prefix: string, namespaces: readonly JsonObject[], pods: readonly JsonObject[]): JsonObject => ({
    name: `${prefix}.sluice.inject`,
    clientConfig,
    rules: [{ operations: ['CREATE'], apiGroups: [''], apiVersions: ['v1'], resources: ['pods'], scope: 'Namespaced' }],
    namespaceSelector: { matchExpressions: namespaces },
    objectSelector: pods.length === 0 ? {} : { matchExpressions: pods },
    // A pod without its proxy would be outside of the mesh, and its calls unchecked.
    failurePolicy: 'Fail',
    matchPolicy: 'Equivalent',
    // Containers that later webhooks add are seen by a second call, which replaces what the first has added.
    reinvocationPolicy: 'IfNeeded',
    sideEffects: 'None',
    timeoutSeconds: TIMEOUT_S,
    admissionReviewVersions: ['v1', 'v1beta1'],
  });
  const namespaces = selected(allNamespaces, at);
  return {
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: 'MutatingWebhookConfiguration',
    metadata: { name },
    webhooks:
      style === '1.0'
        ? [webhook('namespace', namespaces, [])]
        : [
            webhook('namespace', namespaces, [requirement(POD_LABEL, 'NotIn', 'false')]),
            // A labelled pod is injected in a namespace that says nothing, too.
            ...(allNamespaces
              ? []
              : [
                  webhook(
                    'object',
                    [requirement(NAMESPACE_LABEL, 'DoesNotExist')],
                    [requirement(POD_LABEL, 'In', 'true')],
                  ),
                ]),
          ],
  };
}

/** The webhook's own pods must start without it. */
function selected(allNamespaces: boolean, at: RegistrationOptions['at']): readonly JsonObject[] {
  if (!allNamespaces) return [requirement(NAMESPACE_LABEL, 'In', 'enabled')];
  const own = 'url' in at ? [] : [at.namespace];
  return [
    requirement(NAMESPACE_LABEL, 'NotIn', 'disabled'),
    requirement('kubernetes.io/metadata.name', 'NotIn', 'kube-system', 'kube-public', 'kube-node-lease', ...own),
  ];
}
