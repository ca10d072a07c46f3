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
        "A kubeconfig file with the address of the API server and a token or client certificate. Read again for each connection. Programs (exec) are not run. Default: the pod's own service account.",
      ),
    context: z.string().min(1).optional().describe('A context of the kubeconfig. Default: its current context.'),
    server: z
      .string()
      .min(1)
      .optional()
      .describe(
        'The https URL of the API server, without a kubeconfig. Default: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT.',
      ),
    serviceAccount: z
      .string()
      .min(1)
      .optional()
      .describe(
        'The folder with the files token and ca.crt, without a kubeconfig. Read again for each connection. Default: /var/run/secrets/kubernetes.io/serviceaccount.',
      ),
    namespaces: z
      .array(z.string().regex(DNS_LABEL, 'a namespace is lower case letters, digits and -'))
      .default([])
      .describe(
        'Namespaces whose pods are known, each with a watch of its own. Default: all namespaces, with one watch.',
      ),
    labelSelector: z
      .string()
      .min(1)
      .optional()
      .describe('A label selector of the pods that are known. Default: all.')
      .meta({ examples: ['app.kubernetes.io/part-of=shop'] }),
    node: z
      .string()
      .min(1)
      .optional()
      .describe('Knows only the pods of this node, as for a DaemonSet: { $env: NODE_NAME }. Default: of all nodes.'),
    owners: z
      .enum(['watch', 'names'])
      .optional()
      .describe(
        'How the workload behind a ReplicaSet is found: watch asks the API server for ReplicaSets, names takes the pod-template-hash off the name, which is right for every Deployment. Default: watch; with node: names.',
      ),
    maxPods: z
      .int()
      .min(1)
      .max(10_000_000)
      .default(250_000)
      .describe(
        'The most pods that are known (twice as many for the time of a list); others are dropped and counted, and the handler is not ready.',
      ),
    pageSize: z.int().min(1).max(10_000).default(500).describe('Pods in a page of a list.'),
    silentAfterMs: z
      .int()
      .min(100)
      .max(3_600_000)
      .default(150_000)
      .describe(
        'A watch on which nothing arrives for this long is opened again. The API server sends a bookmark about once a minute.',
      ),
    staleAfterMs: z
      .int()
      .min(100)
      .max(86_400_000)
      .default(180_000)
      .describe(
        'When the API server has said nothing for this long, the handler is not ready. What is known stays in use.',
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

/** Pods that have ended are left out by the server, unless they end later: then the watch tells of them as deleted. */
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
