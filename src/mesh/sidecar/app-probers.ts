/**
 * Probes that an injector has taken over from the kubelet.
 * **In**: the variable ISTIO_KUBE_APP_PROBERS. **Out**: probes by their path at the agent. **Fails**: with an Error that names the probe.
 */
import { z } from 'zod';
import { messageOf } from '../../text/message-of.ts';

const port = z.int().min(1).max(65535);
const prober = z.looseObject({
  httpGet: z
    .looseObject({ port, path: z.string().default('/'), scheme: z.enum(['HTTP', 'HTTPS', '']).default('HTTP') })
    .optional(),
  tcpSocket: z.looseObject({ port }).optional(),
  grpc: z.looseObject({ port, service: z.string().nullish() }).optional(),
  timeoutSeconds: z.int().min(0).optional(),
});
const probers = z.record(z.string(), prober);

export type Action =
  | { readonly kind: 'http'; readonly port: number; readonly path: string; readonly isTls: boolean }
  | { readonly kind: 'tcp'; readonly port: number }
  | { readonly kind: 'grpc'; readonly port: number; readonly service: string };

export interface AppProber {
  readonly action: Action;
  readonly timeoutMs: number;
}

export type AppProbers = ReadonlyMap<string, AppProber>;

const PATH = /^\/(app-health|app-lifecycle)\/[^/]+\/(?:livez|readyz|startupz|prestopz|poststartz)$/;
/** Kubernetes' default for probes. */
const PROBE_MS = 1000;
/** Hooks have no timeout of their own: the kubelet leaves when the grace period of the pod is over. */
const HOOK_MS = 600_000;
/** A timer of Node that is longer fires at once. */
const MAX_MS = 2 ** 31 - 1;

/** `statusPort`: the agent's own, which no probe may ask; it would call itself. */
export function readAppProbers(text: string, statusPort: number): AppProbers {
  const parsed = probers.safeParse(jsonOf(text));
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw new Error(`${issue?.path.join('.') ?? ''}: ${issue?.message ?? ''}`);
  }
  return new Map(
    Object.entries(parsed.data).map(([path, written]) => {
      const [, kind] = PATH.exec(path) ?? [];
      if (kind === undefined)
        throw new Error(
          `${path}: expected /app-health/CONTAINER/livez, readyz or startupz, or /app-lifecycle/CONTAINER/prestopz or poststartz`,
        );
      const action = actionOf(written, path);
      if (action.port === statusPort) throw new Error(`${path}: asks port ${statusPort}, which is the agent's own`);
      const { timeoutSeconds = 0 } = written;
      const otherwise = kind === 'app-health' ? PROBE_MS : HOOK_MS;
      return [path, { action, timeoutMs: timeoutSeconds === 0 ? otherwise : Math.min(timeoutSeconds * 1000, MAX_MS) }];
    }),
  );
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error(`this is not JSON: ${messageOf(error)}`, { cause: error });
  }
}

function actionOf({ httpGet, tcpSocket, grpc }: z.output<typeof prober>, path: string): Action {
  const actions: readonly Action[] = [
    ...(httpGet === undefined ? [] : [httpOf(httpGet)]),
    ...(tcpSocket === undefined ? [] : [{ kind: 'tcp', port: tcpSocket.port } as const]),
    ...(grpc === undefined ? [] : [{ kind: 'grpc', port: grpc.port, service: grpc.service ?? '' } as const]),
  ];
  const [action] = actions;
  if (action === undefined || actions.length > 1)
    throw new Error(`${path}: expected one of httpGet, tcpSocket and grpc`);
  return action;
}

const httpOf = ({
  port,
  path,
  scheme,
}: {
  readonly port: number;
  readonly path: string;
  readonly scheme: string;
}): Action => ({
  kind: 'http',
  port,
  path: path.startsWith('/') ? path : `/${path}`,
  isTls: scheme === 'HTTPS',
});
