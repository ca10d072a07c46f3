/** Rules that each need one thing of Envoy, to be put together into policies. */
export interface Fragment {
  readonly what: string;
  readonly settings?: Readonly<Record<string, unknown>>;
  readonly attributes?: Readonly<Record<string, unknown>>;
  readonly rule: Readonly<Record<string, unknown>>;
  /** What it needs, in the words of `Needs`. */
  readonly kind: string;
  readonly name?: string;
}

const deny = (match: string): Fragment['rule'] => ({ match, deny: {} });
const report = (input: string, ...calls: readonly string[]): Fragment['rule'] => ({
  calls: calls.length === 0 ? ['log'] : calls,
  report: { handler: 'lines', input: { a: input } },
});
const quota = (match: string, ...key: readonly string[]): Fragment['rule'] => ({
  match,
  quota: { handler: 'limits', limit: 2, per: '1h', key },
});

export const HANDLERS = {
  limits: { adapter: 'quota-memory', config: {} },
  lines: { adapter: 'log-stdout', config: {} },
};

const from = (carrier: object): object => ({ type: 'string', from: carrier });

export const FRAGMENTS: readonly Fragment[] = [
  { what: 'a check', rule: deny('request.method == "GET"'), kind: 'http' },
  { what: 'the body', rule: deny('request.?body.orValue("") == "a"'), kind: 'http body' },
  { what: 'the bytes of the body', rule: deny('has(request.raw_body)'), kind: 'http raw-body' },
  {
    what: 'all names of a certificate',
    rule: deny('source.?spiffe.?id.orValue("") == "a"'),
    kind: 'http certificate-names',
  },
  {
    what: 'a certificate',
    rule: deny('connection.?sha256_peer_certificate_digest.orValue("") == "a"'),
    kind: 'http certificate',
  },
  { what: 'the SNI', rule: deny('connection.?requested_server_name.orValue("") == "a"'), kind: 'http session' },
  {
    what: 'claims of a token',
    rule: deny('request.auth.principal == "a/b"'),
    kind: 'http metadata',
    name: 'envoy.filters.http.jwt_authn',
  },
  {
    what: 'a namespace of metadata',
    rule: deny('metadata[?"n"].orValue("") == "a"'),
    kind: 'http metadata-if-any',
    name: 'n',
  },
  { what: 'all of the metadata', rule: deny('metadata.size() > 3'), kind: 'http all-metadata' },
  {
    what: 'metadata of a carrier',
    attributes: { 'my.team': from({ metadata: { namespace: 'teams', path: ['name'] } }) },
    rule: deny('my.team == "a"'),
    kind: 'http metadata',
    name: 'teams',
  },
  {
    what: 'metadata of the route',
    rule: deny('has(context.route_metadata["web"])'),
    kind: 'http route-metadata',
    name: 'web',
  },
  {
    what: 'a context extension',
    attributes: { 'my.tier': from({ contextExtension: 'tier' }) },
    rule: deny('my.tier == "a"'),
    kind: 'http extension',
    name: 'tier',
  },
  {
    what: 'a context extension by the name of an attribute',
    rule: deny('destination.namespace == "a"'),
    kind: 'http extension',
    name: 'destination.namespace',
  },
  {
    what: 'labels of the destination',
    rule: deny('destination.labels[?"app"].orValue("") == "a"'),
    kind: 'http labels',
  },
  { what: 'the size of a body', rule: deny('request.size > 1000'), kind: 'http size' },
  { what: 'raw headers', rule: deny('"a" in request.header_values["x"]'), kind: 'http raw-headers' },
  {
    what: 'the number of proxies',
    settings: { trustedHops: 1 },
    rule: deny('origin.ip == ip("1.2.3.4")'),
    kind: 'hops',
  },
  {
    what: 'a forwarded certificate',
    settings: { trustedCertificateHops: 1 },
    rule: deny('origin.?principal.orValue("") == "a"'),
    kind: 'http forwarded-certificate',
  },
  { what: 'a normalised path', rule: deny('request.url_path == "/a"'), kind: 'path' },
  {
    what: 'a changed request',
    rule: { onAllow: { request: { set: { 'x-a': 'b' } } } },
    kind: 'http request-change',
    name: 'x-a',
  },
  {
    what: 'a header of the access log',
    rule: report('request.headers[?"X-User"].orValue("")'),
    kind: 'log request-header',
    name: 'x-user',
  },
  {
    what: 'a header that is only tested',
    rule: report('"x-user" in request.headers ? "a" : "b"'),
    kind: 'log request-header',
    name: 'x-user',
  },
  { what: 'all headers', rule: report('request.headers'), kind: 'log all-request-headers' },
  {
    what: 'a header of the response',
    rule: report('response.headers[?"etag"].orValue("")'),
    kind: 'log response-header',
    name: 'etag',
  },
  {
    what: 'a trailer',
    rule: report('response.?grpc_status.orValue("")'),
    kind: 'log response-trailer',
    name: 'grpc-status',
  },
  {
    what: 'a custom tag',
    attributes: { 'my.zone': from({ customTag: 'zone' }) },
    rule: report('my.zone'),
    kind: 'log custom-tag',
    name: 'zone',
  },
  {
    what: 'filter state',
    attributes: { 'my.peer': from({ filterState: 'peer' }) },
    rule: report('my.peer'),
    kind: 'log filter-state',
    name: 'peer',
  },
  { what: 'counts of gRPC messages', rule: report('response.?grpc_messages.orValue(0)'), kind: 'log grpc-stats' },
  { what: 'the verdict', rule: report('verdict.?rule.orValue("")'), kind: 'log verdict' },
  { what: 'the verdict of the limit', rule: report('verdict.?limit_rule.orValue("")'), kind: 'log limit-verdict' },
  { what: 'a trace', rule: report('trace.?id.orValue("")'), kind: 'log trace' },
  { what: 'interim entries', rule: report('request.path', 'log-interim'), kind: 'log interim' },
  { what: 'entries of connections', rule: report('connection.duration', 'tcp-log'), kind: 'tcp-log' },
  {
    what: 'interim entries of connections',
    rule: report('connection.received.bytes', 'tcp-log-interim'),
    kind: 'tcp-log interim',
  },
  { what: 'statistics', rule: report('metric.name', 'envoy-metric'), kind: 'metrics' },
  { what: 'the body of a decided call', rule: report('request.?body.orValue("")', 'decision'), kind: 'http body' },
  {
    what: 'a check of connections',
    rule: { calls: ['tcp'], ...deny('source.ip == ip("1.2.3.4") && has(connection.requested_server_name)') },
    kind: 'tcp session',
  },
  {
    what: 'facts of connections',
    attributes: { 'my.tier': from({ contextExtension: 'tier' }) },
    rule: { calls: ['tcp'], ...deny('my.tier == "a" && destination.labels[?"app"].orValue("") == "db"') },
    kind: 'tcp extension',
    name: 'tier',
  },
  {
    what: 'a rate limit',
    rule: quota('ratelimit.domain == "shop"', 'ratelimit.descriptor.user', 'ratelimit.descriptor.remote_address'),
    kind: 'limit',
  },
  {
    what: 'a rate limit of another domain',
    rule: quota('ratelimit.domain == "edge" && ratelimit.descriptor.kind == "on"', 'ratelimit.descriptor.path'),
    kind: 'limit',
  },
  { what: 'a rate limit of any descriptor', rule: { calls: ['limit'], ...quota('true') }, kind: 'limit' },
];

/** Rules are named `r0`, `r1` and so on. JSON is YAML. */
export function policyOfFragments(fragments: readonly Fragment[]): string {
  const merged = (key: 'settings' | 'attributes'): object =>
    Object.assign({}, ...fragments.map((fragment) => fragment[key] ?? {})) as object;
  return JSON.stringify({
    settings: merged('settings'),
    attributes: merged('attributes'),
    handlers: HANDLERS,
    rules: fragments.map(({ rule }, at) => ({ name: `r${at}`, ...rule })),
  });
}
