/** Rules of routes, written for this comparison. */
export const NETWORKING = 'apiVersion: networking.istio.io/v1';

/** Of the service of its name. */
export const routed = (name: string, http: string): string => `${NETWORKING}
kind: VirtualService
metadata: { name: ${name} }
spec:
  hosts: [${name}]
  http:
${http}
`;
export const reached = (name: string, spec: string): string => `${NETWORKING}
kind: DestinationRule
metadata: { name: ${name} }
spec: { host: ${name}, ${spec} }
`;
export const SUBSETS = 'subsets: [{ name: v1, labels: { version: v1 } }, { name: v2, labels: { version: v2 } }]';
export const to = (name: string): string => `route: [{ destination: { host: ${name} } }]`;

export const HTTP = [
  reached('subsets', SUBSETS),
  routed(
    'subsets',
    `  - name: both
    route:
    - { destination: { host: subsets, subset: v1 }, weight: 75 }
    - { destination: { host: subsets, subset: v2 }, weight: 25 }`,
  ),
  routed(
    'matches',
    `  - { match: [{ uri: { exact: /exact } }, { uri: { prefix: /prefix }, ignoreUriCase: true }], ${to('matches')} }
  - { name: regex, match: [{ name: inner, uri: { regex: "/a+/.*" } }], ${to('matches')} }
  - { match: [{ headers: { x-exact: { exact: a }, x-prefix: { prefix: b }, x-regex: { regex: "c.*" }, x-any: {} } }], ${to('matches')} }
  - { match: [{ withoutHeaders: { x-not: { exact: a }, x-none: {} } }], ${to('matches')} }
  - { match: [{ method: { exact: GET }, authority: { prefix: matches }, scheme: { exact: http } }], ${to('matches')} }
  - { match: [{ queryParams: { q: { exact: a }, r: { regex: "b.*" }, s: { prefix: c } } }], ${to('matches')} }
  - { match: [{ port: 8000, uri: { prefix: /port } }, { port: 8001, uri: { prefix: /other } }], ${to('matches')} }
  - { match: [{ sourceLabels: { app: productpage }, uri: { prefix: /labels } }], ${to('matches')} }
  - { match: [{ sourceLabels: { app: details }, uri: { prefix: /labels2 } }], ${to('matches')} }
  - { match: [{ sourceNamespace: other, uri: { prefix: /space } }], ${to('matches')} }
  - { match: [{ gateways: [mesh], uri: { prefix: /mesh } }], ${to('matches')} }
  - { match: [{ uri: { prefix: / } }], ${to('matches')} }
  - { match: [{ uri: { prefix: /unreached } }], ${to('matches')} }`,
  ),
  routed(
    'rewrites',
    `  - { match: [{ uri: { prefix: /a } }], rewrite: { uri: /b, authority: other.example }, ${to('rewrites')} }
  - { match: [{ uri: { prefix: /slash/ } }], rewrite: { uri: / }, ${to('rewrites')} }
  - { match: [{ uri: { regex: "/c/.*" } }], rewrite: { uriRegexRewrite: { match: "^/c/(.*)$", rewrite: '/\\1' } }, ${to('rewrites')} }
  - { rewrite: { authority: named.example }, ${to('rewrites')} }`,
  ),
  routed(
    'redirects',
    `  - { match: [{ uri: { exact: /a } }], redirect: { uri: /b, authority: other.example } }
  - { match: [{ uri: { prefix: /c } }], redirect: { authority: other.example, redirectCode: 308, scheme: https, port: 8443 } }
  - { match: [{ uri: { prefix: /d } }], redirect: { scheme: https, derivePort: FROM_REQUEST_PORT, redirectCode: 302 } }
  - { match: [{ uri: { prefix: /p } }], redirect: { scheme: https, derivePort: FROM_PROTOCOL_DEFAULT, redirectCode: 302 } }
  - { match: [{ uri: { prefix: /e } }], redirect: { uri: "%PREFIX()%/x" } }
  - { match: [{ uri: { prefix: /r }, statPrefix: of-r }], redirect: { prefixRewrite: /s } }
  - { match: [{ uri: { prefix: /y } }], directResponse: { status: 200, body: { bytes: aGVsbG8= } } }
  - { match: [{ uri: { prefix: /f } }], directResponse: { status: 418, body: { string: teapot } } }
  - { match: [{ uri: { prefix: /g } }], directResponse: { status: 503 } }
  - { redirect: { uri: /all, redirectCode: 307 } }`,
  ),
  reached('headers', SUBSETS),
  routed(
    'headers',
    `  - headers: { request: { set: { x-a: "1", x-b: "%START_TIME%" }, add: { x-c: "2" }, remove: [x-d, x-e] }, response: { set: { y-a: "1" }, add: { y-b: "2" }, remove: [y-c] } }
    match: [{ uri: { prefix: /a } }]
    route:
    - { destination: { host: headers, subset: v1 }, weight: 1, headers: { request: { set: { x-v: "1", host: v1.example } }, response: { add: { y-v: "1" } } } }
    - { destination: { host: headers, subset: v2 }, weight: 1, headers: { request: { remove: [x-v] } } }
  - { match: [{ uri: { prefix: /host } }], headers: { request: { set: { host: host.example } } }, ${to('headers')} }
  - route: [{ destination: { host: headers }, headers: { request: { set: { x-one: "1" } } } }]`,
  ),
  routed(
    'retries',
    `  - { match: [{ uri: { prefix: /a } }], retries: { attempts: 3, perTryTimeout: 2s, retryOn: "gateway-error,503,reset" }, ${to('retries')} }
  - { match: [{ uri: { prefix: /b } }], retries: { attempts: 0 }, ${to('retries')} }
  - { match: [{ uri: { prefix: /c } }], retries: { attempts: 1, retryRemoteLocalities: true, backoff: 100ms }, ${to('retries')} }
  - { match: [{ uri: { prefix: /d } }], retries: { attempts: 1, retryIgnorePreviousHosts: false }, ${to('retries')} }
  - { match: [{ uri: { prefix: /e } }], retries: { attempts: 1, retryOn: "5xx" }, timeout: 4s, ${to('retries')} }
  - { match: [{ uri: { prefix: /f } }], retries: { attempts: 2, retryOn: "connect-failure, 502, 504" }, ${to('retries')} }
  - { ${to('retries')} }`,
  ),
  routed(
    'timeouts',
    `  - { match: [{ uri: { prefix: /a } }], timeout: 1.5s, ${to('timeouts')} }\n  - { ${to('timeouts')} }`,
  ),
  routed(
    'faults',
    `  - { match: [{ uri: { prefix: /a } }], fault: { delay: { fixedDelay: 7s, percentage: { value: 12.5 } } }, ${to('faults')} }
  - { match: [{ uri: { prefix: /b } }], fault: { abort: { httpStatus: 500, percentage: { value: 100 } } }, ${to('faults')} }
  - { match: [{ uri: { prefix: /c } }], fault: { abort: { grpcStatus: UNAVAILABLE, percentage: { value: 0.1 } } }, ${to('faults')} }
  - { fault: { delay: { fixedDelay: 100ms, percentage: { value: 1 } }, abort: { httpStatus: 404 } }, ${to('faults')} }`,
  ),
  routed(
    'mirrors',
    `  - { match: [{ uri: { prefix: /a } }], mirror: { host: subsets, subset: v2 }, mirrorPercentage: { value: 12.5 }, ${to('mirrors')} }
  - { match: [{ uri: { prefix: /b } }], mirrors: [{ destination: { host: subsets, subset: v1 } }, { destination: { host: many, port: { number: 8081 } }, percentage: { value: 1 } }], ${to('mirrors')} }
  - { mirror: { host: reviews }, ${to('mirrors')} }`,
  ),
  routed(
    'cors',
    `  - { match: [{ uri: { prefix: /a } }], corsPolicy: { allowOrigins: [{ exact: "https://a.example" }, { prefix: "https://b" }, { regex: "https://c.*" }], allowMethods: [GET, POST], allowHeaders: [x-a, x-b], exposeHeaders: [y-a], maxAge: 24h, allowCredentials: true }, ${to('cors')} }
  - { match: [{ uri: { prefix: /b } }], corsPolicy: { allowOrigins: [{ exact: "*" }], unmatchedPreflights: IGNORE }, ${to('cors')} }
  - { corsPolicy: { allowOrigins: [{ exact: "https://a.example" }], unmatchedPreflights: FORWARD, allowCredentials: false }, ${to('cors')} }`,
  ),
  `${NETWORKING}
kind: VirtualService
metadata: { name: delegating }
spec:
  hosts: [delegating]
  http:
  - { match: [{ uri: { prefix: /a } }], delegate: { name: part } }
  - { ${to('delegating')} }
---
${NETWORKING}
kind: VirtualService
metadata: { name: part }
spec:
  http:
  - { match: [{ uri: { prefix: /a/b } }], timeout: 3s, ${to('delegated')} }
  - { ${to('delegated')} }
`,
  routed('two-rules', `  - { timeout: 1s, ${to('two-rules')} }`),
  `${NETWORKING}
kind: VirtualService
metadata: { name: two-rules-later }
spec: { hosts: [two-rules], http: [{ timeout: 2s, ${to('two-rules')} }] }
`,
  `${NETWORKING}
kind: VirtualService
metadata: { name: reviews }
spec:
  hosts: [reviews]
  http:
  - { match: [{ headers: { end-user: { exact: jason } } }], route: [{ destination: { host: reviews, subset: v2 } }] }
  - { route: [{ destination: { host: reviews, subset: v1 }, weight: 0 }, { destination: { host: reviews, subset: v3 }, weight: 100 }] }
`,
  reached(
    'reviews',
    `trafficPolicy: { loadBalancer: { simple: RANDOM } }, subsets: [{ name: v1, labels: { version: v1 } }, { name: v2, labels: { version: v2 }, trafficPolicy: { loadBalancer: { simple: ROUND_ROBIN } } }, { name: v3, labels: { version: v3 } }, { name: v9, labels: { version: v9 } }]`,
  ),
];
