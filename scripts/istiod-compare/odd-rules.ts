/** Less common settings, written for this comparison: each of a service of its name. */
import { reached, routed, SUBSETS, to } from './routes.ts';

export const ODD = (
  'odd-match odd-headers odd-fault odd-mirror odd-cors odd-retry odd-answer odd-weights odd-outlier-old odd-outlier-none odd-outlier-least ' +
  'odd-failover odd-distribute odd-no-locality odd-priority odd-warmup odd-least odd-tls-port odd-tls-subset odd-tls-names odd-pool odd-hash odd-hash-port odd-subset odd-proxy odd-ports'
).split(' ');

export const ODD_RULES = [
  routed(
    'odd-match',
    `  - { match: [{ uri: { exact: /Exact }, ignoreUriCase: true }, { uri: { regex: "*" }, method: { regex: "GET|PUT" } }], ${to('odd-match')} }
  - { match: [{ headers: { x-any: { regex: "*" }, ":method": { exact: PUT }, X-Upper: { exact: A } } }], ${to('odd-match')} }
  - { match: [{ withoutHeaders: { x-re: { regex: "a.*" }, x-pre: { prefix: p } }, queryParams: { any: {}, re: { regex: "*" } } }], ${to('odd-match')} }
  - { match: [{ authority: { regex: "odd.*" }, scheme: { prefix: h } }], ${to('odd-match')} }
  - { match: [{ uri: { prefix: /two } }, { uri: { prefix: /three }, port: 8000 }, { uri: { prefix: /never }, port: 81 }], ${to('odd-match')} }
  - { match: [{ gateways: [default/shop], uri: { prefix: /gw } }], ${to('odd-match')} }
  - { match: [{ gateways: [mesh, default/shop], sourceLabels: { app: nobody }, uri: { prefix: /both } }], ${to('odd-match')} }
  - { match: [{ uri: { regex: ".*" } }], ${to('odd-match')} }
  - { ${to('odd-match')} }`,
  ),
  reached('odd-headers', SUBSETS),
  routed(
    'odd-headers',
    `  - match: [{ uri: { prefix: /a } }]
    headers: { request: { set: { ":authority": auth.example, x-percent: "100%%", x-empty: "" }, remove: [cookie] }, response: { set: { server: none }, remove: [x-envoy-upstream-service-time] } }
    ${to('odd-headers')}
  - match: [{ uri: { prefix: /b } }]
    rewrite: { authority: rewritten.example }
    headers: { request: { set: { host: set.example } } }
    ${to('odd-headers')}
  - match: [{ uri: { prefix: /c } }]
    headers: { request: { set: { x-a: route } } }
    redirect: { uri: /d }
  - match: [{ uri: { prefix: /d } }]
    headers: { response: { add: { x-a: "1" } } }
    directResponse: { status: 204 }
  - route: [{ destination: { host: odd-headers, subset: v1 }, weight: 50, headers: { response: { set: { y: "1" }, remove: [z] } } }, { destination: { host: odd-headers, subset: v2 }, weight: 50 }]`,
  ),
  routed(
    'odd-fault',
    `  - { match: [{ uri: { prefix: /a } }], fault: { delay: { fixedDelay: 1s } }, ${to('odd-fault')} }
  - { match: [{ uri: { prefix: /b } }], fault: { delay: { fixedDelay: 1s, percent: 7 } }, ${to('odd-fault')} }
  - { match: [{ uri: { prefix: /c } }], fault: { abort: { httpStatus: 418, percentage: { value: 0 } } }, ${to('odd-fault')} }
  - { match: [{ uri: { prefix: /d } }], fault: { abort: { grpcStatus: "14", percentage: { value: 33.3333 } } }, ${to('odd-fault')} }
  - { ${to('odd-fault')} }`,
  ),
  routed(
    'odd-mirror',
    `  - { match: [{ uri: { prefix: /a } }], mirror: { host: subsets, subset: v2 }, mirrorPercentage: { value: 0 }, ${to('odd-mirror')} }
  - { match: [{ uri: { prefix: /b } }], mirror: { host: many, port: { number: 8000 } }, mirrorPercent: 30, ${to('odd-mirror')} }
  - { match: [{ uri: { prefix: /c } }], mirrors: [{ destination: { host: subsets, subset: v1 }, percentage: { value: 0 } }, { destination: { host: subsets, subset: v2 }, percentage: { value: 50 } }], ${to('odd-mirror')} }
  - { mirror: { host: nowhere.example.com }, ${to('odd-mirror')} }`,
  ),
  routed(
    'odd-cors',
    `  - { match: [{ uri: { prefix: /a } }], corsPolicy: { allowOrigin: ["*", "https://a.example"], maxAge: 1500ms }, ${to('odd-cors')} }
  - { match: [{ uri: { prefix: /b } }], corsPolicy: { allowMethods: ["*"] }, ${to('odd-cors')} }
  - { corsPolicy: { allowOrigins: [{ regex: ".*" }], exposeHeaders: ["*"], allowCredentials: true, unmatchedPreflights: UNSPECIFIED }, ${to('odd-cors')} }`,
  ),
  routed(
    'odd-retry',
    `  - { match: [{ uri: { prefix: /a } }], retries: { attempts: 10, retryOn: "retriable-4xx,409,reset-before-request" }, ${to('odd-retry')} }
  - { match: [{ uri: { prefix: /b } }], retries: { attempts: 2, retryRemoteLocalities: true, retryIgnorePreviousHosts: true, perTryTimeout: 250ms }, timeout: 1s, ${to('odd-retry')} }
  - { match: [{ uri: { prefix: /c } }], retries: { attempts: 2, backoff: 25ms, retryOn: "cancelled,unavailable" }, ${to('odd-retry')} }
  - { match: [{ uri: { prefix: /d } }], retries: { attempts: 0 }, timeout: 2s, ${to('odd-retry')} }
  - { retries: {}, ${to('odd-retry')} }`,
  ),
  routed(
    'odd-answer',
    `  - { match: [{ uri: { prefix: /a } }], redirect: { authority: "other.example:8443", uri: /b } }
  - { match: [{ uri: { prefix: /b } }], redirect: { port: 8443 } }
  - { match: [{ uri: { prefix: /c } }], redirect: { scheme: http, redirectCode: 303 } }
  - { match: [{ uri: { exact: /d } }], rewrite: { uri: /e, authority: e.example }, ${to('odd-answer')} }
  - { match: [{ uri: { prefix: /f/ } }], rewrite: { uri: /g }, ${to('odd-answer')} }
  - { match: [{ uri: { prefix: /h } }], rewrite: { uriRegexRewrite: { match: "/h/([a-z]+)", rewrite: '/i/\\1/\\1' }, authority: h.example }, timeout: 0.5s, ${to('odd-answer')} }
  - { directResponse: { status: 200, body: { string: "{}" } }, headers: { response: { set: { content-type: application/json } } } }`,
  ),
  reached('odd-weights', SUBSETS),
  routed(
    'odd-weights',
    `  - { match: [{ uri: { prefix: /a } }], route: [{ destination: { host: odd-weights, subset: v1 }, weight: 1 }, { destination: { host: odd-weights, subset: v2 } }] }
  - { match: [{ uri: { prefix: /b } }], route: [{ destination: { host: odd-weights, subset: v1 }, weight: 7 }, { destination: { host: many, port: { number: 8081 } }, weight: 3 }, { destination: { host: api.example.com, port: { number: 80 } }, weight: 5 }] }
  - { match: [{ uri: { prefix: /c } }], route: [{ destination: { host: odd-weights, subset: missing } }] }
  - { route: [{ destination: { host: odd-weights, subset: v1 }, weight: 0 }] }`,
  ),
  reached('odd-outlier-old', 'trafficPolicy: { outlierDetection: { consecutiveErrors: 4, interval: 3s } }'),
  reached('odd-outlier-none', 'trafficPolicy: { outlierDetection: { maxEjectionPercent: 0, minHealthPercent: 0 } }'),
  reached(
    'odd-outlier-least',
    'trafficPolicy: { outlierDetection: { consecutiveGatewayErrors: 0, baseEjectionTime: 1500ms, splitExternalLocalOriginErrors: true, consecutiveLocalOriginFailures: 0 } }',
  ),
  reached(
    'odd-failover',
    'trafficPolicy: { outlierDetection: { consecutive5xxErrors: 5, maxEjectionPercent: 100 }, loadBalancer: { localityLbSetting: { failover: [{ from: eu, to: us }] } } }',
  ),
  reached(
    'odd-distribute',
    'trafficPolicy: { loadBalancer: { localityLbSetting: { distribute: [{ from: "*", to: { "eu/eu-1": 30, "eu/eu-2": 70 } }] } } }',
  ),
  reached(
    'odd-no-locality',
    'trafficPolicy: { outlierDetection: { consecutive5xxErrors: 5, maxEjectionPercent: 100 }, loadBalancer: { localityLbSetting: { enabled: false } } }',
  ),
  reached(
    'odd-priority',
    'trafficPolicy: { outlierDetection: { consecutive5xxErrors: 5, maxEjectionPercent: 100 }, loadBalancer: { simple: ROUND_ROBIN, localityLbSetting: { failoverPriority: ["version=v2", "app"] } } }',
  ),
  reached('odd-warmup', 'trafficPolicy: { loadBalancer: { simple: LEAST_REQUEST, warmupDurationSecs: 20s } }'),
  reached('odd-least', 'trafficPolicy: { loadBalancer: { simple: LEAST_CONN } }'),
  reached(
    'odd-tls-port',
    'trafficPolicy: { tls: { mode: DISABLE }, portLevelSettings: [{ port: { number: 8000 }, tls: { mode: ISTIO_MUTUAL, sni: named.example, subjectAltNames: ["spiffe://cluster.local/ns/default/sa/x"] } }] }',
  ),
  reached(
    'odd-tls-subset',
    'trafficPolicy: { tls: { mode: ISTIO_MUTUAL } }, subsets: [{ name: v1, labels: { version: v1 }, trafficPolicy: { tls: { mode: DISABLE } } }, { name: v2, labels: { version: v2 }, trafficPolicy: { connectionPool: { tcp: { maxConnections: 3 } } } }]',
  ),
  reached(
    'odd-tls-names',
    'trafficPolicy: { tls: { mode: ISTIO_MUTUAL, subjectAltNames: ["spiffe://other/ns/a/sa/b"] } }',
  ),
  reached(
    'odd-pool',
    'trafficPolicy: { connectionPool: { tcp: { idleTimeout: 0s, maxConnectionDuration: 90s }, http: { maxRetries: 0, http2MaxRequests: 0, idleTimeout: 5s, h2UpgradePolicy: DO_NOT_UPGRADE } } }',
  ),
  reached(
    'odd-hash',
    'trafficPolicy: { loadBalancer: { consistentHash: { httpCookie: { name: session }, minimumRingSize: 4096 } } }',
  ),
  routed(
    'odd-subset',
    `  - { match: [{ uri: { prefix: /a } }], route: [{ destination: { host: odd-subset, subset: two } }] }
  - { match: [{ uri: { prefix: /b } }], route: [{ destination: { host: odd-hash-port, port: { number: 8000 } } }] }
  - { match: [{ uri: { prefix: /c } }], route: [{ destination: { host: odd-hash-port, subset: v1, port: { number: 8000 } } }] }
  - { match: [{ uri: { prefix: /d } }], route: [{ destination: { host: odd-hash-port, subset: v2 } }] }`,
  ),
  reached(
    'odd-hash-port',
    'trafficPolicy: { loadBalancer: { consistentHash: { httpHeaderName: top } }, portLevelSettings: [{ port: { number: 8000 }, loadBalancer: { consistentHash: { httpHeaderName: of-port } } }] }, subsets: [{ name: v1, labels: { version: v1 }, trafficPolicy: { loadBalancer: { consistentHash: { httpHeaderName: of-subset } } } }, { name: v2, labels: { version: v2 }, trafficPolicy: { portLevelSettings: [{ port: { number: 8000 }, loadBalancer: { consistentHash: { httpHeaderName: of-subset-port } } }] } }]',
  ),
  routed(
    'odd-hash',
    `  - { match: [{ uri: { prefix: /a } }], route: [{ destination: { host: hash-header }, weight: 1 }, { destination: { host: odd-hash }, weight: 1 }] }\n  - { ${to('odd-hash')} }`,
  ),
  reached(
    'odd-subset',
    'trafficPolicy: { connectionPool: { http: { maxRequestsPerConnection: 1 } } }, subsets: [{ name: all }, { name: none, labels: { version: v9 } }, { name: two, labels: { app: odd-subset, version: v2 }, trafficPolicy: { loadBalancer: { consistentHash: { httpHeaderName: x } }, outlierDetection: { consecutive5xxErrors: 2, maxEjectionPercent: 100 } } }]',
  ),
  reached('odd-proxy', 'trafficPolicy: { proxyProtocol: { version: V1 } }'),
  reached(
    'odd-ports',
    'trafficPolicy: { loadBalancer: { simple: RANDOM }, outlierDetection: { consecutive5xxErrors: 9, maxEjectionPercent: 100 }, portLevelSettings: [{ port: { number: 8000 }, outlierDetection: { interval: 1s, maxEjectionPercent: 100 } }] }, subsets: [{ name: v1, labels: { version: v1 }, trafficPolicy: { portLevelSettings: [{ port: { number: 9999 }, loadBalancer: { simple: ROUND_ROBIN } }] } }]',
  ),
];
