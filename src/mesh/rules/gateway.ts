/** Gateway and Sidecar of networking.istio.io: which ports a proxy opens, and what it sees of the mesh. */
import { isIP } from 'node:net';
import { z } from 'zod';
import { connectionPool } from './destination-rule.ts';
import { cipherSuite } from './proxy-values.ts';
import {
  isServerName,
  label,
  labels,
  port,
  secretName,
  SERVER_NAME,
  unsupported,
  wildcardHost,
  wordOf,
} from './values.ts';

const PROTOCOLS = [
  'HTTP',
  'HTTPS',
  'HTTP2',
  'GRPC',
  'GRPC-WEB',
  'TCP',
  'TLS',
  'MONGO',
  'REDIS',
  'MYSQL',
  'HTTP_PROXY',
] as const;
const portSpec = z.strictObject({
  number: port,
  name: z.string().min(1).optional(),
  protocol: z
    .string()
    .transform((text) => text.toUpperCase())
    .pipe(z.enum(PROTOCOLS)),
  targetPort: unsupported('remove it'),
});

const serverTls = z
  .strictObject({
    httpsRedirect: z.boolean().optional(),
    mode: wordOf(['PASSTHROUGH', 'SIMPLE', 'MUTUAL', 'OPTIONAL_MUTUAL', 'ISTIO_MUTUAL'], {
      AUTO_PASSTHROUGH: 'it joins several networks; write PASSTHROUGH, and a VirtualService with tls routes',
    }).optional(),
    serverCertificate: z.string().optional(),
    privateKey: z.string().optional(),
    caCertificates: z.string().optional(),
    /** A file of revoked certificates of clients. */
    caCrl: z.string().optional(),
    /** Of a Secret in the namespace of the gateway's workload; it goes before files. */
    credentialName: secretName.optional(),
    credentialNames: unsupported('name one Secret by credentialName'),
    caCertCredentialName: unsupported('put ca.crt into the Secret of credentialName, or into one named NAME-cacert'),
    tlsCertificates: unsupported('write serverCertificate and privateKey'),
    insecureSkipVerify: unsupported('mode SIMPLE asks clients for no certificate'),
    subjectAltNames: z.array(z.string()).default([]),
    /** Digests of certificates of clients, or of their keys (base64), one of which a certificate must have. */
    verifyCertificateSpki: z
      .array(z.string().regex(/^[A-Za-z0-9+/]{43}=$/, 'expected a SHA-256 by base64, 44 characters'))
      .default([]),
    verifyCertificateHash: z
      .array(z.string().regex(/^[0-9a-fA-F]{2}(:?[0-9a-fA-F]{2}){31}$/, 'expected a SHA-256 in hexadecimal digits'))
      .default([]),
    minProtocolVersion: z.enum(['TLS_AUTO', 'TLSV1_0', 'TLSV1_1', 'TLSV1_2', 'TLSV1_3']).optional(),
    maxProtocolVersion: z.enum(['TLS_AUTO', 'TLSV1_0', 'TLSV1_1', 'TLSV1_2', 'TLSV1_3']).optional(),
    cipherSuites: z.array(cipherSuite).default([]),
  })
  .superRefine(({ mode, serverCertificate, privateKey, caCertificates, credentialName }, context) => {
    if (mode === undefined || mode === 'PASSTHROUGH') return;
    const isNamed = credentialName !== undefined;
    if (mode === 'ISTIO_MUTUAL') {
      if (isNamed || (serverCertificate ?? privateKey ?? caCertificates) !== undefined)
        context.addIssue({ code: 'custom', message: "mode ISTIO_MUTUAL takes the workload's own certificate" });
      return;
    }
    if (isNamed) return;
    if (serverCertificate === undefined || privateKey === undefined)
      context.addIssue({
        code: 'custom',
        message: `mode ${mode} needs credentialName, or serverCertificate and privateKey`,
      });
    if (mode !== 'SIMPLE' && caCertificates === undefined)
      context.addIssue({ code: 'custom', message: `mode ${mode} needs caCertificates` });
  });

/** `namespace/host`, or `host` for all namespaces: of the VirtualServices that may serve it. The namespace may be `.` (its own) or `*`. */
const gatewayHost = z.string().transform((text, context): GatewayHost => {
  const slash = text.indexOf('/');
  const [namespace, name] = [slash === -1 ? '*' : text.slice(0, slash), text.slice(slash + 1)];
  const refuse = (message: string): void => context.addIssue({ code: 'custom', message });
  if (namespace !== '*' && namespace !== '.' && !label.safeParse(namespace).success)
    refuse('expected a namespace, . or * before the /');
  const { error, data = '' } = wildcardHost.safeParse(name);
  if (error !== undefined) refuse(error.issues[0]?.message ?? 'expected the name of a host');
  else if (data !== '*' && !data.includes('.') && data !== 'localhost')
    refuse('a gateway takes no short names; write the complete name of the host');
  return { namespace, host: data };
});
export interface GatewayHost {
  readonly namespace: string;
  readonly host: string;
}

/** Where a listener is opened. */
const bindAddress = z.string().refine((text) => isIP(text) !== 0, { message: 'expected an address, such as 10.1.2.3' });

const server = z
  .strictObject({
    port: portSpec,
    hosts: z.array(gatewayHost).min(1),
    tls: serverTls.optional(),
    bind: bindAddress.optional(),
    name: z.string().optional(),
    defaultEndpoint: unsupported('remove it'),
  })
  .superRefine(({ port: { protocol }, hosts, tls }, context) => {
    const isTls = protocol === 'HTTPS' || protocol === 'TLS';
    for (const [at, { host }] of hosts.entries())
      if (isTls && !isServerName(host)) context.addIssue({ code: 'custom', path: ['hosts', at], message: SERVER_NAME });
    if (isTls && tls?.httpsRedirect === true)
      context.addIssue({
        code: 'custom',
        path: ['tls', 'httpsRedirect'],
        message: `calls of protocol ${protocol} have TLS already; set it at the server of HTTP that should redirect`,
      });
    if (isTls && tls === undefined)
      context.addIssue({ code: 'custom', message: `a server of protocol ${protocol} needs tls` });
    if (!isTls && tls?.mode !== undefined)
      context.addIssue({ code: 'custom', path: ['tls'], message: `a server of protocol ${protocol} has no tls.mode` });
  });
export type GatewayServer = z.output<typeof server>;
export type ServerTls = z.output<typeof serverTls>;

export const gateway = z
  .strictObject({ servers: z.array(server).min(1), selector: labels.default({}) })
  .superRefine(({ servers }, context) => {
    const names = servers.map(({ port: { name } }) => name);
    for (const [at, name] of names.entries())
      if (name !== undefined && names.indexOf(name) < at)
        context.addIssue({
          code: 'custom',
          path: ['servers', at, 'port', 'name'],
          message: `the port name ${name} stands twice`,
        });
  });
export type Gateway = z.output<typeof gateway>;

const captureMode = z.enum(['DEFAULT', 'IPTABLES', 'NONE']).default('DEFAULT');
const ingress = z.strictObject({
  port: portSpec,
  bind: bindAddress.optional(),
  captureMode,
  defaultEndpoint: z
    .string()
    .regex(/^(127\.0\.0\.1|0\.0\.0\.0|\[::1?\]):\d+$|^unix:\/\/.+$/, 'expected 127.0.0.1:PORT or unix:///PATH')
    .refine((text) => text.startsWith('unix:') || port.safeParse(Number(/\d+$/.exec(text)?.[0])).success, {
      message: 'expected a port of 1 to 65535',
    })
    .optional(),
  connectionPool: connectionPool.optional(),
  tls: unsupported('end TLS at a gateway, or in the application, at a port whose PeerAuthentication has mode DISABLE'),
});
/**
 * `namespace/host`, where the namespace may be `.` (its own) or `*` (any); `~` before it leaves out what it names, and `~/*` everything.
 */
const egressHost = z
  .string()
  .regex(/^[^/]+\/[^/]+$/, 'expected namespace/host, such as ./* or istio-system/*')
  .refine((text) => wildcardHost.safeParse(text.slice(text.indexOf('/') + 1)).success, {
    message: 'expected the name of a host after the /; * may stand for its beginning, as in *.example.com',
  })
  .transform((text) => {
    const [isExcluded, slash] = [text.startsWith('~'), text.indexOf('/')];
    return {
      isExcluded,
      namespace: text.slice(isExcluded ? 1 : 0, slash) || '*',
      host: text.slice(slash + 1),
    };
  });
const egress = z.strictObject({
  port: portSpec.optional(),
  bind: bindAddress.optional(),
  captureMode,
  hosts: z.array(egressHost).min(1),
});

type Listener = Pick<z.output<typeof egress>, 'bind'> & { readonly port?: z.output<typeof portSpec> | undefined };

/** One opens each port once. */
function checkPorts(part: string, listeners: readonly Listener[], context: z.RefinementCtx): void {
  const keys = listeners.map(({ port: own, bind = '' }) => (own === undefined ? undefined : `${bind} ${own.number}`));
  for (const [at, key] of keys.entries())
    if (key !== undefined && keys.indexOf(key) < at)
      context.addIssue({
        code: 'custom',
        path: [part, at, 'port', 'number'],
        message: `${part}[${keys.indexOf(key)}] has this port, too; put the hosts of both into one, or give each a bind`,
      });
}

export const sidecar = z
  .strictObject({
    workloadSelector: z.strictObject({ labels: labels.default({}) }).optional(),
    ingress: z.array(ingress).default([]),
    egress: z.array(egress).default([]),
    egressProxy: unsupported('route calls to hosts outside through a gateway by VirtualServices'),
    /** Of calls to the workload, in place of that of DestinationRules. */
    inboundConnectionPool: connectionPool.optional(),
    outboundTrafficPolicy: z
      .strictObject({ mode: z.enum(['REGISTRY_ONLY', 'ALLOW_ANY']).default('REGISTRY_ONLY') })
      .optional(),
  })
  .superRefine((one, context) => {
    checkPorts('ingress', one.ingress, context);
    checkPorts('egress', one.egress, context);
  });
export type Sidecar = z.output<typeof sidecar>;
export type SidecarIngress = z.output<typeof ingress>;
export type SidecarEgress = z.output<typeof egress>;
