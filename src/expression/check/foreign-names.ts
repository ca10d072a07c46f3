/** What authors mean who know the names of Envoy, Istio, OpenTelemetry, gateways and other languages. */

const CLIENT_IP = 'source.ip, or origin.ip behind proxies of yours (settings.trustedHops)';
const CLAIMS = 'request.auth.claims["NAME"], or the output of an enrich rule of the adapter jwt';
const USER = `source.principal for mutual TLS, and for tokens ${CLAIMS}`;
const PATH = 'request.url_path, or request.path with its query';

/** Names of attributes elsewhere, and what is declared here; longer ones of these are under them, too. */
export const DECLARED_FOR: ReadonlyMap<string, string> = new Map([
  // Envoy's and Istio's.
  ['source.address', 'source.ip, and source.port'],
  ['destination.address', 'destination.ip, and destination.port'],
  ['remote.ip', 'origin.ip'],
  ['request.duration', 'response.duration'],
  ['upstream.address', 'context.upstream.ip, and context.upstream.port'],
  ['upstream.local_address', 'context.upstream.local_ip, and context.upstream.local_port'],
  ['xds.cluster_name', 'context.upstream.cluster'],
  ['xds.route_name', 'context.route_name'],
  ['xds.route_metadata', 'context.route_metadata'],
  ['xds.node', 'context.node.id, context.node.cluster or context.node.metadata'],
  // Mixer's names, and those before them.
  ['source.user', 'source.principal'],
  ['source.service', 'source.spiffe.serviceAccount, or source.workload.name'],
  ['target', 'destination, such as destination.service.host'],
  ['context.timestamp', 'context.time'],
  ['context.reporter.local', 'context.reporter.kind == "inbound"'],
  ['api', 'an attribute of yours: my.NAME: { is: EXPRESSION }, over request.url_path'],
  ['check.error_code', 'verdict.outcome, in logs and decisions'],
  ['check.error_message', 'verdict.reasons, in decisions'],
  ['filter_state', 'an attribute of yours: my.NAME: { type: string, from: { filterState: NAME } }'],
  // Of gateways, of OpenTelemetry, and of programs.
  ...namesFor('request.method', 'request.verb', 'http.method', 'http.request.method', 'method'),
  ...namesFor(PATH, 'request.uri', 'request.url', 'http.url', 'http.target', 'url.full', 'uri', 'path'),
  ['url.path', 'request.url_path'],
  ...namesFor('request.query["NAME"]', 'request.query_string', 'request.params', 'url.query', 'query'),
  ...namesFor('request.headers["name"]', 'request.header', 'http.request.header', 'headers', 'header'),
  ...namesFor('request.headers["cookie"]', 'request.cookies', 'request.cookie', 'cookies', 'cookie'),
  ...namesFor('json.decode(request.body)', 'request.json', 'request.parsed_body'),
  ...namesFor('request.size', 'request.length', 'request.bytes', 'request.content_length'),
  ...namesFor('request.host', 'http.host', 'server.address', 'server.name', 'host'),
  ...namesFor('request.scheme', 'url.scheme', 'http.scheme'),
  ...namesFor('request.useragent', 'user_agent.original', 'http.user_agent', 'user_agent'),
  ...namesFor(CLIENT_IP, 'request.ip', 'request.remote_addr', 'request.remote_ip', 'request.client_ip', 'client.ip'),
  ...namesFor(CLIENT_IP, 'client.address', 'remote_addr', 'remote_ip', 'remote.address', 'client_ip', 'peer.ip', 'ip'),
  ...namesFor('source.port', 'client.port', 'remote_port', 'remote.port'),
  ...namesFor(CLAIMS, 'jwt', 'claims', 'token', 'auth.claims', 'request.jwt', 'request.claims', 'request.token'),
  ...namesFor(USER, 'user', 'identity', 'principal', 'subject', 'request.user', 'auth.user', 'enduser'),
  ...namesFor('response.code', 'response.status', 'response.status_code', 'http.status_code', 'status', 'status_code'),
  ['http.response.status_code', 'response.code'],
  ...namesFor('response.duration', 'response.latency', 'request.latency', 'latency', 'duration'),
  ...namesFor('connection.requested_server_name', 'connection.sni', 'tls.sni', 'tls.server_name', 'sni'),
  ...namesFor('connection.tls_version', 'tls.version', 'tls.protocol'),
  ...namesFor('connection.peer_certificate', 'source.certificate', 'source.cert', 'client.certificate', 'tls.client'),
  ...namesFor('context.time', 'time', 'now', 'timestamp'),
]);

/** Names of what no call carries, and how it is come by. */
const UNAVAILABLE: ReadonlyMap<string, string> = new Map([
  ['response.body', 'Envoy sends no bodies of responses'],
  ...namesFor(
    'an enrich rule can look it up by source.ip',
    'source.country',
    'source.geo',
    'source.asn',
    'geo',
    'geoip',
  ),
  ...namesFor('put $env where a policy takes a value, such as in config', 'env', 'process.env'),
]);

/** First parts of names that are short for others. */
const FIRST_PARTS: ReadonlyMap<string, string> = new Map([
  ['req', 'request'],
  ['res', 'response'],
  ['resp', 'response'],
  ['src', 'source'],
  ['dst', 'destination'],
  ['dest', 'destination'],
  ['conn', 'connection'],
  ['upstream', 'context.upstream'],
]);

function namesFor(declared: string, ...names: readonly string[]): [name: string, declared: string][] {
  return names.map((name) => [name, declared]);
}

/** Envoy's message of a check, as other authorizers show it. */
const OF_A_CHECK = /^(?:input\.attributes|context)\.request\.http\.(\w+)/;

/** What to do in place of an attribute of this name, as a phrase. `isKnown`: whether a name is declared here, or begins one that is. */
export function foreignAttribute(name: string, isKnown: (name: string) => boolean): string | undefined {
  const field = OF_A_CHECK.exec(name)?.[1];
  if (field !== undefined) return `write request.${field}`;
  const [first = ''] = name.split('.', 1);
  const whole = FIRST_PARTS.get(first)?.concat(name.slice(first.length));
  if (whole !== undefined && isKnown(whole)) return `write ${whole}`;
  for (const tried of whole === undefined ? [name] : [name, whole])
    for (let end = tried.length; end > 0; end = tried.lastIndexOf('.', end - 1)) {
      const beginning = tried.slice(0, end);
      if (isKnown(beginning)) break; // its family is declared here, so a member of it is misspelt
      const declared = DECLARED_FOR.get(beginning);
      if (declared !== undefined) return `write ${declared}`;
      const why = UNAVAILABLE.get(beginning);
      if (why !== undefined) return why;
    }
  return undefined;
}

const FUNCTIONS: ReadonlyMap<string, string> = new Map([
  ['now', 'the time of the call is context.time'],
  ['not', 'not is written !'],
  ['lower', 'write x.lowerAscii()'],
  ['toLower', 'write x.lowerAscii()'],
  ['dnsName', 'compare request.host, which is in lower case and without a port'],
  ['uri', 'compare texts, or request.url_path'],
  ['email', 'compare texts, with x.lowerAscii() where the case does not count'],
  ['conditional', 'write c ? a : b'],
  ['conditionalString', 'write c ? a : b'],
  ['emptyStringMap', 'write {}'],
  ['upper', 'write x.upperAscii()'],
  ['toUpper', 'write x.upperAscii()'],
  ['len', 'write size(x)'],
  ['length', 'write size(x)'],
  ['count', 'write x.filter(one, ...).size()'],
  ['any', 'write x.exists(one, ...)'],
  ['glob', 'write x.startsWith("a"), x.endsWith("a") or x.matches("^/a/[^/]*$")'],
  ['like', 'write x.startsWith("a"), x.endsWith("a") or x.matches("^a.*$")'],
  ['regex', 'write x.matches("...")'],
]);
/** Of cel-go's extension for sets. */
const SETS: ReadonlyMap<string, string> = new Map([
  ['contains', 'b.all(one, one in a)'],
  ['equivalent', 'a.all(one, one in b) && b.all(one, one in a)'],
  ['intersects', 'a.exists(one, one in b)'],
]);

/** What to write in place of a function of another language. */
export const foreignFunction = (name: string): string | undefined => FUNCTIONS.get(name);

/** In place of `sets.contains(a, b)` and the like. */
export function foreignSet(target: string, name: string): string | undefined {
  const written = target === 'sets' ? SETS.get(name) : undefined;
  return written === undefined ? undefined : `unknown function sets.${name}(); of two lists write ${written}`;
}
