/** Who sees what: exportTo of every kind, egress of Sidecars, several rules for one host, delegates of other namespaces. */
import { NETWORKING } from './routes.ts';

/** Services of `far`, each with rules of its own. */
export const FAR = (
  'vs-all vs-own vs-shop vs-both vs-squat vs-rival vs-third dr-all dr-own dr-shop dr-both dr-mixed dr-joined dr-wild dr-root dr-select ' +
  'dr-select-alone shown-shop shown-own shown-none delegating-far'
).split(' ');
/** Namespaces with one workload, `web`, and a Sidecar each. */
export const EGRESS: Readonly<Record<string, string>> = {
  'egress-own': '[{ hosts: ["./*"] }]',
  'egress-host': '[{ hosts: ["./*", "far/vs-all.far.svc.cluster.local"] }]',
  'egress-any': '[{ hosts: ["*/vs-all.far.svc.cluster.local", "*/vs-squat.far.svc.cluster.local"] }]',
  'egress-less': '[{ hosts: ["*/*", "~far/*", "~default/reviews.default.svc.cluster.local"] }]',
  'egress-port':
    '[{ port: { number: 8000, name: http, protocol: HTTP }, hosts: ["far/*"] }, { hosts: ["./*", "default/many.default.svc.cluster.local"] }]',
  'egress-many':
    '[{ port: { number: 8081, name: grpc, protocol: GRPC }, hosts: ["default/*"] }, { port: { number: 9000, name: tcp, protocol: TCP }, hosts: ["default/echo.default.svc.cluster.local"] }, { hosts: ["far/*"] }]',
  'egress-wild': '[{ hosts: ["far/*.far.svc.cluster.local", "default/*.example.com"] }]',
};

export const EXPORTED: Readonly<Record<string, string>> = {
  'shown-shop': 'shop',
  'shown-own': '.',
  'shown-none': '~,shop',
};

const hostOf = (name: string): string => `${name}.far.svc.cluster.local`;
const rule = (name: string, namespace: string, hosts: string, seconds: number, more = ''): string => `${NETWORKING}
kind: VirtualService
metadata: { name: ${name}, namespace: ${namespace} }
spec: { hosts: [${hosts}], ${more} http: [{ timeout: ${seconds}s, route: [{ destination: { host: ${hosts.split(',')[0]} } }] }] }
`;
const limit = (name: string, namespace: string, host: string, most: number, more = ''): string => `${NETWORKING}
kind: DestinationRule
metadata: { name: ${name}, namespace: ${namespace} }
spec: { host: "${host}", ${more} trafficPolicy: { connectionPool: { tcp: { maxConnections: ${most} } } }, subsets: [{ name: of-${name}, labels: { version: v1 } }] }
`;

export const VISIBILITY = [
  rule('vs-all', 'far', hostOf('vs-all'), 1, 'exportTo: ["*"],'),
  rule('vs-own', 'far', hostOf('vs-own'), 2, 'exportTo: ["."],'),
  rule('vs-shop', 'far', hostOf('vs-shop'), 3, 'exportTo: [shop],'),
  rule('vs-both', 'far', hostOf('vs-both'), 4, 'exportTo: [".", shop],'),
  // Of another namespace, which keeps it to itself, or gives it to one, or to all.
  rule('a-squat', 'shop', hostOf('vs-squat'), 5, 'exportTo: ["."],'),
  rule('z-squat', 'far', hostOf('vs-squat'), 6),
  rule('a-rival', 'other', hostOf('vs-rival'), 7),
  rule('z-rival', 'far', hostOf('vs-rival'), 8, 'exportTo: [shop, other],'),
  rule('third', 'egress-own', hostOf('vs-third'), 9),
  rule('wild', 'shop', '"*.wilder.example.com"', 10, 'exportTo: ["."],').replace(
    '{ host: "*.wilder.example.com" }',
    '{ host: vs-all.far.svc.cluster.local }',
  ),
  limit('dr-all', 'far', hostOf('dr-all'), 1, 'exportTo: ["*"],'),
  limit('dr-own', 'far', hostOf('dr-own'), 2, 'exportTo: ["."],'),
  limit('dr-shop', 'far', hostOf('dr-shop'), 3, 'exportTo: [shop],'),
  limit('dr-both', 'far', hostOf('dr-both'), 4, 'exportTo: [".", shop],'),
  limit('a-mixed', 'far', hostOf('dr-mixed'), 5, 'exportTo: ["."],'),
  limit('b-mixed', 'far', hostOf('dr-mixed'), 6),
  limit('c-mixed', 'far', hostOf('dr-mixed'), 7, 'exportTo: ["."],'),
  limit('a-joined', 'far', hostOf('dr-joined'), 8),
  limit('b-joined', 'far', hostOf('dr-joined'), 9),
  limit('a-wild', 'far', '*.far.svc.cluster.local', 10),
  limit('a-wilder', 'shop', '*.svc.cluster.local', 11),
  limit('root', 'istio-system', hostOf('dr-root'), 12),
  limit('root-own', 'istio-system', hostOf('dr-wild'), 13, 'exportTo: ["."],'),
  limit('a-select', 'far', hostOf('dr-select'), 14),
  limit('b-select', 'far', hostOf('dr-select'), 15, 'workloadSelector: { matchLabels: { app: dr-select } },'),
  limit('c-select', 'far', hostOf('dr-select'), 16, 'workloadSelector: { matchLabels: { app: dr-select } },'),
  limit('alone', 'far', hostOf('dr-select-alone'), 17, 'workloadSelector: { matchLabels: { app: vs-all } },'),
  limit('narrowing', 'egress-host', hostOf('vs-all'), 18),
  `${NETWORKING}
kind: VirtualService
metadata: { name: delegating, namespace: far }
spec:
  hosts: [delegating-far]
  http:
  - { name: a, match: [{ uri: { prefix: /a }, headers: { x-a: { exact: a } } }], delegate: { name: part, namespace: parts }, timeout: 1s }
  - { name: b, match: [{ uri: { prefix: /b } }], delegate: { name: hidden, namespace: parts } }
  - { name: c, match: [{ uri: { prefix: /c } }], delegate: { name: missing } }
  - { name: d, delegate: { name: shown, namespace: parts }, retries: { attempts: 5 }, fault: { delay: { fixedDelay: 1s, percentage: { value: 1 } } } }
---
${NETWORKING}
kind: VirtualService
metadata: { name: part, namespace: parts }
spec:
  http:
  - { name: x, match: [{ uri: { prefix: /a/x } }, { uri: { exact: /a }, method: { exact: GET } }], rewrite: { uri: /y }, route: [{ destination: { host: vs-all.far.svc.cluster.local } }] }
  - { match: [{ uri: { prefix: /other } }], route: [{ destination: { host: vs-own.far.svc.cluster.local } }] }
  - { match: [{ headers: { x-a: { exact: b } } }], route: [{ destination: { host: vs-own.far.svc.cluster.local } }] }
  - { match: [{ headers: { x-b: { prefix: b } }, sourceLabels: { app: web } }], route: [{ destination: { host: vs-shop.far.svc.cluster.local } }] }
  - { timeout: 2s, route: [{ destination: { host: vs-both.far.svc.cluster.local } }] }
---
${NETWORKING}
kind: VirtualService
metadata: { name: hidden, namespace: parts }
spec: { exportTo: ["."], http: [{ route: [{ destination: { host: vs-all.far.svc.cluster.local } }] }] }
---
${NETWORKING}
kind: VirtualService
metadata: { name: shown, namespace: parts }
spec: { exportTo: [far], http: [{ retries: { attempts: 1 }, headers: { request: { set: { x-shown: "1" } } }, route: [{ destination: { host: vs-all.far.svc.cluster.local } }] }] }
`,
  ...Object.entries(EGRESS).map(
    ([namespace, egress]) => `${NETWORKING}
kind: Sidecar
metadata: { name: web, namespace: ${namespace} }
spec: { egress: ${egress} }
`,
  ),
  // Of a namespace that its own Sidecar does not name, and of one that it does.
  rule('to-far', 'egress-own', 'details.default.svc.cluster.local', 11),
  rule('to-all', 'egress-wild', hostOf('vs-shop'), 12),
  `${NETWORKING}
kind: ServiceEntry
metadata: { name: none, namespace: far }
spec: { hosts: [none.example.com], exportTo: ["~"], location: MESH_EXTERNAL, resolution: DNS, ports: [{ number: 80, name: http, protocol: HTTP }] }
---
${NETWORKING}
kind: ServiceEntry
metadata: { name: own, namespace: far }
spec: { hosts: [own.example.com], exportTo: ["."], location: MESH_EXTERNAL, resolution: DNS, ports: [{ number: 80, name: http, protocol: HTTP }] }
---
${NETWORKING}
kind: ServiceEntry
metadata: { name: shop, namespace: far }
spec: { hosts: [to-shop.example.com], exportTo: [shop, other], location: MESH_EXTERNAL, resolution: DNS, ports: [{ number: 80, name: http, protocol: HTTP }] }
`,
];
