/** Config of enrich-kubernetes. */
import { resolve } from 'node:path';
import { fromKubeconfig, inCluster, type ReadApiServer } from 'sluice/kubernetes';
import { z } from 'zod';

const DNS_LABEL = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;

export const configSchema = z
  .strictObject({
    kubeconfig: z
      .string()
      .min(1)
      .optional()
      .describe(
        'A kubeconfig file: the address of the API server, with a token or client certificate. It is read again for each ' +
          "connection. Programs (exec) are not run. Default: the pod's own service account.",
      ),
    context: z.string().min(1).optional().describe('A context of the kubeconfig. Default: its current context.'),
    server: z
      .string()
      .min(1)
      .optional()
      .describe(
        'Without a kubeconfig: the https URL of the API server. Default: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT.',
      ),
    serviceAccount: z
      .string()
      .min(1)
      .optional()
      .describe(
        'Without a kubeconfig: the folder with token and ca.crt. The files are read again for each connection. ' +
          'Default: /var/run/secrets/kubernetes.io/serviceaccount.',
      ),
    namespaces: z
      .array(z.string().regex(DNS_LABEL, 'a namespace is lower case letters, digits and -'))
      .default([])
      .describe('Namespaces whose pods are indexed, with one watch for each. Default: all namespaces, with one watch.'),
    labelSelector: z
      .string()
      .min(1)
      .optional()
      .describe('A label selector for the pods to index. Default: all.')
      .meta({ examples: ['app.kubernetes.io/part-of=shop'] }),
    node: z
      .string()
      .min(1)
      .optional()
      .describe('Indexes only the pods of this node, for a DaemonSet: { $env: NODE_NAME }. Default: all nodes.'),
    owners: z
      .enum(['watch', 'names'])
      .optional()
      .describe(
        'How the workload of a ReplicaSet is found. watch: watches ReplicaSets too. names: removes the pod-template-hash ' +
          'from the name, which is correct for Deployments. Default: watch; with node: names.',
      ),
    maxPods: z
      .int()
      .min(1)
      .max(10_000_000)
      .default(250_000)
      .describe(
        'Maximum number of pods in the index, twice as many during a list. Further pods are dropped and counted, and the ' +
          'handler is not ready.',
      ),
    pageSize: z.int().min(1).max(10_000).default(500).describe('Pods in a page of a list.'),
    silentAfterMs: z
      .int()
      .min(100)
      .max(3_600_000)
      .default(150_000)
      .describe(
        'A watch that receives nothing for this long is opened again. The API server sends a bookmark about once a minute, the first within two.',
      ),
    staleAfterMs: z
      .int()
      .min(100)
      .max(86_400_000)
      .default(180_000)
      .describe(
        'After this time without a message from the API server, the handler is not ready. The index stays in use.',
      ),
  })
  .superRefine(({ kubeconfig, context, server, serviceAccount }, check) => {
    const wrong = (path: string, message: string): void => check.addIssue({ code: 'custom', path: [path], message });
    if (kubeconfig === undefined && context !== undefined) wrong('context', 'set kubeconfig, too');
    if (kubeconfig !== undefined && server !== undefined) wrong('server', 'the kubeconfig has a server');
    if (kubeconfig !== undefined && serviceAccount !== undefined)
      wrong('serviceAccount', 'the kubeconfig has credentials');
  });

export type KubernetesConfig = z.output<typeof configSchema>;

/** Throws if this is not a pod of a cluster, and there is no kubeconfig. */
export function serverOf(
  { kubeconfig, context, server, serviceAccount }: KubernetesConfig,
  folder: string,
): ReadApiServer {
  if (kubeconfig !== undefined) return fromKubeconfig(resolve(folder, kubeconfig), context);
  return inCluster({ server, folder: serviceAccount === undefined ? undefined : resolve(folder, serviceAccount) });
}

/** The server leaves out pods that have ended; for a pod that ends later, the watch sends DELETED. */
export function podQuery({ labelSelector, node }: KubernetesConfig): Readonly<Record<string, string>> {
  const fields = ['status.phase!=Succeeded', 'status.phase!=Failed'];
  if (node !== undefined) fields.push(`spec.nodeName=${node}`);
  return { fieldSelector: fields.join(','), ...(labelSelector === undefined ? {} : { labelSelector }) };
}

/** The paths of a resource: one for all namespaces, or one for each. */
export const pathsOf = ({ namespaces }: KubernetesConfig, group: string, resource: string): string[] =>
  namespaces.length === 0
    ? [`${group}/${resource}`]
    : [...new Set(namespaces)].map((namespace) => `${group}/namespaces/${namespace}/${resource}`);
