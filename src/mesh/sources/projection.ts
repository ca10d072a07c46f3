/**
 * The fields of an object of Kubernetes that a mesh reads: a fraction of its bytes, which stays the same while a controller writes others.
 * **In**: an object as the API server sends it, in which any field may be absent or of another type. **Out**: the fields that schemas read.
 */
import { isObject, type JsonObject } from '../../text/json-object.ts';
import type { Kind } from '../rules/kinds.ts';

/** A value of another type is kept, so that the schema reports it. */
function pick(value: unknown, of: Readonly<Record<string, true | ((value: unknown) => unknown)>>): unknown {
  if (!isObject(value)) return value;
  const picked: Record<string, unknown> = {};
  for (const [key, take] of Object.entries(of)) {
    const own = value[key];
    const taken = own === undefined || own === null || take === true ? own : take(own);
    if (taken !== undefined && taken !== null) picked[key] = taken;
  }
  return picked;
}

const each =
  (take: (item: unknown) => unknown) =>
  (value: unknown): unknown =>
    Array.isArray(value) ? value.map(take) : value;

/** Others may be long, and change by themselves. */
const ofIstio = (annotations: unknown): unknown =>
  isObject(annotations)
    ? Object.fromEntries(Object.entries(annotations).filter(([key]) => key.includes('istio.io/')))
    : annotations;

const metadata = (value: unknown): unknown =>
  pick(value, { name: true, namespace: true, creationTimestamp: true, labels: true, annotations: ofIstio });

const namedPorts = (ports: unknown): unknown =>
  Array.isArray(ports)
    ? ports.filter((port) => !isObject(port) || port['name'] !== undefined).map((port) => pick(port, CONTAINER_PORT))
    : ports;
const CONTAINER_PORT = { name: true, containerPort: true } as const;
function readiness(conditions: unknown): unknown {
  if (!Array.isArray(conditions)) return conditions;
  const ready = conditions.filter((one) => isObject(one) && one['type'] === 'Ready');
  return ready.length === 0 ? undefined : ready.map((one) => pick(one, CONDITION));
}
const CONDITION = { type: true, status: true } as const;

/** A Node has dozens of others. */
const ofTopology = (labels: unknown): unknown =>
  isObject(labels)
    ? Object.fromEntries(
        Object.entries(labels).filter(([key]) => key.startsWith('topology.') || key.startsWith('istio')),
      )
    : labels;

const FIELDS: Partial<Record<Kind, Parameters<typeof pick>[1]>> = {
  Pod: {
    metadata,
    spec: (spec) =>
      pick(spec, {
        serviceAccountName: true,
        nodeName: true,
        containers: each((container) => pick(container, { ports: namedPorts })),
      }),
    status: (status) => pick(status, { podIP: true, phase: true, conditions: readiness }),
  },
  EndpointSlice: {
    metadata,
    addressType: true,
    endpoints: each((endpoint) =>
      pick(endpoint, {
        addresses: true,
        conditions: (conditions) => pick(conditions, { ready: true }),
        targetRef: (target) => pick(target, { kind: true, name: true, namespace: true }),
        zone: true,
      }),
    ),
    ports: each((port) => pick(port, { name: true, port: true })),
  },
  Node: { metadata: (value) => pick(value, { name: true, labels: ofTopology }) },
  Namespace: { metadata: (value) => pick(value, { name: true, labels: true }) },
  Service: {
    metadata,
    spec: (spec) =>
      pick(spec, { clusterIP: true, clusterIPs: true, type: true, externalName: true, selector: true, ports: true }),
  },
};

/** `object`: without kind and version, which a list has for all its items. */
export function projected(kind: Kind, apiVersion: string, object: object): JsonObject {
  const fields = FIELDS[kind];
  const { managedFields: _, ...others } = object as JsonObject;
  const { status: __, ...rule } = others;
  const read = fields === undefined ? { ...rule, metadata: metadata(rule['metadata']) } : pick(object, fields);
  return { ...(read as JsonObject), apiVersion, kind };
}
