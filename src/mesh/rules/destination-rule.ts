/** DestinationRule of networking.istio.io: how calls reach the endpoints of a host, and its subsets. */
import { z } from 'zod';
import { localityLbSetting } from './locality.ts';
import { count, tableSize } from './proxy-values.ts';
import {
  duration,
  durationOr,
  exportTo,
  label,
  labels,
  port,
  secretName,
  unsupported,
  wildcardHost,
} from './values.ts';

export const tcpKeepalive = z.strictObject({
  probes: count(1).optional(),
  time: duration.optional(),
  interval: duration.optional(),
});
const tcp = z.strictObject({
  maxConnections: count(1).optional(),
  connectTimeout: duration.optional(),
  /** 0: connections never end for being idle. */
  idleTimeout: durationOr('', 0).optional(),
  maxConnectionDuration: duration.optional(),
  tcpKeepalive: tcpKeepalive.optional(),
});
const http = z
  .strictObject({
    http1MaxPendingRequests: count().optional(),
    http2MaxRequests: count().optional(),
    maxRequestsPerConnection: count().optional(),
    maxRetries: count().optional(),
    idleTimeout: duration.optional(),
    h2UpgradePolicy: z.enum(['DEFAULT', 'DO_NOT_UPGRADE', 'UPGRADE']).optional(),
    useClientProtocol: z.boolean().optional(),
    maxConcurrentStreams: count(1, 2_147_483_647).optional(),
    /** Pings on connections of HTTP/2. */
    http2KeepAlive: z.strictObject({ interval: duration, timeout: duration }).optional(),
  })
  .refine(({ h2UpgradePolicy, useClientProtocol }) => h2UpgradePolicy !== 'UPGRADE' || useClientProtocol !== true, {
    message: 'expected one of h2UpgradePolicy UPGRADE (HTTP/2 always) and useClientProtocol (as the client does)',
  });

export const connectionPool = z.strictObject({ tcp: tcp.optional(), http: http.optional() });

/** Envoy's own limit. */
const MAX_RING = 8 << 20;

const consistentHash = z
  .strictObject({
    httpHeaderName: z.string().min(1).optional(),
    httpQueryParameterName: z.string().min(1).optional(),
    httpCookie: z
      .strictObject({
        name: z.string().min(1),
        path: z.string().optional(),
        /** 0: for as long as the client runs. */
        ttl: durationOr('', 0).optional(),
        attributes: z.array(z.strictObject({ name: z.string().min(1), value: z.string() })).default([]),
      })
      .optional(),
    useSourceIp: z.boolean().optional(),
    minimumRingSize: count(1, MAX_RING).optional(),
    ringHash: z.strictObject({ minimumRingSize: count(1, MAX_RING).optional() }).optional(),
    maglev: z.strictObject({ tableSize: tableSize.optional() }).optional(),
  })
  .refine(
    ({ httpHeaderName, httpQueryParameterName, httpCookie, useSourceIp }) =>
      [httpHeaderName, httpQueryParameterName, httpCookie, useSourceIp].filter((one) => one !== undefined).length === 1,
    { message: 'expected exactly one of httpHeaderName, httpCookie, useSourceIp and httpQueryParameterName' },
  )
  .refine(
    ({ minimumRingSize, ringHash, maglev }) =>
      [minimumRingSize, ringHash, maglev].filter((one) => one !== undefined).length <= 1,
    { message: 'expected one of ringHash and maglev; minimumRingSize beside them belongs into ringHash' },
  );

const loadBalancer = z.strictObject({
  simple: z.enum(['UNSPECIFIED', 'ROUND_ROBIN', 'LEAST_CONN', 'LEAST_REQUEST', 'RANDOM', 'PASSTHROUGH']).optional(),
  consistentHash: consistentHash.optional(),
  /** Of new endpoints, whose share grows meanwhile. */
  warmupDurationSecs: duration.optional(),
  warmup: z
    .strictObject({
      duration,
      minimumPercent: z.number().min(0).max(100).optional(),
      aggression: z.number().min(1).optional(),
    })
    .optional(),
  localityLbSetting: localityLbSetting.optional(),
});

const outlierDetection = z
  .strictObject({
    /** 1.0.2: errors of gateways, 502 to 504, alone. */
    consecutiveErrors: count().optional(),
    consecutive5xxErrors: count().optional(),
    consecutiveGatewayErrors: count().optional(),
    splitExternalLocalOriginErrors: z.boolean().optional(),
    consecutiveLocalOriginFailures: count().optional(),
    interval: duration.optional(),
    baseEjectionTime: duration.optional(),
    maxEjectionPercent: z.int().min(0).max(100).optional(),
    minHealthPercent: z.int().min(0).max(100).optional(),
    /** 1.0.2. */
    http: z
      .strictObject({
        consecutiveErrors: count().optional(),
        interval: duration.optional(),
        baseEjectionTime: duration.optional(),
        maxEjectionPercent: z.int().min(0).max(100).optional(),
      })
      .optional(),
  })
  .superRefine(({ splitExternalLocalOriginErrors, consecutiveLocalOriginFailures = 0 }, context) => {
    if (consecutiveLocalOriginFailures > 0 && splitExternalLocalOriginErrors !== true)
      context.addIssue({
        code: 'custom',
        path: ['consecutiveLocalOriginFailures'],
        message: 'local failures are counted apart only with splitExternalLocalOriginErrors: true; write it, too',
      });
  });

const tls = z
  .strictObject({
    mode: z.enum(['DISABLE', 'SIMPLE', 'MUTUAL', 'ISTIO_MUTUAL']).default('DISABLE'),
    clientCertificate: z.string().optional(),
    privateKey: z.string().optional(),
    /** Of the server; without, the roots of the proxy's operating system sign for it. */
    caCertificates: z.string().optional(),
    caCrl: z.string().optional(),
    /** Of a Secret in the namespace of the workload, in place of files. */
    credentialName: secretName.optional(),
    subjectAltNames: z.array(z.string()).default([]),
    sni: z.string().optional(),
    insecureSkipVerify: z.boolean().nullish(),
  })
  .refine(
    ({ mode, clientCertificate = '', privateKey = '', credentialName }) =>
      mode !== 'MUTUAL' || credentialName !== undefined || (clientCertificate !== '' && privateKey !== ''),
    { message: 'mode MUTUAL needs credentialName, or clientCertificate and privateKey' },
  )
  .refine(
    ({ mode, clientCertificate, privateKey, caCertificates, credentialName }) =>
      mode !== 'ISTIO_MUTUAL' || (clientCertificate ?? privateKey ?? caCertificates ?? credentialName) === undefined,
    { message: "mode ISTIO_MUTUAL takes the workload's own certificate, so it names no files and no Secret" },
  )
  .refine(
    ({ clientCertificate, privateKey, caCertificates, caCrl, credentialName }) =>
      credentialName === undefined || (clientCertificate ?? privateKey ?? caCertificates ?? caCrl) === undefined,
    { message: 'expected credentialName or files, not both' },
  )
  .refine(
    ({ mode, insecureSkipVerify, caCertificates, caCrl, subjectAltNames }) =>
      insecureSkipVerify !== true ||
      mode === 'DISABLE' ||
      mode === 'ISTIO_MUTUAL' ||
      (caCertificates === undefined && caCrl === undefined && subjectAltNames.length === 0),
    { message: 'insecureSkipVerify verifies nothing, so it stands beside no caCertificates, caCrl or subjectAltNames' },
  );

export type ClientTls = z.output<typeof tls>;

const portPolicy = {
  loadBalancer: loadBalancer.optional(),
  connectionPool: connectionPool.optional(),
  outlierDetection: outlierDetection.optional(),
  tls: tls.optional(),
};

/** The share of active requests that may be retries; in place of maxRetries. */
const retryBudget = z.strictObject({
  percent: z.number().min(0).max(100).default(20),
  minRetryConcurrency: count().default(3),
  budgetInterval: unsupported('remove it; the share is that of active requests'),
});

/** Connections begin with the address of the client, in the form of HAProxy. */
const proxyProtocol = z.strictObject({ version: z.enum(['V1', 'V2']).default('V1') });

const trafficPolicy = z.strictObject({
  ...portPolicy,
  retryBudget: retryBudget.optional(),
  proxyProtocol: proxyProtocol.optional(),
  tunnel: unsupported('applications ask the proxy for a tunnel themselves, at a ServiceEntry of protocol TCP'),
  portLevelSettings: z.array(z.strictObject({ port: z.strictObject({ number: port }), ...portPolicy })).default([]),
});
export type TrafficPolicy = z.output<typeof trafficPolicy>;
export type PortPolicy = Omit<TrafficPolicy, 'portLevelSettings'>;

const subset = z.strictObject({ name: label, labels: labels.default({}), trafficPolicy: trafficPolicy.optional() });
export type Subset = z.output<typeof subset>;

export const destinationRule = z
  .strictObject({
    host: wildcardHost,
    trafficPolicy: trafficPolicy.optional(),
    subsets: z.array(subset).default([]),
    exportTo,
    workloadSelector: z.strictObject({ matchLabels: labels.default({}) }).optional(),
  })
  .superRefine(({ subsets }, context) => {
    const names = subsets.map(({ name }) => name);
    for (const [at, name] of names.entries())
      if (names.indexOf(name) < at)
        context.addIssue({ code: 'custom', path: ['subsets', at, 'name'], message: `the subset ${name} stands twice` });
  });
export type DestinationRule = z.output<typeof destinationRule>;
