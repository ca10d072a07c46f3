/** The API server of the cluster in which this process runs as a pod. */
import { join } from 'node:path';
import { type ApiServer, readCredential, type ReadApiServer, serverUrl } from './api-server.ts';

export interface InClusterOptions {
  /** Default: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT, which Kubernetes sets in each pod. */
  readonly server?: string | undefined;
  /** The folder with `token` and `ca.crt`. */
  readonly folder?: string | undefined;
  readonly environment?: NodeJS.ProcessEnv;
}

const FOLDER = '/var/run/secrets/kubernetes.io/serviceaccount';

/** Throws if the process runs in no cluster, and no server is given. */
export function inCluster({ server, folder = FOLDER, environment = process.env }: InClusterOptions): ReadApiServer {
  const url = serverUrl(server ?? fromEnvironment(environment));
  return async (): Promise<ApiServer> => {
    const token = await readCredential(join(folder, 'token'), 'the token');
    const ca = await readCredential(join(folder, 'ca.crt'), 'the certificate authority');
    return { url, token, tls: { ca } };
  };
}

function fromEnvironment(environment: NodeJS.ProcessEnv): string {
  const host = environment['KUBERNETES_SERVICE_HOST'] ?? '';
  if (host === '')
    throw new Error(
      'KUBERNETES_SERVICE_HOST is not set, so this is not a pod; set kubeconfig, or server and serviceAccount',
    );
  return `https://${host.includes(':') ? `[${host}]` : host}:${environment['KUBERNETES_SERVICE_PORT'] ?? '443'}`;
}
