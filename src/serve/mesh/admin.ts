/**
 * The admin port of `sluice mesh`.
 * **In**: HTTP. **Out**: JSON: the state of each proxy, and the resources that it gets; metrics. **Fails**: with a JSON error and a status.
 */
import type { FastifyError } from 'fastify';
import { type HttpPort, listenAt, makeAdminApp } from '../../admin/http-app.ts';
import { sendMetrics } from '../../admin/metrics-reply.ts';
import { metricsPage } from '../../admin/metrics.ts';
import type { MetricFamily } from '../../core/metrics/families.ts';
import type { OwnLog } from '../../log/log.ts';
import type { ControlPlane } from '../../mesh/control-plane.ts';
import { resourcesOf } from '../../mesh/envoy/resources.ts';
import type { Mesh } from '../../mesh/model/mesh.ts';
import { refusedCredentials } from '../../mesh/resolve/gateways.ts';
import { memberOf } from '../../mesh/resolve/proxy.ts';
import type { Finding } from '../../yaml/findings.ts';
import { positionText } from '../../yaml/source-text.ts';
import { messageOf } from '../../text/message-of.ts';
import { CLUSTER, ENDPOINTS, LISTENER, type ProxyState, ROUTES } from '../../xds/index.ts';
import type { MeshLoading } from './mesh-loader.ts';

export interface MeshAdminOptions {
  readonly host: string;
  readonly port: number;
  readonly plane: ControlPlane;
  readonly proxies: () => readonly ProxyState[];
  readonly loading: () => MeshLoading;
  /** `undefined`: workloads get no certificates. */
  readonly identity?: () => object | undefined;
  readonly families: readonly MetricFamily[];
  readonly log: OwnLog;
}

const PAGES = {
  '/healthz': '200 while the process runs',
  '/readyz': '200 while a mesh is in force; 503 while lists of the Kubernetes API are missing, and which',
  '/metrics': 'metrics of the control plane, its authority and its process, for Prometheus',
  '/mesh': 'the mesh in force, since when, its findings, and the errors of newer files that were refused',
  '/mesh/proxies': 'each proxy: connected since, what it has accepted, what it refuses or keeps cold, and why',
  '/mesh/identity': 'the certificate authority: its roots and when they end, certificates issued, callers refused',
  '/mesh/proxies/POD.NAMESPACE/TYPE': 'its clusters, routes, listeners or endpoints as the control plane makes them',
} as const;

const MAX_FINDINGS = 1000;

const findingRow = ({ position, severity, code, message }: Finding): object => ({
  at: positionText(position),
  severity,
  code,
  message,
});

export const TYPES: Readonly<Record<string, string>> = {
  clusters: CLUSTER,
  endpoints: ENDPOINTS,
  listeners: LISTENER,
  routes: ROUTES,
};

export async function startMeshAdmin({
  host,
  port,
  plane,
  proxies,
  loading,
  identity,
  families,
  log,
}: MeshAdminOptions): Promise<HttpPort> {
  const app = makeAdminApp(host);
  app.get('/healthz', async () => ({ status: 'ok' }));
  app.get('/readyz', async (_request, reply) => {
    const { atMs, waitingFor } = loading();
    return atMs === undefined ? reply.code(503).send({ ready: false, waitingFor }) : { ready: true };
  });
  const metrics = metricsPage(families);
  app.get('/metrics', async (request, reply) => sendMetrics(metrics.pieces(), request, reply));
  app.get('/mesh', async () => {
    const { atMs, waitingFor, findings, refusal } = loading();
    const { mesh, version } = plane;
    return {
      version,
      loadedAt: atMs === undefined ? null : new Date(atMs).toISOString(),
      ...(waitingFor.length === 0 ? {} : { waitingFor }),
      services: [...mesh.services.values()].map((service) => ({
        host: service.host,
        ports: service.ports,
        endpoints: mesh.endpoints.get(service.host)?.length ?? 0,
      })),
      pending:
        refusal === undefined
          ? null
          : {
              refusedAt: new Date(refusal.atMs).toISOString(),
              why: refusal.why,
              findings: refusal.findings.map(findingRow),
            },
      findings: findings.slice(0, MAX_FINDINGS).map(findingRow),
      findingsInAll: findings.length,
    };
  });
  app.get(
    '/mesh/identity',
    async (_request, reply) =>
      identity?.() ?? reply.code(404).send({ error: 'workloads get no certificates; start with --secure' }),
  );
  app.get('/mesh/proxies', async () => ({
    version: plane.version,
    proxies: proxies().map((state) => rowOf(state, plane.mesh)),
  }));
  app.get<{ Params: { name: string; type: string } }>('/mesh/proxies/:name/:type', async ({ params }, reply) => {
    const typeUrl = Object.hasOwn(TYPES, params.type) ? TYPES[params.type] : undefined;
    if (typeUrl === undefined)
      return reply
        .code(400)
        .send({ error: `no resources are named ${params.type}; expected one of ${Object.keys(TYPES).join(', ')}` });
    const state = proxies().find(({ proxy }) => nameOf(proxy.id) === params.name);
    if (state === undefined)
      return reply
        .code(404)
        .send({ error: `no proxy is named ${params.name}; /mesh/proxies lists those that are connected` });
    const member = memberOf(state.proxy, plane.mesh);
    if ('wrong' in member) return reply.code(500).send({ error: member.wrong });
    return {
      resources: resourcesOf(plane.mesh, member)
        .filter((one) => one.typeUrl === typeUrl)
        .map(({ name, json, origin = null }) => ({ name, origin, resource: json })),
    };
  });
  app.setNotFoundHandler((_request, reply) => reply.code(404).send({ error: 'no such page', pages: PAGES }));
  app.setErrorHandler<FastifyError>((error, request, reply) => {
    const status = error.statusCode ?? 500;
    if (status >= 500) log.error('an admin page failed', { path: request.url, error: messageOf(error) });
    return reply.code(status).send({ error: status >= 500 ? 'internal error; the log says more' : error.message });
  });
  return listenAt(app, host, port);
}

/** `sidecar~127.0.10.1~reviews-v1.default~...` is `reviews-v1.default`. */
const nameOf = (id: string): string => id.split('~')[2] ?? id;

export const stateOf = ({ types, isSynced }: ProxyState): 'refused' | 'synced' | 'stale' =>
  types.some(({ state }) => state === 'refused') ? 'refused' : isSynced ? 'synced' : 'stale';

const rowOf = (state: ProxyState, mesh: Mesh): object => {
  const { proxy, form, connectedAtMs, version, types, warming } = state;
  const member = memberOf(proxy, mesh);
  const refused = 'wrong' in member ? [] : refusedCredentials({ mesh, member });
  return {
    name: nameOf(proxy.id),
    id: proxy.id,
    peer: proxy.peer,
    identity: proxy.identity ?? null,
    form,
    connectedAt: new Date(connectedAtMs).toISOString(),
    version: version ?? null,
    state: stateOf(state),
    types: Object.fromEntries(types.map(({ type, state }) => [type, state])),
    ...(warming.length === 0
      ? {}
      : { warming: warming.map(({ name, origin, why }) => ({ name, of: origin ?? null, why })) }),
    ...(refused.length === 0 ? {} : { refusedCredentials: refused }),
    refusals: types.flatMap(({ type, refusal }) =>
      refusal === undefined
        ? []
        : [
            {
              type,
              at: new Date(refusal.atMs).toISOString(),
              why: refusal.why,
              of: refusal.resources.map(({ name, origin }) => origin ?? name),
            },
          ],
    ),
  };
};
