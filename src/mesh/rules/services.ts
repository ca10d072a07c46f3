/**
 * Services and workloads: ServiceEntry and WorkloadEntry of Istio; Service, Endpoints, EndpointSlice, Pod, Node, Namespace and Secret of
 * Kubernetes.
 */
import { isIP } from 'node:net';
import { z } from 'zod';
import { PROTOCOLS } from '../model/model.ts';
import { locality } from './locality.ts';
import { count } from './proxy-values.ts';
import { exportTo, isAddressRange, labels, port, unsupported, wildcardHost, wordOf } from './values.ts';

/** Anything else would be taken for TCP. */
const protocol = z
  .string()
  .refine((text) => [...PROTOCOLS, 'udp', 'http_proxy'].includes(text.toLowerCase() as never), {
    message: `expected a protocol: ${PROTOCOLS.map((one) => one.toUpperCase()).join(', ')}`,
  });
/** Calls by these say for which host they are. */
const NAMES_HOST: ReadonlySet<string> = new Set(['http', 'http2', 'grpc', 'grpc-web', 'http_proxy', 'https', 'tls']);
const servicePort = z.strictObject({
  number: port,
  name: z.string().min(1),
  protocol: protocol.default('TCP'),
  targetPort: port.optional(),
});

/** Of an address, a name of DNS, or a socket. */
const address = z
  .string()
  .min(1)
  .refine((text) => text.startsWith('unix:') || !/[*/]/.test(text), {
    message: 'an endpoint is one address or name; write it without * and /',
  })
  .refine((text) => !text.startsWith('unix://') || /^unix:\/\/[/@]/.test(text), {
    message: 'expected the whole path of the socket, as in unix:///run/app.sock',
  });
const workload = {
  ports: z.record(z.string().min(1), port).default({}),
  labels: labels.default({}),
  network: unsupported('remove it'),
  locality: locality.optional(),
  weight: count().optional(),
  serviceAccount: z.string().optional(),
};
const entryEndpoint = z.strictObject({ ...workload, address });

export const serviceEntry = z
  .strictObject({
    hosts: z.array(wildcardHost.refine((name) => name !== '*', { message: 'a service is no bare *' })).min(1),
    addresses: z
      .array(
        z
          .string()
          .refine(isAddressRange, { message: 'expected an address or a range, such as 10.1.2.3 or 10.0.0.0/8' }),
      )
      .default([]),
    ports: z.array(servicePort).min(1),
    location: z.enum(['MESH_EXTERNAL', 'MESH_INTERNAL']).default('MESH_EXTERNAL'),
    resolution: wordOf(['NONE', 'STATIC', 'DNS', 'DNS_ROUND_ROBIN'], {
      DYNAMIC_DNS:
        'write NONE, by which sidecars call the address that was asked for, or a ServiceEntry of resolution DNS for each host',
    }).default('NONE'),
    endpoints: z.array(entryEndpoint).default([]),
    workloadSelector: z.strictObject({ labels: labels.default({}) }).optional(),
    exportTo,
    /** Of the certificates of its servers, where a DestinationRule has TLS and names none. */
    subjectAltNames: z.array(z.string().min(1)).default([]),
  })
  .superRefine(({ hosts, ports, resolution, endpoints, workloadSelector }, context) => {
    const refuse = (path: readonly (string | number)[], message: string): void =>
      context.addIssue({ code: 'custom', path: [...path], message });
    for (const [at, { number, name }] of ports.entries()) {
      if (ports.findIndex((one) => one.number === number) < at)
        refuse(['ports', at, 'number'], `port ${number} stands twice`);
      if (ports.findIndex((one) => one.name === name) < at)
        refuse(['ports', at, 'name'], `the port name ${name} stands twice`);
    }
    for (const [at, name] of hosts.entries()) {
      if (!name.includes('.'))
        refuse(['hosts', at], 'a ServiceEntry takes no short names; write the complete name of the host');
      if (name.includes('*') && resolution.startsWith('DNS') && endpoints.length === 0)
        refuse(['hosts', at], 'resolution DNS asks for this host, so it must be complete; or give endpoints');
    }
    if (resolution === 'DNS_ROUND_ROBIN' && endpoints.length > 1)
      refuse(['endpoints'], 'resolution DNS_ROUND_ROBIN takes one endpoint; use resolution DNS for several');
    if (resolution === 'NONE' && endpoints.length > 0) refuse(['endpoints'], 'resolution NONE has no endpoints');
    const shared = ports.find((one) => !NAMES_HOST.has(one.protocol.toLowerCase()));
    if (hosts.length > 1 && resolution !== 'NONE' && shared !== undefined)
      refuse(
        ['hosts', 1],
        `connections to port ${shared.number} do not say for which host they are; write a ServiceEntry for each host`,
      );
    if (workloadSelector !== undefined && endpoints.length > 0)
      refuse(['endpoints'], 'expected one of endpoints and workloadSelector');
    for (const [at, { address, ports: own }] of endpoints.entries()) {
      if (resolution === 'STATIC' && isIP(address) === 0 && !address.startsWith('unix://'))
        refuse(['endpoints', at, 'address'], 'resolution STATIC takes addresses; use resolution DNS for names');
      if (address.startsWith('unix://') && (resolution.startsWith('DNS') || Object.keys(own).length > 0))
        refuse(['endpoints', at, 'address'], 'a socket needs resolution STATIC, and has no ports');
      for (const name of Object.keys(own))
        if (!ports.some((one) => one.name === name))
          refuse(['endpoints', at, 'ports', name], `no port is named ${name}`);
    }
  });
export type ServiceEntry = z.output<typeof serviceEntry>;

export const workloadEntry = z.strictObject({ ...workload, address });
export type WorkloadEntry = z.output<typeof workloadEntry>;

// Objects of Kubernetes have many more fields; those that say nothing about traffic are not read.

/** A port by number, or by the name that the container gives it. */
const targetPort = z.union([port, z.string().min(1)]);

export const kubernetesService = z.object({
  clusterIP: z.string().optional(),
  clusterIPs: z.array(z.string()).optional(),
  type: z.string().optional(),
  externalName: z.string().optional(),
  selector: labels.optional(),
  ports: z
    .array(
      z.object({
        name: z.string().default(''),
        port,
        protocol: z.string().default('TCP'),
        targetPort: targetPort.optional(),
        appProtocol: z.string().optional(),
      }),
    )
    .default([]),
});
export type KubernetesService = z.output<typeof kubernetesService>;

const targetRef = z.object({
  kind: z.string().optional(),
  name: z.string().optional(),
  namespace: z.string().optional(),
});

const endpointAddress = z.object({ ip: z.string(), targetRef: targetRef.optional() });
export const kubernetesEndpoints = z.object({
  subsets: z
    .array(
      z.object({
        addresses: z.array(endpointAddress).default([]),
        notReadyAddresses: z.array(endpointAddress).default([]),
        ports: z.array(z.object({ name: z.string().default(''), port })).default([]),
      }),
    )
    .default([]),
});
export type KubernetesEndpoints = z.output<typeof kubernetesEndpoints>;

export const endpointSlice = z.object({
  addressType: z.string().default('IPv4'),
  endpoints: z
    .array(
      z.object({
        addresses: z.array(z.string()).min(1),
        conditions: z.object({ ready: z.boolean().nullish() }).default({}),
        targetRef: targetRef.optional(),
        zone: z.string().optional(),
      }),
    )
    .default([]),
  ports: z.array(z.object({ name: z.string().nullish(), port: port.nullish() })).default([]),
});
export type EndpointSlice = z.output<typeof endpointSlice>;

export const pod = z.object({
  spec: z
    .object({
      serviceAccountName: z.string().default('default'),
      nodeName: z.string().optional(),
      containers: z
        .array(z.object({ ports: z.array(z.object({ name: z.string().optional(), containerPort: port })).default([]) }))
        .default([]),
    })
    .default({ serviceAccountName: 'default', containers: [] }),
  status: z
    .object({
      podIP: z.string().optional(),
      phase: z.string().optional(),
      conditions: z.array(z.object({ type: z.string(), status: z.string() })).default([]),
    })
    .default({ conditions: [] }),
});
export type Pod = z.output<typeof pod>;

/** Its labels say where it is. */
export const kubernetesNode = z.object({});

/** Discovery selectors match its labels. */
export const kubernetesNamespace = z.object({});

/** Most Secrets concern no gateway, so whatever their data are is no error; a gateway that names one says what is wrong with it. */
export const secret = z.object({
  /** By base64. */
  data: z.record(z.string(), z.unknown()).nullish(),
  stringData: z.record(z.string(), z.unknown()).nullish(),
});
export type Secret = z.output<typeof secret>;
