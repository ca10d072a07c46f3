/** Less common services, gateways and sidecars, written for this comparison. */
import { NETWORKING } from './routes.ts';

const entry = (name: string, spec: string): string => `${NETWORKING}
kind: ServiceEntry
metadata: { name: ${name} }
spec: { ${spec} }
`;
const HTTP = 'ports: [{ number: 80, name: http, protocol: HTTP }]';

export const ODD_SERVICES = [
  entry(
    'protocols',
    'hosts: [protocols.example.com], location: MESH_EXTERNAL, resolution: DNS, ports: [{ number: 7001, name: h2, protocol: HTTP2 }, { number: 7002, name: rpc, protocol: GRPC }, { number: 7003, name: web, protocol: GRPC-WEB }, { number: 7004, name: mongo, protocol: MONGO }, { number: 7005, name: sql, protocol: MYSQL }, { number: 7006, name: cache, protocol: REDIS }, { number: 7007, name: tls, protocol: TLS }, { number: 7008, name: https, protocol: HTTPS }]',
  ),
  entry('hosts', `hosts: [one.example.com, two.example.com], location: MESH_EXTERNAL, resolution: DNS, ${HTTP}`),
  entry(
    'round-robin',
    `hosts: [rr.example.com], location: MESH_EXTERNAL, resolution: DNS_ROUND_ROBIN, ${HTTP}, endpoints: [{ address: rr.internal.example.com, ports: { http: 8081 } }]`,
  ),
  entry(
    'addresses',
    'hosts: [addresses.example.com], addresses: [10.250.1.1, 10.250.1.2], location: MESH_INTERNAL, resolution: STATIC, ports: [{ number: 9100, name: tcp, protocol: TCP }], endpoints: [{ address: 10.251.1.1, ports: { tcp: 9101 }, locality: eu/eu-2 }, { address: 10.251.1.2, labels: { security.istio.io/tlsMode: istio } }]',
  ),
  entry('any', `hosts: [any.example.com], location: MESH_EXTERNAL, resolution: NONE, ${HTTP}`),
  entry(
    'internal',
    `hosts: [internal.example.com], location: MESH_INTERNAL, resolution: DNS, ${HTTP}, endpoints: [{ address: a.internal.example.com, serviceAccount: internal }]`,
  ),
  entry(
    'bare',
    'hosts: [bare.example.com], location: MESH_EXTERNAL, resolution: STATIC, ports: [{ number: 7100, name: tcp, protocol: TCP }], endpoints: [{ address: 10.251.2.1 }]',
  ),
  `${NETWORKING}
kind: DestinationRule
metadata: { name: several }
spec: { host: "*.example.com", trafficPolicy: { connectionPool: { tcp: { connectTimeout: 4s } } } }
---
${NETWORKING}
kind: VirtualService
metadata: { name: two }
spec: { hosts: [two.example.com], http: [{ timeout: 3s, route: [{ destination: { host: two.example.com, port: { number: 80 } } }] }] }
---
${NETWORKING}
kind: VirtualService
metadata: { name: wild-example }
spec: { hosts: ["*.example.com"], http: [{ match: [{ uri: { prefix: /wild } }], route: [{ destination: { host: one.example.com } }] }] }
---
${NETWORKING}
kind: VirtualService
metadata: { name: tls-weights }
spec: { hosts: [protocols.example.com], tls: [{ match: [{ port: 7007, sniHosts: [protocols.example.com] }], route: [{ destination: { host: api.example.com, port: { number: 443 } }, weight: 30 }, { destination: { host: protocols.example.com, port: { number: 7007 } }, weight: 70 }] }, { match: [{ port: 7008, sniHosts: [protocols.example.com], sourceLabels: { app: nobody } }], route: [{ destination: { host: api.example.com, port: { number: 443 } } }] }], tcp: [{ match: [{ port: 7004 }], route: [{ destination: { host: protocols.example.com, port: { number: 7006 } } }] }] }
---
${NETWORKING}
kind: Gateway
metadata: { name: odd, namespace: shop }
spec:
  selector: { istio: oddgateway }
  servers:
  - { port: { number: 80, name: http, protocol: HTTP }, hosts: ["shop/*.shop.example.com", "./own.example.com", "*/any-shop.example.com"], tls: { httpsRedirect: true } }
  - { port: { number: 80, name: http2, protocol: HTTP2 }, hosts: ["plain.example.com"] }
  - { port: { number: 443, name: https-a, protocol: HTTPS }, hosts: [a.example.com], tls: { mode: SIMPLE, serverCertificate: /etc/c.pem, privateKey: /etc/k.pem, minProtocolVersion: TLSV1_3, maxProtocolVersion: TLSV1_3 } }
  - { port: { number: 443, name: https-b, protocol: HTTPS }, hosts: [b.example.com, "*.b.example.com"], tls: { mode: MUTUAL, serverCertificate: /etc/c.pem, privateKey: /etc/k.pem, caCertificates: /etc/ca.pem, subjectAltNames: [client.example.com] } }
  - { port: { number: 443, name: tls-c, protocol: TLS }, hosts: [c.example.com], tls: { mode: PASSTHROUGH } }
  - { port: { number: 444, name: tls-tcp, protocol: TLS }, hosts: [raw.example.com], tls: { mode: SIMPLE, serverCertificate: /etc/c.pem, privateKey: /etc/k.pem } }
  - { port: { number: 445, name: https-mesh, protocol: HTTPS }, hosts: [mesh.example.com], tls: { mode: ISTIO_MUTUAL } }
  - { port: { number: 446, name: https-cipher, protocol: HTTPS }, hosts: ["*"], tls: { mode: SIMPLE, serverCertificate: /etc/c.pem, privateKey: /etc/k.pem, cipherSuites: [ECDHE-RSA-AES256-GCM-SHA384] } }
  - { port: { number: 8181, name: grpc, protocol: GRPC }, bind: 10.246.0.9, hosts: ["*"] }
---
${NETWORKING}
kind: VirtualService
metadata: { name: odd-hosts, namespace: shop }
spec: { hosts: [a.shop.example.com, own.example.com, any-shop.example.com, plain.example.com, a.example.com], gateways: [odd, mesh], http: [{ match: [{ gateways: [odd], uri: { prefix: /gw } }], route: [{ destination: { host: vs-all.far.svc.cluster.local } }] }, { match: [{ gateways: [mesh], uri: { prefix: /mesh } }], route: [{ destination: { host: vs-own.far.svc.cluster.local } }] }, { route: [{ destination: { host: vs-both.far.svc.cluster.local } }] }] }
---
${NETWORKING}
kind: VirtualService
metadata: { name: foreign, namespace: other }
spec: { hosts: [b.example.com, x.b.example.com, own.example.com, any-shop.example.com, mesh.example.com, all.example.com], gateways: [shop/odd], http: [{ match: [{ port: 443 }], timeout: 5s, route: [{ destination: { host: reviews.other.svc.cluster.local } }] }, { route: [{ destination: { host: hidden } }] }] }
---
${NETWORKING}
kind: VirtualService
metadata: { name: odd-tls, namespace: shop }
spec: { hosts: [c.example.com, raw.example.com], gateways: [odd], tls: [{ match: [{ sniHosts: [c.example.com] }], route: [{ destination: { host: many.default.svc.cluster.local, port: { number: 8443 } }, weight: 1 }, { destination: { host: api.example.com, port: { number: 443 } }, weight: 1 }] }], tcp: [{ match: [{ port: 444 }], route: [{ destination: { host: echo.default.svc.cluster.local, subset: v1, port: { number: 9000 } } }] }] }
---
${NETWORKING}
kind: VirtualService
metadata: { name: claims, namespace: shop }
spec: { hosts: [claims.example.com], gateways: [odd], http: [{ match: [{ headers: { "@request.auth.claims.groups": { exact: a }, x-a: { exact: a } } }, { headers: { "@request.auth.claims[realm][roles]": { prefix: b } }, withoutHeaders: { "@request.auth.claims.c.d": { regex: "c+" } } }], route: [{ destination: { host: caller } }] }] }
---
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: { name: tokens, namespace: shop }
spec: { selector: { matchLabels: { istio: oddgateway } }, jwtRules: [{ issuer: a.example, audiences: [shop], jwks: '{"keys":[{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}', fromHeaders: [{ name: x-token, prefix: "T " }], spaceDelimitedClaims: [groups] }, { issuer: b.example, jwks: '{"keys":[{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}', fromParams: [token] }] }
---
${NETWORKING}
kind: Sidecar
metadata: { name: pooled, namespace: pooled }
spec:
  inboundConnectionPool: { tcp: { maxConnections: 5 }, http: { http1MaxPendingRequests: 6 } }
  ingress:
  - { port: { number: 8080, name: http, protocol: HTTP }, connectionPool: { http: { http2MaxRequests: 7 } } }
  - { port: { number: 8090, name: grpc, protocol: GRPC }, defaultEndpoint: "0.0.0.0:9998" }
  - { port: { number: 8091, name: tls, protocol: TLS }, defaultEndpoint: "127.0.0.1:9997" }
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: default, namespace: pooled }
spec: { mtls: { mode: STRICT } }
`,
];
