/**
 * Probes and lifecycle hooks that the agent of the sidecar performs for the kubelet: the kubelet has no certificate, so STRICT mutual TLS
 * refuses its requests, and a connection that Envoy accepts does not prove that the application listens.
 * **In**: containers of a pod. **Out**: the containers with paths of the agent, and the originals as Istio's agent reads them.
 * **Fails**: never; a probe that cannot be rewritten stays.
 */
import { isObject, type JsonObject } from '../text/json-object.ts';
import { PROXY_CONTAINER } from './contract.ts';

export const PROBERS_VARIABLE = 'ISTIO_KUBE_APP_PROBERS';

/** Fields of a container that may change. */
const FIELDS = ['readinessProbe', 'livenessProbe', 'startupProbe', 'lifecycle'] as const;
/** Lists that hold containers with probes: a native sidecar is an init container. */
const CONTAINER_LISTS = ['initContainers', 'containers'] as const;

export interface RewrittenProbes {
  /** The same lists, changed. */
  readonly spec: JsonObject;
  /** Value of {@link PROBERS_VARIABLE}; absent: no probe was rewritten. */
  readonly probers: string | undefined;
  /** About probes that are not rewritten, or that ask another host than before. */
  readonly warnings: readonly string[];
}

export function rewrittenProbes(spec: JsonObject, statusPort: number): RewrittenProbes {
  const probers: Record<string, JsonObject> = {};
  const warnings: string[] = [];
  const changed = eachHandler(spec, (handler, { container, path, field }) => {
    const { httpGet } = handler;
    if (isObject(httpGet) && httpGet['port'] === statusPort) return handler; // rewritten before, or the agent's own page
    const prober = proberOf(handler, container);
    if (prober === undefined) return handler;
    if (prober === 'unknown port') {
      warnings.push(`${field} of container ${container['name'] as string} names a port that it does not have`);
      return handler;
    }
    if (isObject(httpGet) && (httpGet['host'] ?? '') !== '')
      warnings.push(
        `${field} of container ${container['name'] as string} has a host; the kubelet asks port ${statusPort} of that host, and the agent asks this pod`,
      );
    probers[path] = prober;
    return renamed(
      handler,
      actionOf(prober),
      'httpGet',
      askedOfAgent(isObject(httpGet) ? httpGet : {}, path, statusPort),
    );
  });
  const paths = Object.keys(probers).toSorted();
  const sorted = Object.fromEntries(paths.map((path) => [path, probers[path]]));
  return { spec: changed, probers: paths.length === 0 ? undefined : goJson(sorted), warnings };
}

/** The probes as their author wrote them, but for names of ports: from the variable of an earlier injection. */
export function restoredProbes(spec: JsonObject): JsonObject {
  const probers = earlierProbers(spec);
  if (probers === undefined) return spec;
  return eachHandler(spec, (handler, { path }) => {
    const { httpGet } = handler;
    const prober = Object.hasOwn(probers, path) ? probers[path] : undefined;
    if (!isObject(httpGet) || httpGet['path'] !== path || !isObject(prober)) return handler;
    const action = actionOf(prober);
    const original = prober[action];
    if (!isObject(original)) return handler;
    return renamed(handler, 'httpGet', action, action === 'httpGet' ? askedOfApplication(httpGet, original) : original);
  });
}

/** The fields of `after` that differ from those of `before`, by container; both specs have the same containers. */
export function changedProbes(before: JsonObject, after: JsonObject): ReadonlyMap<string, JsonObject> {
  const known = new Map(containersOf(before).map((container) => [container['name'], container]));
  const changes = new Map<string, JsonObject>();
  for (const container of containersOf(after)) {
    const { name } = container;
    const fields = FIELDS.filter(
      (field) => JSON.stringify(container[field]) !== JSON.stringify(known.get(name)?.[field]),
    );
    if (fields.length > 0)
      changes.set(name as string, Object.fromEntries(fields.map((field) => [field, container[field]])));
  }
  return changes;
}

const containersOf = (spec: JsonObject): readonly JsonObject[] =>
  CONTAINER_LISTS.flatMap((list) => (Array.isArray(spec[list]) ? (spec[list] as readonly JsonObject[]) : []));

interface HandlerPlace {
  readonly container: JsonObject;
  /** At the agent. */
  readonly path: string;
  /** `livenessProbe`, `lifecycle.preStop` ... */
  readonly field: string;
}

type Change = (handler: JsonObject, place: HandlerPlace) => JsonObject;

function eachHandler(spec: JsonObject, change: Change): JsonObject {
  const lists = CONTAINER_LISTS.filter((list) => Array.isArray(spec[list])).map((list) => [
    list,
    (spec[list] as readonly JsonObject[]).map((container) => withHandlers(container, change)),
  ]);
  return { ...spec, ...Object.fromEntries(lists) };
}

function withHandlers(container: JsonObject, change: Change): JsonObject {
  const { name, lifecycle } = container;
  if (typeof name !== 'string' || name === PROXY_CONTAINER) return container;
  const changed = (holder: JsonObject, key: string, path: string, field: string): JsonObject => {
    const handler = holder[key];
    return isObject(handler) ? { ...holder, [key]: change(handler, { container, path, field }) } : holder;
  };
  let made = changed(container, 'readinessProbe', `/app-health/${name}/readyz`, 'readinessProbe');
  made = changed(made, 'livenessProbe', `/app-health/${name}/livez`, 'livenessProbe');
  made = changed(made, 'startupProbe', `/app-health/${name}/startupz`, 'startupProbe');
  if (!isObject(lifecycle)) return made;
  let hooks = changed(lifecycle, 'preStop', `/app-lifecycle/${name}/prestopz`, 'lifecycle.preStop');
  hooks = changed(hooks, 'postStart', `/app-lifecycle/${name}/poststartz`, 'lifecycle.postStart');
  return { ...made, lifecycle: hooks };
}

/** In the order of fields of Istio's struct. Absent: the handler asks nothing over the network. */
function proberOf(handler: JsonObject, container: JsonObject): JsonObject | 'unknown port' | undefined {
  const { httpGet, tcpSocket, grpc, timeoutSeconds } = handler;
  const timeout = typeof timeoutSeconds === 'number' && timeoutSeconds !== 0 ? { timeoutSeconds } : {};
  if (isObject(httpGet)) {
    const { path, host, scheme, httpHeaders } = httpGet;
    const port = portOf(httpGet['port'], container);
    if (port === undefined) return 'unknown port';
    return { httpGet: { ...filled({ path }), port, ...filled({ host, scheme, httpHeaders }) }, ...timeout };
  }
  if (isObject(tcpSocket)) {
    const port = portOf(tcpSocket['port'], container);
    if (port === undefined) return 'unknown port';
    return { tcpSocket: { port, ...filled({ host: tcpSocket['host'] }) }, ...timeout };
  }
  if (!isObject(grpc)) return undefined;
  if (typeof grpc['port'] !== 'number') return 'unknown port';
  return { grpc: { port: grpc['port'], service: grpc['service'] ?? null }, ...timeout };
}

/** A number, or the name of a port of the container; the kubelet takes a number as text, too. */
function portOf(port: unknown, { ports }: JsonObject): number | undefined {
  if (typeof port === 'number') return port;
  if (typeof port !== 'string') return undefined;
  const named = Array.isArray(ports) ? ports.find((one) => isObject(one) && one['name'] === port) : undefined;
  const found = (named as JsonObject | undefined)?.['containerPort'] ?? (/^\d+$/.test(port) ? Number(port) : undefined);
  return typeof found === 'number' ? found : undefined;
}

const actionOf = (prober: JsonObject): 'httpGet' | 'tcpSocket' | 'grpc' =>
  (['httpGet', 'tcpSocket', 'grpc'] as const).find((action) => isObject(prober[action])) ?? 'httpGet';

/** Without TLS, which the agent speaks to the application. In an order of keys that a second injection keeps. */
function askedOfAgent(httpGet: JsonObject, path: string, port: number): JsonObject {
  const place = { path, port };
  const scheme = httpGet['scheme'] === 'HTTPS' ? { scheme: 'HTTP' } : {};
  return { ...place, ...httpGet, ...scheme, ...place };
}

function askedOfApplication(httpGet: JsonObject, { path, port, scheme }: JsonObject): JsonObject {
  return filled({ ...httpGet, path, port, scheme });
}

/** Replaces one entry, which keeps its position. */
const renamed = (map: JsonObject, key: string, to: string, value: JsonObject): JsonObject =>
  Object.fromEntries(Object.entries(map).map(([name, inner]) => (name === key ? [to, value] : [name, inner])));

/** Drops values that Go leaves out of JSON by `omitempty`. */
const filled = (fields: JsonObject): JsonObject =>
  Object.fromEntries(
    Object.entries(fields).filter(
      ([, value]) =>
        value !== undefined && value !== null && value !== '' && !(Array.isArray(value) && value.length === 0),
    ),
  );

function earlierProbers(spec: JsonObject): JsonObject | undefined {
  const proxy = containersOf(spec).find(({ name }) => name === PROXY_CONTAINER);
  const env = Array.isArray(proxy?.['env']) ? (proxy['env'] as readonly unknown[]) : [];
  const variable = env.filter(isObject).find(({ name }) => name === PROBERS_VARIABLE);
  const text = variable?.['value'];
  if (typeof text !== 'string') return undefined;
  try {
    const probers: unknown = JSON.parse(text);
    return isObject(probers) ? probers : undefined;
  } catch {
    return undefined;
  }
}

/** JSON as Go writes it: characters with a meaning in HTML are escaped. */
const goJson = (value: unknown): string =>
  JSON.stringify(value).replaceAll(
    /[<>&\u2028\u2029]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
