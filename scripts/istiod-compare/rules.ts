/** A rule of each scenario, written for this comparison. */
import { ODD_RULES } from './odd-rules.ts';
import { ODD_SERVICES } from './odd-services.ts';
import { HTTP, NETWORKING, reached, SUBSETS, to } from './routes.ts';
import { VISIBILITY } from './visibility.ts';

const PEER = 'apiVersion: security.istio.io/v1';

const REACHED = [
  reached(
    'many',
    `trafficPolicy: { connectionPool: { tcp: { maxConnections: 7 } }, outlierDetection: { consecutive5xxErrors: 3 }, portLevelSettings: [{ port: { number: 8081 }, connectionPool: { http: { http2MaxRequests: 9 } } }, { port: { number: 8082 }, tls: { mode: DISABLE } }] }`,
  ),
  reached(
    'ports-of-rule',
    `trafficPolicy: { connectionPool: { tcp: { connectTimeout: 2s } }, portLevelSettings: [{ port: { number: 8000 }, loadBalancer: { simple: ROUND_ROBIN } }] }, subsets: [{ name: v1, labels: { version: v1 }, trafficPolicy: { outlierDetection: { consecutive5xxErrors: 7 }, portLevelSettings: [{ port: { number: 8000 }, connectionPool: { http: { maxRetries: 4 } } }] } }, { name: v2, labels: { version: v2 }, trafficPolicy: { outlierDetection: { consecutive5xxErrors: 5 } } }]`,
  ),
  reached(
    'outliers',
    `trafficPolicy: { outlierDetection: { consecutiveGatewayErrors: 4, consecutive5xxErrors: 0, interval: 5s, baseEjectionTime: 3m, maxEjectionPercent: 100, minHealthPercent: 40, splitExternalLocalOriginErrors: true, consecutiveLocalOriginFailures: 6 } }`,
  ),
  reached('hash-header', 'trafficPolicy: { loadBalancer: { consistentHash: { httpHeaderName: x-user } } }'),
  reached(
    'hash-cookie',
    'trafficPolicy: { loadBalancer: { consistentHash: { httpCookie: { name: c, path: /p, ttl: 60s, attributes: [{ name: SameSite, value: Strict }] }, ringHash: { minimumRingSize: 2048 } } } }',
  ),
  reached('hash-source', 'trafficPolicy: { loadBalancer: { consistentHash: { useSourceIp: true, maglev: {} } } }'),
  reached(
    'hash-query',
    'trafficPolicy: { loadBalancer: { consistentHash: { httpQueryParameterName: q, maglev: { tableSize: 1009 } } } }',
  ),
  reached('tls-disable', 'trafficPolicy: { tls: { mode: DISABLE } }'),
  reached(
    'tls-simple',
    'trafficPolicy: { tls: { mode: SIMPLE, caCertificates: /etc/ca.pem, sni: name.example, subjectAltNames: [a.example, b.example] } }',
  ),
  reached(
    'tls-mutual',
    'trafficPolicy: { tls: { mode: MUTUAL, clientCertificate: /etc/c.pem, privateKey: /etc/k.pem, caCertificates: /etc/ca.pem } }',
  ),
  reached('tls-insecure', 'trafficPolicy: { tls: { mode: SIMPLE, insecureSkipVerify: true } }'),
  reached(
    'tls-system',
    'trafficPolicy: { tls: { mode: MUTUAL, clientCertificate: /etc/c.pem, privateKey: /etc/k.pem } }',
  ),
  reached('tls-revoked', 'trafficPolicy: { tls: { mode: SIMPLE, caCertificates: /etc/ca.pem, caCrl: /etc/crl.pem } }'),
  reached(
    'tls-credential',
    'workloadSelector: { matchLabels: { app: productpage } }, trafficPolicy: { tls: { mode: MUTUAL, credentialName: client } }',
  ),
  reached('tls-istio', `trafficPolicy: { tls: { mode: ISTIO_MUTUAL } }, ${SUBSETS}`),
  reached('round-robin', 'trafficPolicy: { loadBalancer: { simple: ROUND_ROBIN } }'),
  reached(
    'random',
    'trafficPolicy: { retryBudget: { percent: 25, minRetryConcurrency: 4 }, loadBalancer: { simple: RANDOM } }',
  ),
  reached('passthrough', 'trafficPolicy: { loadBalancer: { simple: PASSTHROUGH } }'),
  reached(
    'warmup',
    'trafficPolicy: { loadBalancer: { simple: ROUND_ROBIN, warmup: { duration: 30s, minimumPercent: 20, aggression: 1.5 } } }',
  ),
  reached(
    'distribute',
    'trafficPolicy: { loadBalancer: { localityLbSetting: { distribute: [{ from: "eu/eu-1/*", to: { "eu/eu-1/*": 80, "eu/eu-2/*": 20 } }] } } }',
  ),
  reached(
    'failover',
    'trafficPolicy: { outlierDetection: { consecutive5xxErrors: 5 }, loadBalancer: { localityLbSetting: { failoverPriority: [topology.kubernetes.io/zone] } } }',
  ),
  reached(
    'pool',
    'trafficPolicy: { connectionPool: { tcp: { maxConnections: 5, connectTimeout: 3s, maxConnectionDuration: 1h, idleTimeout: 9s, tcpKeepalive: { probes: 3, time: 75s, interval: 10s } }, http: { http1MaxPendingRequests: 2, http2MaxRequests: 3, maxRequestsPerConnection: 4, maxRetries: 6, idleTimeout: 30s, maxConcurrentStreams: 50 } } }',
  ),
  reached(
    'upgrade',
    'trafficPolicy: { connectionPool: { http: { h2UpgradePolicy: UPGRADE, http2KeepAlive: { interval: 30s, timeout: 5s } } } }',
  ),
  reached('client-protocol', 'trafficPolicy: { connectionPool: { http: { useClientProtocol: true } } }'),
  reached(
    'productpage',
    'trafficPolicy: { connectionPool: { tcp: { maxConnections: 5 }, http: { http1MaxPendingRequests: 2, idleTimeout: 3s } } }',
  ),
  reached('echo', SUBSETS),
];

const OTHERS = [
  `${NETWORKING}
kind: VirtualService
metadata: { name: sourced }
spec:
  hosts: [sourced]
  tcp:
  - { match: [{ sourceSubnet: 10.2.0.0/16 }], route: [{ destination: { host: database, port: { number: 9000 } } }] }
`,
  `${NETWORKING}
kind: VirtualService
metadata: { name: echo }
spec:
  hosts: [echo]
  tcp:
  - { match: [{ port: 9000 }], route: [{ destination: { host: echo, subset: v1, port: { number: 9000 } }, weight: 80 }, { destination: { host: echo, subset: v2, port: { number: 9000 } }, weight: 20 }] }
`,
  `${NETWORKING}
kind: ServiceEntry
metadata: { name: dns }
spec: { hosts: [api.example.com], location: MESH_EXTERNAL, resolution: DNS, ports: [{ number: 443, name: tls, protocol: TLS }, { number: 80, name: http, protocol: HTTP }] }
---
${NETWORKING}
kind: ServiceEntry
metadata: { name: dns-endpoints }
spec: { hosts: [many.example.com], location: MESH_EXTERNAL, resolution: DNS, ports: [{ number: 80, name: http, protocol: HTTP }], endpoints: [{ address: a.example.com, ports: { http: 8080 }, weight: 3 }, { address: b.example.com, locality: us/west }] }
---
${NETWORKING}
kind: ServiceEntry
metadata: { name: static }
spec: { hosts: [static.example.com], addresses: [10.250.0.1], location: MESH_INTERNAL, resolution: STATIC, ports: [{ number: 8200, name: tcp, protocol: TCP }, { number: 8000, name: http, protocol: HTTP, targetPort: 8010 }], endpoints: [{ address: 10.251.0.1, labels: { version: v1 } }, { address: 10.251.0.2, weight: 5, serviceAccount: static }] }
---
${NETWORKING}
kind: ServiceEntry
metadata: { name: range }
spec: { hosts: [range.example.com], addresses: [10.252.0.0/16], location: MESH_EXTERNAL, resolution: NONE, ports: [{ number: 8300, name: tcp, protocol: TCP }] }
---
${NETWORKING}
kind: ServiceEntry
metadata: { name: wildcard }
spec: { hosts: ["*.wild.example.com"], location: MESH_EXTERNAL, resolution: NONE, ports: [{ number: 443, name: tls, protocol: TLS }, { number: 80, name: http, protocol: HTTP }] }
---
${NETWORKING}
kind: DestinationRule
metadata: { name: api }
spec: { host: api.example.com, trafficPolicy: { portLevelSettings: [{ port: { number: 80 }, tls: { mode: SIMPLE } }] } }
---
${NETWORKING}
kind: ServiceEntry
metadata: { name: named }
spec: { hosts: [named.example.com], location: MESH_EXTERNAL, resolution: DNS, subjectAltNames: [a.example.com, "spiffe://example.com/b"], ports: [{ number: 8444, name: http, protocol: HTTP }] }
---
${NETWORKING}
kind: DestinationRule
metadata: { name: named }
spec: { host: named.example.com, trafficPolicy: { tls: { mode: SIMPLE } } }
---
${NETWORKING}
kind: DestinationRule
metadata: { name: wildcard }
spec: { host: "*.wild.example.com", trafficPolicy: { portLevelSettings: [{ port: { number: 80 }, tls: { mode: SIMPLE } }] } }
---
${NETWORKING}
kind: ServiceEntry
metadata: { name: sni }
spec: { hosts: [sni.example.com], location: MESH_EXTERNAL, resolution: DNS, ports: [{ number: 443, name: tls, protocol: TLS }] }
---
${NETWORKING}
kind: VirtualService
metadata: { name: sni }
spec: { hosts: [sni.example.com], tls: [{ match: [{ port: 443, sniHosts: [sni.example.com] }], route: [{ destination: { host: api.example.com, port: { number: 443 } } }] }] }
---
${NETWORKING}
kind: ServiceEntry
metadata: { name: workloads, namespace: other }
spec: { hosts: [vms.example.com], location: MESH_INTERNAL, resolution: STATIC, ports: [{ number: 8000, name: http, protocol: HTTP }], workloadSelector: { labels: { app: vm } } }
---
${NETWORKING}
kind: WorkloadEntry
metadata: { name: vm, namespace: other }
spec: { address: 10.253.0.1, labels: { app: vm }, serviceAccount: vm, ports: { http: 8123 }, locality: us/east }
---
${NETWORKING}
kind: VirtualService
metadata: { name: hidden, namespace: other }
spec: { hosts: [hidden], exportTo: ["."], http: [{ timeout: 9s, route: [{ destination: { host: hidden } }] }] }
---
${NETWORKING}
kind: Sidecar
metadata: { name: narrow, namespace: narrow }
spec:
  outboundTrafficPolicy: { mode: REGISTRY_ONLY }
  egress: [{ hosts: ["./*", "default/reviews.default.svc.cluster.local", "default/echo.default.svc.cluster.local", "default/api.example.com"] }]
  ingress: [{ port: { number: 8080, name: http, protocol: HTTP }, defaultEndpoint: "127.0.0.1:9999" }, { port: { number: 8090, name: tcp, protocol: TCP }, defaultEndpoint: "127.0.0.1:9998" }]
---
${PEER}
kind: PeerAuthentication
metadata: { name: strict }
spec: { selector: { matchLabels: { app: strict } }, mtls: { mode: STRICT }, portLevelMtls: { 8085: { mode: DISABLE } } }
---
${PEER}
kind: PeerAuthentication
metadata: { name: ratings }
spec: { selector: { matchLabels: { app: ratings } }, mtls: { mode: DISABLE } }
`,
];

const GATEWAYS = [
  `${NETWORKING}
kind: Gateway
metadata: { name: shop }
spec:
  selector: { istio: ingressgateway }
  servers:
  - { port: { number: 80, name: http, protocol: HTTP }, hosts: [shop.example.com, "*.apps.example.com"] }
  - { port: { number: 8080, name: http-redirect, protocol: HTTP }, hosts: [shop.example.com], tls: { httpsRedirect: true } }
  - { port: { number: 443, name: https, protocol: HTTPS }, hosts: [shop.example.com], tls: { mode: SIMPLE, serverCertificate: /etc/c.pem, privateKey: /etc/k.pem } }
  - { port: { number: 8443, name: https-mutual, protocol: HTTPS }, hosts: [shop.example.com], tls: { mode: MUTUAL, serverCertificate: /etc/c.pem, privateKey: /etc/k.pem, caCertificates: /etc/ca.pem, minProtocolVersion: TLSV1_2 } }
  - { port: { number: 9443, name: tls, protocol: TLS }, hosts: ["./pass.example.com"], tls: { mode: PASSTHROUGH } }
  - { port: { number: 9000, name: tcp, protocol: TCP }, hosts: ["*"] }
  - { port: { number: 8888, name: http-empty, protocol: HTTP }, hosts: [empty.example.com] }
---
${NETWORKING}
kind: VirtualService
metadata: { name: shop }
spec:
  hosts: [shop.example.com]
  gateways: [shop]
  http:
  - { match: [{ uri: { exact: /productpage } }, { uri: { prefix: /static } }], route: [{ destination: { host: productpage, port: { number: 9080 } } }] }
  - { match: [{ port: 80, uri: { prefix: /plain } }], route: [{ destination: { host: many, port: { number: 8081 } } }], timeout: 2s }
---
${NETWORKING}
kind: VirtualService
metadata: { name: shop-second }
spec: { hosts: [shop.example.com], gateways: [shop, mesh], http: [{ match: [{ uri: { prefix: /second } }], ${to('details')} }, { ${to('hash-header')} }] }
---
${NETWORKING}
kind: VirtualService
metadata: { name: apps }
spec: { hosts: [a.apps.example.com, b.apps.example.com], gateways: [default/shop], http: [{ ${to('subsets')} }] }
---
${NETWORKING}
kind: VirtualService
metadata: { name: pass }
spec: { hosts: [pass.example.com], gateways: [shop], tls: [{ match: [{ port: 9443, sniHosts: [pass.example.com] }], route: [{ destination: { host: many, port: { number: 8443 } } }] }] }
---
${NETWORKING}
kind: VirtualService
metadata: { name: raw }
spec: { hosts: ["*"], gateways: [shop], tcp: [{ match: [{ port: 9000, gateways: [shop] }], route: [{ destination: { host: echo, port: { number: 9000 } } }] }] }
`,
];

export const RULES = [...HTTP, ...REACHED, ...OTHERS, ...GATEWAYS, ...VISIBILITY, ...ODD_RULES, ...ODD_SERVICES].join(
  '---\n',
);
